"""The orders, in the SQLite file that SHOP_DATABASE names."""

import os
import sqlite3
from contextlib import closing

TABLE = "CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, what TEXT, sent INTEGER)"
SEND = """
UPDATE orders SET sent = 1
WHERE id IN (SELECT id FROM orders WHERE sent = 0 ORDER BY id LIMIT ?)
"""


def _open() -> sqlite3.Connection:
    connection = sqlite3.connect(os.environ.get("SHOP_DATABASE", "shop.db"), timeout=10)
    connection.execute(TABLE)
    return connection


def add(what: str) -> None:
    """Take an order."""
    with closing(_open()) as connection, connection:
        connection.execute("INSERT INTO orders (what, sent) VALUES (?, 0)", (what,))


def waiting() -> list[str]:
    """What was ordered and not sent yet."""
    with closing(_open()) as connection:
        rows = connection.execute("SELECT what FROM orders WHERE sent = 0 ORDER BY id")
        return [str(what) for (what,) in rows]


def send(limit: int) -> int:
    """Send the oldest orders; how many."""
    with closing(_open()) as connection, connection:
        done = connection.execute(SEND, (limit,))
        return done.rowcount


def forget() -> int:
    """Drop what was sent; how many."""
    with closing(_open()) as connection, connection:
        return connection.execute("DELETE FROM orders WHERE sent = 1").rowcount
