"""What the shop does by itself: `cronherd schedule list --app shop.schedule`."""

import os
from pathlib import Path

from cronherd import Scheduler, task
from cronherd.task import Context
from shop import orders

HERE = Path(__file__).resolve().parents[1]


def is_down() -> bool:
    """Somebody works at the shop: `touch down` in its directory."""
    return (HERE / "down").exists()


def has_orders() -> bool:
    return bool(orders.waiting())


@task(name="send-orders")
def send_orders(context: Context, limit: int = 100) -> dict[str, int]:
    """Send what was ordered."""
    sent = 0
    while sent < limit and not context.cancelled.is_set() and orders.send(1):
        sent += 1
        context.progress(sent, text="orders")
    return {"sent": sent}


@task
def forget() -> int:
    """Drop what was sent."""
    return orders.forget()


schedule = Scheduler(
    timezone="Europe/Berlin",
    environment=os.environ.get("SHOP_ENVIRONMENT", "production"),
    maintenance=is_down,
)

day = schedule.group().between("8:00", "18:00").weekdays().tags("shop")
day.task("send-orders").every_ten_minutes().when(has_orders).without_overlapping(expires=30)
day.task("send-orders", 1).name("send-one").by_hand()

night = schedule.group().daily_at("2:30").tags("shop")
night.task(forget).retries(3, backoff="1m").catchup("latest", within="6h")
night.command("cp shop.db shop.db.bak").name("backup").even_in_maintenance_mode().cwd(HERE)

schedule.command("echo end of the month").last_day_of_month("17:00").name("month")
