"""Answers that get lost: the COMMIT takes effect, and the one who asked never learns it."""

from collections.abc import Iterator
from contextlib import contextmanager

from cronherd.domain.errors import Unavailable
from cronherd.store.database import Connection
from cronherd.store.sqlstore import SqlStore


@contextmanager
def lost_answers(store: SqlStore, count: int = 1) -> Iterator[list[int]]:
    """The next commits of this store are made and then not heard of; how many there were."""
    dialect = store.db.dialect
    plain, lost = dialect.commit, [0]

    def commit(connection: Connection) -> None:
        plain(connection)
        if lost[0] < count:
            lost[0] += 1
            raise Unavailable("the database does not answer", code="database_lost")

    dialect.commit = commit  # type: ignore[method-assign]
    try:
        yield lost
    finally:
        del dialect.commit
