"""What a task tells reaches the database through the finisher; what it prints stays output."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.telling import Advance, Progress, Told, read_told
from cronherd.engine.listening import Listening
from cronherd.store.base import Chunk, Claim
from cronherd.supervisor.base import Output
from tests.engine.stand_in import Rig, ended, started

ERROR = {"type": "ValueError", "message": "no such table", "traceback": "Traceback"}


def line(kind: str, value: Any) -> bytes:
    return json.dumps({kind: value}).encode() + b"\n"


class Node(Rig):
    """A node with one task that runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.run_id = self.request("task")
        self.one = self.claim()
        self.live.add([self.one])
        self.seq = 0
        self.say(started(self.one))

    def say(self, report: Any) -> None:
        self.supervisor.say(report, 10)
        self.finisher.tick()

    def tells(self, piece: bytes, stream: int = 3, claim: Claim | None = None) -> Output:
        self.seq += 1
        claim = claim or self.one
        return Output(
            run_id=claim.run_id, attempt=claim.attempt, token=claim.token, seq=self.seq,
            stream=stream, at_us=5_500_000, dropped=0, chunk=piece,
        )  # fmt: skip

    def told(self) -> Told:
        return read_told(self.store.told(self.run_id, 1))

    def progress(self) -> Progress | None:
        return self.store.find_run(self.run_id).progress


def piece_of(text: bytes) -> Chunk:
    return Chunk(
        run_id="r", token="t", attempt=1, seq=0, stream=3, at_us=0, dropped=0, chunk=text
    )  # fmt: skip


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_progress_is_seen_while_it_runs_and_makes_no_row(node: Node):
    node.say(node.tells(line("progress", [1, 3, "a"]) + line("progress", [2, 3, "b"])))
    assert node.progress() == Progress(2, 3, "b")
    node.say(node.tells(line("progress", [3, 3])))
    assert node.progress() == Progress(3, 3)
    assert node.store.told(node.run_id, 1) == b""
    heard = Listening(node.live).hear(node.one, piece_of(line("progress", [1, 2])))
    assert [type(each) for each in heard] == [Advance]


def test_a_result_is_kept_and_is_no_output(node: Node):
    node.say(node.tells(b"printed", stream=1))
    node.say(node.tells(line("result", {"rows": 5})))
    node.say(ended(node.one))
    assert node.told() == Told(result={"rows": 5})
    (piece,) = node.store.output(node.run_id, None, -1, 10)
    assert (piece.stream, piece.chunk) == (1, b"printed")
    assert node.store.find_run(node.run_id).error_text == ""


def test_an_exception_gives_the_end_its_words(node: Node):
    node.say(node.tells(line("error", ERROR)))
    node.say(ended(node.one, exit_code=1))
    assert node.told().error == ERROR
    run = node.store.find_run(node.run_id)
    assert (run.outcome, run.exit_code) == ("failed", 1)
    assert run.error_text == "ValueError: no such table"
    (attempt,) = node.store.attempts(node.run_id)
    assert (attempt.error, attempt.error_text) == ("", "ValueError: no such table")


@pytest.mark.parametrize("more", [{"error_text": "mine"}, {"killed_by": "timeout"}])
def test_what_the_supervisor_says_of_an_end_comes_first(node: Node, more: dict[str, Any]):
    node.say(node.tells(line("error", ERROR)))
    node.say(replace(ended(node.one, exit_code=1), **more))
    assert node.store.find_run(node.run_id).error_text == more.get("error_text", "")


@pytest.mark.parametrize(
    "junk",
    [
        b"\x00" * 1000,
        b"{" * 200_000,
        b'{"progress": [1e999]}\n',
        b"\xff\n" * 9,
        b'{"result": NaN}\n',
    ],
)
def test_junk_stops_nothing(node: Node, junk: bytes):
    node.say(node.tells(junk))
    node.say(node.tells(b"\n" + line("progress", [1, 2])))
    assert node.progress() == Progress(1, 2)
    node.say(node.tells(line("result", 7)))
    node.say(ended(node.one))
    assert node.told().result == 7
    assert node.told().notes == ("a line on descriptor 3 was not understood and was passed over",)
    assert node.store.find_run(node.run_id).outcome == "succeeded"


def test_a_line_that_a_crash_of_the_agent_cut_in_two_is_read_as_one(node: Node):
    said = line("result", list(range(100)))
    node.say(node.tells(said[:50]))
    node.begin()
    (held,) = node.store.held_by(node.node.id)
    node.live.add([held])
    node.say(node.tells(said[50:], claim=held))
    node.say(ended(held))
    assert node.told() == Told(result=list(range(100)))


def test_what_was_dropped_of_a_task_hides_no_result(node: Node):
    node.say(node.tells(b'{"progress": [1, 2]}\n{"progre'))
    node.say(replace(node.tells(b'ss": [9, 9]}\n' + line("result", 5)), dropped=70_000))
    node.say(ended(node.one))
    assert node.told().result == 5
    (note,) = node.told().notes
    assert note.startswith("70000 bytes on descriptor 3 were passed over")
    run = node.store.find_run(node.run_id)
    assert (run.outcome, run.dropped) == ("succeeded", 0)


def test_each_attempt_has_a_listener_of_its_own_and_none_is_left(node: Node):
    other = node.request("other")
    claim = node.claim()
    node.live.add([claim])
    node.say(node.tells(b'{"result": '))
    node.say(node.tells(line("result", 2), claim=claim))
    assert len(node.finisher._listening._listeners) == 2
    node.say(node.tells(b"1}\n"))
    node.say(ended(claim))
    node.say(ended(node.one))
    assert read_told(node.store.told(other, 1)).result == 2
    assert node.told().result == 1
    assert not node.finisher._listening._listeners


def test_a_run_that_was_taken_from_us_is_forgotten(node: Node):
    node.request("other")
    claim = node.claim()
    node.say(node.tells(b"x"))
    node.live.remove([(node.run_id, 1)])
    node.live.add([claim])
    node.say(node.tells(b"y", claim=claim))
    assert set(node.finisher._listening._listeners) == {(claim.run_id, 1)}
