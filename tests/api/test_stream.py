"""Live views: output as it comes, and what changes, from one reader for all."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cronherd.api import hub as hub_file
from cronherd.api import stream as stream_file
from cronherd.api.app import build_app
from cronherd.api.hub import Hub
from cronherd.api.seat import MESSAGES_MAX, Message, Seat
from cronherd.api.server import ApiServer
from cronherd.client import Client, connect_to
from cronherd.domain.access import LOCAL
from cronherd.domain.errors import NotFound, Unavailable
from tests.api.always import Always
from tests.api.conftest import Send
from tests.api.stand_in import StandIn

WAIT_S = 10.0


@pytest.fixture(autouse=True)
def _quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_file, "LOOK_S", 0.05)
    monkeypatch.setattr(hub_file, "FOLLOW_S", 0.05)


@pytest.fixture
def app(service: StandIn) -> Any:
    return build_app(service, who=Always(LOCAL))


@pytest.fixture
def socket_path(folder: Path) -> Path:
    return folder / "run" / "api.sock"


@pytest.fixture
def server(app: Any, socket_path: Path) -> Iterator[ApiServer]:
    served = ApiServer(app, socket_path)
    served.start()
    yield served
    app.state.hub.close()
    served.stop()


@pytest.fixture
def run(client: Client, service: StandIn) -> str:
    client.create_job({"name": "nightly"}, "me")
    return str(client.run_job("nightly", "me")["run"]["id"])


# ------------------------------------------------------------------ output, a piece a line


def test_it_streams_pieces_until_the_run_has_ended(client: Client, service: StandIn, run: str):
    pieces = client.follow_output(run)
    service.add_piece(run, "a")
    assert next(pieces)["bytes"] == "a"
    every_byte = bytes(range(256)).decode("latin-1")
    service.add_piece(run, every_byte)  # the first was read before this one existed
    assert next(pieces)["bytes"] == every_byte
    service.finish(run)
    assert [last["run"]["state"] for last in pieces] == ["finished"]


def test_it_sends_one_document_a_line(send: Send, service: StandIn, run: str):
    service.add_piece(run, "a\nb")
    service.finish(run)
    reply = send("GET", f"/runs/{run}/output?follow=true")
    assert reply.headers["Content-Type"] == "application/x-ndjson"
    lines = [line for line in reply.content.split(b"\n") if line]
    assert len(lines) == 2
    assert b'"bytes":"a\\nb"' in lines[0]


def test_it_streams_a_large_piece(client: Client, service: StandIn, run: str):
    service.add_piece(run, "\xff\x00" * (128 << 10))
    service.finish(run)
    assert len(next(client.follow_output(run))["bytes"]) == 256 << 10


def test_a_reader_who_is_slow_misses_nothing(client: Client, service: StandIn, run: str):
    for number in range(300):
        service.add_piece(run, f"{number:06}" * 10_000)
    pieces = client.follow_output(run)
    first = next(pieces)
    threading.Event().wait(0.5)  # the hub has long read as much as it keeps for one
    service.finish(run)
    found = [first, *pieces]
    assert [piece["seq"] for piece in found[:-1]] == list(range(300))
    assert found[-1]["run"]["state"] == "finished"


def test_who_comes_later_reads_all_of_it_too(client: Client, service: StandIn, run: str):
    early = client.follow_output(run)
    service.add_piece(run, "a")
    next(early)
    late = client.follow_output(run)
    assert next(late)["bytes"] == "a"
    service.add_piece(run, "b")
    assert [next(early)["bytes"], next(late)["bytes"]] == ["b", "b"]
    service.finish(run)
    assert [len(list(early)), len(list(late))] == [1, 1]


def test_it_says_that_a_run_is_not_there_before_it_streams(client: Client, send: Send):
    assert send("GET", "/runs/ffffff/output?follow=true").status == 404
    with pytest.raises(NotFound, match="there is no run 'ffffff'"):
        next(client.follow_output("ffffff"))


def test_it_tells_an_error_within_a_stream(client: Client, service: StandIn, run: str):
    service.add_piece(run, "a")
    pieces = client.follow_output(run)
    assert next(pieces)["bytes"] == "a"
    service.fault = Unavailable("the database went away", code="database_failed")
    with pytest.raises(Unavailable, match="the database went away") as caught:
        next(pieces)
    assert caught.value.code == "database_failed"


def test_it_ends_streams_when_the_service_closes(
    client: Client, service: StandIn, server: ApiServer, app: Any, run: str
):
    pieces = client.follow_output(run)
    service.add_piece(run, "a")
    next(pieces)
    app.state.hub.close()
    server.stop()
    assert [last["run"]["state"] for last in pieces] == ["running"]


def test_it_stops_although_a_stream_waits_for_ever(
    client: Client, service: StandIn, server: ApiServer, run: str
):
    pieces = client.follow_output(run)
    service.add_piece(run, "a")
    next(pieces)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    stopping.join(1.0)
    assert not stopping.is_alive()
    with pytest.raises(Unavailable) as caught:
        next(pieces)
    assert caught.value.code == "no_answer"


def test_many_who_follow_cost_one_read(client: Client, service: StandIn, app: Any, run: str):
    service.add_piece(run, "a")
    followers = [client.follow_output(run) for _ in range(60)]
    for pieces in followers:
        next(pieces)
    assert client.health()["status"] == "ok"
    before, looks = service.asked.copy(), app.state.hub.looks
    threading.Event().wait(0.5)
    looks = app.state.hub.looks - looks
    read = service.asked - before
    assert 2 <= looks < 20
    assert read["fresh_output"] <= looks + 1
    assert read["live_runs"] <= looks + 1
    for pieces in followers:
        pieces.close()  # type: ignore[attr-defined]


# ------------------------------------------------------------------ server-sent events


class Events:
    """The events of one stream, each (kind, id, document)."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[tuple[str, str, Any]]:
        told: dict[str, str] = {}
        while line := self._answer.readline():
            name, colon, value = line.decode().rstrip("\n").partition(": ")
            if colon:
                told[name] = value
            elif told and not name:
                yield told["event"], told.get("id", ""), json.loads(told["data"])
                told = {}

    def until(self, kind: str) -> tuple[str, Any]:
        """The id and the document of the next event of a kind."""
        return next((event_id, document) for name, event_id, document in self if name == kind)


@contextmanager
def watching(path: Path, query: str, last: str | None = None) -> Iterator[Events]:
    with (
        closing(http.client.HTTPConnection("localhost")) as connection,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection.sock,
    ):
        connection.sock.settimeout(WAIT_S)
        connect_to(connection.sock, path)
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        connection.request("GET", f"/api/v1/stream?{query}", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert answer.headers["Cache-Control"] == "no-store"
        yield Events(answer)


@pytest.mark.usefixtures("server")
def test_a_view_is_told_when_something_changes(
    client: Client, service: StandIn, run: str, socket_path: Path
):
    query = f"topic=overview&topic=job:NIGHTLY&topic=runs&topic=run:{run}&topic=events"
    with watching(socket_path, query) as events:
        assert events.until("overview")[1]["counts"]["jobs"] == 1
        assert events.until("run")[1]["run"]["id"] == run
        client.create_job({"name": "other"}, "me")
        assert events.until("overview")[1]["counts"]["jobs"] == 2
        client.set_enabled("nightly", "me", enabled=False)
        assert events.until("job")[1]["job"]["enabled"] is False
        service.add_piece(run, "x")
        assert events.until("output")[1]["items"][0]["bytes"] == "x"
        service.finish(run)
        assert events.until("runs")[1]["items"][0]["state"] == "finished"
        assert events.until("end")[1]["run"]["outcome"] == "succeeded"


@pytest.mark.usefixtures("server")
def test_a_view_goes_on_where_it_was(service: StandIn, run: str, socket_path: Path):
    for text in "abc":
        service.add_piece(run, text)
    with watching(socket_path, f"topic=run:{run}&topic=overview") as events:
        seen = events.until("output")[0]
    service.add_piece(run, "d")
    with watching(socket_path, f"topic=run:{run}&topic=overview", seen) as events:
        _, document = events.until("output")
    assert [piece["bytes"] for piece in document["items"]] == ["d"]
    other_life = "00000000." + seen.partition(".")[2]  # of another process: the place still counts
    with watching(socket_path, f"topic=run:{run}&topic=overview", other_life) as events:
        assert events.until("overview")[1]["counts"]["jobs"] == 1
        assert [p["bytes"] for p in events.until("output")[1]["items"]] == ["d"]


@pytest.mark.usefixtures("server")
def test_a_view_that_was_away_is_told_the_changes_or_that_it_missed_some(
    client: Client, service: StandIn, run: str, socket_path: Path
):
    with watching(socket_path, "topic=runs&topic=events") as keeps_the_hub_awake:
        with watching(socket_path, "topic=runs") as events:
            keeps_the_hub_awake.until("events")
            service.runs[run]["node"] = "a"
            seen, _ = events.until("runs")
        service.runs[run]["node"] = "b"
        keeps_the_hub_awake.until("runs")
        keeps_the_hub_awake.until("runs")
        with watching(socket_path, "topic=runs", seen) as events:
            assert events.until("runs")[1]["items"][0]["node"] == "b"
    with watching(socket_path, "topic=runs", "00000000.7") as events:
        assert events.until("reload")[1] == {"reason": "missed"}
    del client


@pytest.mark.usefixtures("server")
def test_a_database_that_is_away_ends_no_view(service: StandIn, socket_path: Path):
    with watching(socket_path, "topic=overview") as events:
        events.until("overview")
        service.fault = Unavailable("away", code="database_lost")
        assert events.until("problem")[1]["problem"]["code"] == "database_lost"
        service.fault = None
        service.jobs["x"] = {"name": "x"}
        service.heard.append(("made",))
        assert events.until("overview")[1]["counts"]["jobs"] == 1


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 422, "missing"),
        ("topic=weather", 422, "bad_topic"),
        ("topic=job:none", 404, "no_job"),
        ("topic=run:abc", 404, "no_run"),
        ("&".join(["topic=overview"] * 21), 422, "bad_topic"),
    ],
)
def test_what_nobody_can_watch_is_said_before_the_stream(
    send: Send, query: str, status: int, code: str
):
    reply = send("GET", f"/stream?{query}")
    assert (reply.status, reply.document["code"]) == (status, code)


@pytest.mark.usefixtures("server")
def test_nobody_watches_and_nothing_is_read(service: StandIn, app: Any, socket_path: Path):
    assert service.asked["pulse"] == 0
    with watching(socket_path, "topic=overview") as events:
        events.until("overview")
    hub: Hub = app.state.hub
    for _ in range(100):
        if hub._thread is None:
            break
        threading.Event().wait(0.05)
    assert hub.viewers == 0
    looked = service.asked["pulse"]
    threading.Event().wait(0.3)
    assert service.asked["pulse"] == looked > 0


def test_a_view_ends_after_its_time_to_be_opened_again(
    monkeypatch: pytest.MonkeyPatch, server: ApiServer, socket_path: Path
):
    monkeypatch.setattr(stream_file, "BEAT_S", 0.05)
    monkeypatch.setattr(stream_file, "BEATS", 3)
    with watching(socket_path, "topic=overview") as events:
        assert [kind for kind, _, _ in events] == ["overview"]


# ------------------------------------------------------------------ bounds


def _run(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """In a thread of its own: a browser in this process leaves its loop in the main one."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(work())).result()


def test_there_are_so_many_seats_only(service: StandIn):
    async def sit() -> None:
        hub = Hub(service, seats=1)
        first = Seat(frozenset({"overview"}))
        hub.open(first)
        with pytest.raises(Unavailable) as caught:
            hub.open(Seat(frozenset({"overview"})))
        assert caught.value.code == "too_many_streams"
        hub.leave(first)
        hub.open(Seat(frozenset({"overview"})))
        hub.close()

    _run(sit)


def test_who_takes_nothing_is_dropped_and_told_to_load_again():
    async def sit() -> None:
        seat = Seat(frozenset({"runs"}))
        whole = Message(kind="overview", content=b"1", topic="overview")
        assert all(seat.put(whole) for _ in range(1_000))  # only the newest is kept
        assert len(seat.take()[0]) == 1
        taken = [seat.put(Message(kind="runs", content=b"1")) for _ in range(MESSAGES_MAX + 1)]
        assert (taken.count(True), taken[-1]) == (MESSAGES_MAX, False)
        assert not seat.put(whole)
        messages, ended = seat.take()
        assert ([message.kind for message in messages], ended) == (["reload"], True)

    _run(sit)
