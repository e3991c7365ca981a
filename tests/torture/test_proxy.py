"""The bad network does what it is told, and tells a COMMIT from all else."""

import select
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.servers.handles import PrivateServer
from tests.torture.database import Ground, MariaGround, PostgresGround
from tests.torture.evidence import boot_ns
from tests.torture.proxy import Network
from tests.torture.wire import MysqlReader, PostgresReader, commits

KINDS = ("postgresql", "mariadb")
PATIENCE_S = 2


def _postgres(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _mysql(sequence: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([sequence]) + body


STARTUP = struct.pack("!ii", 17, 196608) + b"user\0me\0\0"
SSL = struct.pack("!ii", 8, 80877103)


def test_it_knows_a_commit_by_its_text():
    for text in (b"COMMIT", b"commit;\0", b" Commit work ;", b"UPDATE t SET a=1; COMMIT\0"):
        assert commits(text)
    for text in (b"COMMITTED", b"-- commit\nSELECT 1", b"ROLLBACK", b"COMMIT PREPARED 'x'"):
        assert not commits(text)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_it_finds_a_simple_commit_of_postgresql(size: int):
    said = SSL + STARTUP + _postgres(b"Q", b"BEGIN\0") + _postgres(b"Q", b"COMMIT\0")
    pieces = [said[n : n + size] for n in range(0, len(said), size)]
    reader = PostgresReader()
    assert [reader.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


def test_it_finds_a_prepared_commit_of_postgresql():
    reader = PostgresReader()
    assert not reader.feed(STARTUP + _postgres(b"P", b"s1\0COMMIT\0\0\0"))
    assert not reader.feed(_postgres(b"P", b"s2\0SELECT 1\0\0\0"))
    bound = _postgres(b"B", b"\0s2\0\0\0\0\0\0\0") + _postgres(b"E", b"\0\0\0\0\0")
    assert not reader.feed(bound)
    bound = _postgres(b"B", b"\0s1\0\0\0\0\0\0\0") + _postgres(b"E", b"\0\0\0\0\0")
    assert reader.feed(bound)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_it_finds_a_commit_of_mysql(size: int):
    said = _mysql(1, b"\x03COMMIT") + _mysql(0, b"\x03SELECT 1") + _mysql(0, b"\x03COMMIT")
    pieces = [said[n : n + size] for n in range(0, len(said), size)]
    reader = MysqlReader()
    assert [reader.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]


# ------------------------------------------------------------------ before a real server


@contextmanager
def _network(server: PrivateServer, kind: str) -> Iterator[tuple[Ground, Network]]:
    place: Ground = PostgresGround(server) if kind == "postgresql" else MariaGround(server)
    place.query("CREATE TABLE told (n INT PRIMARY KEY)")
    network = Network(kind, place.address, 2, 1)
    try:
        yield place, network
    finally:
        network.close()


@contextmanager
def _connected(kind: str, port: int) -> Iterator[Any]:
    link = _connect(kind, port)
    try:
        yield link
    finally:
        link.close() if kind == "postgresql" else link._force_close()


def _connect(kind: str, port: int) -> Any:
    if kind == "postgresql":
        import psycopg  # noqa: PLC0415 - only where this server is

        place = f"host=127.0.0.1 port={port} user=cronherd dbname=torture connect_timeout=2"
        return psycopg.connect(place, autocommit=True)
    import pymysql  # noqa: PLC0415

    return pymysql.connect(
        host="127.0.0.1",
        port=port,
        user="root",
        database="torture",
        connect_timeout=PATIENCE_S,
        read_timeout=PATIENCE_S,
        autocommit=True,
    )


def _run(link: Any, *statements: str) -> None:
    cursor = link.cursor()
    for statement in statements:
        cursor.execute(statement)


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_forgotten_commit_wrote_is_there(
    own_server: Callable[[str], PrivateServer], kind: str
):
    with _network(own_server(kind), kind) as (place, network):
        with _connected(kind, network.ports[0]) as link:
            network.order(0, "forget", share=1.0)
            _run(link, "BEGIN", "INSERT INTO told VALUES (1)")
            with pytest.raises(Exception, match=r"."):
                _run(link, "COMMIT")
        assert place.query("SELECT n FROM told") == [(1,)]
        assert network.swallowed(0) == 1
        with _connected(kind, network.ports[1]) as other:
            _run(other, "BEGIN", "INSERT INTO told VALUES (2)", "COMMIT")
        assert network.swallowed(1) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_each_mode_does_what_it_says(own_server: Callable[[str], PrivateServer], kind: str):
    with _network(own_server(kind), kind) as (place, network):
        with _connected(kind, network.ports[0]) as link:
            network.order(0, "delay", ms=100.0, jitter=0.0)
            began_ns = boot_ns()
            _run(link, "SELECT 1")
            assert boot_ns() - began_ns > 190_000_000
            network.order(0, "cut")
            with pytest.raises(Exception, match=r"."):
                _run(link, "SELECT 1")
        with pytest.raises(Exception, match=r"."):
            _connect(kind, network.ports[0])
        network.order(0, "pass")
        with _connected(kind, network.ports[0]) as link:
            _run(link, "INSERT INTO told VALUES (3)")
            network.order(0, "mute")
            _send(link, kind, "INSERT INTO told VALUES (4)")
            assert place.query("SELECT n FROM told WHERE n = 4") == [(4,)]
        network.order(0, "pass")
        with _connected(kind, network.ports[0]) as link:
            network.order(0, "blackhole")
            _send(link, kind, "INSERT INTO told VALUES (5)")
            assert place.query("SELECT n FROM told WHERE n = 5") == []


def _send(link: Any, kind: str, statement: str) -> None:
    """A statement whose answer never comes: ended from this side after a while."""
    if kind == "postgresql":
        link.pgconn.send_query(statement.encode())
        link.pgconn.flush()
        assert select.select([link.fileno()], [], [], 0.5)[0] == []
        return
    with pytest.raises(Exception, match=r"."):
        _run(link, statement)
