"""Whoever is told to end gives up a server that stands still: calls, and connections to be made."""

import threading
from collections.abc import Callable, Iterator, Mapping

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.engine.clock import SystemClock
from cronherd.store.database import Database, Dialect, fetch
from cronherd.store.mysql import MysqlDialect
from cronherd.store.postgres import PostgresDialect
from cronherd.store.watchdog import Watchdog
from tests.servers.handles import PrivateServer

DIALECTS: Mapping[str, Callable[[str, Callable[[], int]], Dialect]] = {
    "postgresql": PostgresDialect,
    "mariadb": MysqlDialect,
}
CLOCK = SystemClock()
# Far below the 5 s for which a call or an attempt to connect is kept otherwise.
SOON_S = 1.0
BEFORE_S = 0.5
LATEST_S = SOON_S + 1.5


class Asker:
    """One question on a thread of its own, and how long it took to fail."""

    def __init__(self, db: Database) -> None:
        self.error: Exception | None = None
        self.took_s = 0.0
        self._db = db
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        began_us = CLOCK.boot_us()
        try:
            with self._db.write() as connection:
                fetch(connection, "SELECT 1")
        except Exception as error:  # noqa: BLE001 - it is looked at below
            self.error = error
        self.took_s = (CLOCK.boot_us() - began_us) / 1e6

    def ended(self) -> bool:
        self._thread.join(20)
        return not self._thread.is_alive()


@pytest.fixture(params=DIALECTS)
def frozen(
    request: pytest.FixtureRequest, own_server: Callable[[str], PrivateServer]
) -> Iterator[tuple[PrivateServer, Database]]:
    """A server that stands still, and a database that has one of its two connections."""
    server = own_server(request.param)
    db = Database(DIALECTS[request.param](server.url, CLOCK.boot_us))
    db.now_us()
    server.freeze()
    yield server, db
    server.thaw()
    db.close()


def _asked(db: Database, count: int) -> list[Asker]:
    askers = [Asker(db) for _ in range(count)]
    threading.Event().wait(BEFORE_S)
    return askers


def test_calls_and_attempts_and_who_waits_for_them_end_at_once(
    frozen: tuple[PrivateServer, Database],
) -> None:
    _, db = frozen
    askers = _asked(db, 4)  # a call, an attempt to connect, and two who wait for a place
    db.give_up(SOON_S)
    for asker in askers:
        assert asker.ended()
        assert isinstance(asker.error, Unavailable), repr(asker.error)
        assert asker.error.code == "database_lost"
        assert SOON_S <= asker.took_s <= BEFORE_S + LATEST_S
    late = Asker(db)
    assert late.ended()
    assert isinstance(late.error, Unavailable)
    assert late.took_s < SOON_S


def test_who_goes_on_after_all_is_served_again(frozen: tuple[PrivateServer, Database]) -> None:
    server, db = frozen
    askers = _asked(db, 2)
    db.give_up(0.0)
    assert all(asker.ended() for asker in askers)
    db.give_up(None)
    server.thaw()
    asker = Asker(db)
    assert asker.ended()
    assert asker.error is None


def test_a_server_that_answers_in_time_is_not_given_up(
    frozen: tuple[PrivateServer, Database],
) -> None:
    server, db = frozen
    server.thaw()
    db.give_up(60.0)
    assert db.now_us() > 0


def test_a_connection_that_comes_too_late_is_closed() -> None:
    go_on, closed = threading.Event(), threading.Event()

    class Late:
        close = closed.set

    def connect() -> Late:
        assert go_on.wait(10)
        return Late()

    watchdog = Watchdog(CLOCK.boot_us)
    watchdog.give_up(0.2)
    with pytest.raises(Unavailable):
        watchdog.attempt(connect)
    assert not closed.is_set()
    go_on.set()
    assert closed.wait(5)
