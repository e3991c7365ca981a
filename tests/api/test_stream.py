"""Output as it comes."""

import threading

import pytest

from cronherd.api.server import ApiServer
from cronherd.api.stream import Seats
from cronherd.client import Client
from cronherd.domain.errors import NotFound, Unavailable
from tests.api.conftest import Send
from tests.api.stand_in import StandIn


@pytest.fixture
def run(client: Client, service: StandIn) -> str:
    client.create_job({"name": "nightly"}, "me")
    return str(client.run_job("nightly", "me")["run"]["id"])


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


def test_it_says_that_a_run_is_not_there_before_it_streams(client: Client, send: Send):
    assert send("GET", "/runs/ffffff/output?follow=true").status == 404
    with pytest.raises(NotFound, match="there is no run 'ffffff'"):
        next(client.follow_output("ffffff"))


def test_it_tells_an_error_within_a_stream(client: Client, service: StandIn, run: str):
    service.add_piece(run, "a")
    service.fault = Unavailable("the database went away", code="database_failed")
    pieces = client.follow_output(run)
    assert next(pieces)["bytes"] == "a"
    with pytest.raises(Unavailable, match="the database went away") as caught:
        next(pieces)
    assert caught.value.code == "database_failed"


def test_it_ends_streams_when_the_service_closes(
    client: Client, service: StandIn, server: ApiServer, run: str
):
    pieces = client.follow_output(run)
    service.add_piece(run, "a")
    next(pieces)
    assert service.waiting.wait(5)
    service.close()
    server.stop()
    assert [last["run"]["state"] for last in pieces] == ["running"]


def test_it_stops_although_a_stream_waits_for_ever(
    client: Client, service: StandIn, server: ApiServer, run: str
):
    pieces = client.follow_output(run)
    service.add_piece(run, "a")
    next(pieces)
    assert service.waiting.wait(5)
    stopping = threading.Thread(target=server.stop)
    stopping.start()
    stopping.join(1.0)
    assert not stopping.is_alive()
    with pytest.raises(Unavailable) as caught:
        next(pieces)
    assert caught.value.code == "no_answer"


def test_it_answers_others_while_many_follow(client: Client, service: StandIn, run: str):
    followers = [client.follow_output(run) for _ in range(60)]
    service.add_piece(run, "a")
    for pieces in followers:
        next(pieces)
    assert client.health()["status"] == "ok"
    for pieces in followers:
        pieces.close()  # type: ignore[attr-defined]


def test_it_notices_at_the_next_beat_that_a_reader_has_left(
    client: Client, service: StandIn, run: str
):
    pieces = client.follow_output(run)
    service.add_piece(run, "a")
    next(pieces)
    assert service.waiting.wait(5)
    pieces.close()  # type: ignore[attr-defined]
    client.health()  # the server has read the end of the stream's connection by now
    service.news.release(2)
    assert service.left.wait(5)


def test_it_has_a_limited_number_of_seats_and_gets_them_back():
    seats = Seats(1)
    first = seats.lines(iter([{"a": 1}]))
    with pytest.raises(Unavailable) as caught:
        seats.lines(iter([]))
    assert caught.value.code == "too_many_streams"
    assert list(first) == [b'{"a":1}\n']
    unread = seats.lines(iter([{}, {"a": 1}]))
    assert next(unread) == b"\n"
    unread.close()
    assert list(seats.lines(iter([]))) == []
