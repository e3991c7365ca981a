"""`cronherd alerts`: the outbox of mail, webhooks and pings."""

import click

from cronherd.cli.grammar import Group
from cronherd.cli.output import Json, put, put_document, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.cli.times import Times, times_of


@click.group("alerts", cls=Group, aliases={"ls": "list"})
def alerts_command() -> None:
    """Mail, webhooks and pings: what waits, what was sent, what failed."""


@alerts_command.command("list")
@click.option(
    "--state",
    type=click.Choice(["waiting", "sent", "failed"]),
    help="Only those of this state.",
)
@click.option("--limit", type=int, default=50, show_default=True, help="How many at the most.")
@click.pass_obj
def list_command(session: Session, *, state: str | None, limit: int) -> None:
    """The newest messages, and why one waits or was given up."""
    with session.fleet() as fleet:
        document = fleet.list_alerts(state, limit)
    if not document["items"]:
        talk("nothing was sent, and nothing waits")
    put(
        session,
        document,
        table=lambda: _table(document["items"], times_of(session)),
        names=lambda: [alert["id"] for alert in document["items"]],
    )
    waiting, failed = document["counts"]["waiting"], document["counts"]["failed"]
    if failed:
        talk(f"{failed} given up, {waiting} waiting: 'cronherd alerts retry' sends them again")


def _table(alerts: list[Json], times: Times) -> Table:
    columns = (
        Column("WRITTEN"),
        Column("CHANNEL"),
        Column("TO", cut=True, least=NAME_LEAST),
        Column("ABOUT", cut=True, least=NAME_LEAST),
        Column("STATE"),
        Column("TRIES", right=True),
        Column("ERROR", cut=True, least=NAME_LEAST),
    )
    rows = [
        (
            times.passed(alert["created_at"]),
            alert["channel"],
            alert["target"],
            " ".join(filter(None, (alert["event"], alert["job"]))),
            alert["state"],
            str(alert["tries"]),
            alert["error"],
        )
        for alert in alerts
    ]
    return Table(columns, rows)


@alerts_command.command("test")
@click.argument("channel", type=click.Choice(["mail", "webhook", "ping"]))
@click.argument("target")
@click.pass_obj
def test_command(session: Session, *, channel: str, target: str) -> None:
    """Send a message that only says that it arrives: to an address, or to a URL.

    It takes the way of all others, through the outbox: 'cronherd alerts list' tells how it went.
    """
    with session.fleet() as fleet:
        document = fleet.send_test(channel, target, session.actor)
    if not put_document(session, document, lambda: [document["alert"]["id"]]):
        talk("a test is on its way: 'cronherd alerts list' tells how it went")


@alerts_command.command("retry")
@click.pass_obj
def retry_command(session: Session) -> None:
    """Send again now what was given up and what waits for its next try."""
    with session.fleet() as fleet:
        document = fleet.retry_alerts(session.actor)
    if not put_document(session, document, lambda: [str(document["retried"])]):
        count = document["retried"]
        talk(f"{count} message{'s' * (count != 1)} will be sent again")
