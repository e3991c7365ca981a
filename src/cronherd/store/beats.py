"""Beats: the lease is renewed on a connection that no other work can hold up."""

from cronherd.store.database import Database, again
from cronherd.store.nodes import NodeRows


class SqlBeats:
    """Implements Beats over a database that nobody else uses, where the dialect has room."""

    def __init__(self, db: Database, nodes: NodeRows) -> None:
        self._db = db
        self.renew = again(nodes.renew)

    def wait_hint(self, timeout_s: float) -> bool | None:
        with self._db.glance() as connection:
            return self._db.dialect.wait_hint(connection, timeout_s)

    def give_up(self, after_s: float | None) -> None:
        """As Database.give_up."""
        self._db.give_up(after_s)

    def close(self) -> None:
        """Give the connection back."""
        self._db.close()
