"""One report that the database refuses, or a database that is slow, stops no other report."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cronherd.domain.errors import StatementRefused, Unavailable
from cronherd.domain.event import EventKind
from cronherd.domain.run import Cause
from cronherd.domain.telling import Advance
from cronherd.store.base import Chunk, Claim, Ending, Recorded, Start
from cronherd.supervisor.base import Output, SupervisorGone
from tests.engine.stand_in import Rig, ended, started

Told = Start | Chunk | Ending | Advance


class Server:
    """The real store behind a server with rules of its own; counts what each call brought."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses: Callable[[Told], bool] = lambda _: False
        self.takes = 10_000
        self.sizes: list[int] = []
        self.stored: list[Told] = []
        self._record = rig.store.record
        monkeypatch.setattr(rig.store, "record", self.record)

    def record(
        self,
        starts: Sequence[Start],
        chunks: Sequence[Chunk],
        endings: Sequence[Ending],
        advances: Sequence[Advance] = (),
    ) -> Recorded:
        told: list[Told] = [*starts, *chunks, *endings, *advances]
        self.sizes.append(len(told))
        if len(told) > self.takes:
            raise Unavailable("the call took longer than its deadline")
        if any(map(self.refuses, told)):
            raise StatementRefused("nobody can store that")
        answer = self._record(starts, chunks, endings, advances)
        self.stored += told
        return answer


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, capacity=100)


@pytest.fixture
def server(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Server:
    return Server(rig, monkeypatch)


def wrote(claim: Claim, seq: int, chunk: bytes) -> Output:
    return Output(
        run_id=claim.run_id, attempt=claim.attempt, token=claim.token, seq=seq, stream=1,
        at_us=5_500_000, dropped=0, chunk=chunk,
    )  # fmt: skip


def run_all(rig: Rig, count: int, chunk: bytes = b"words") -> list[Claim]:
    """So many runs, each told from start to end."""
    claims = []
    for number in range(count):
        rig.request(f"job-{number}")
        claims.append(rig.claim())
    rig.live.add(claims)
    for claim in claims:
        for report in (started(claim), wrote(claim, 0, chunk), ended(claim)):
            rig.supervisor.say(report, 10)
    return claims


def states(rig: Rig, claims: Sequence[Claim]) -> list[str]:
    return [rig.state(claim.run_id) for claim in claims]


def tick_until_acked(rig: Rig) -> None:
    for _ in range(50):
        try:
            rig.finisher.tick()
        except Unavailable:
            continue
        if rig.supervisor.acked == 10 and not rig.finisher.busy:
            return
    raise AssertionError("it was never acknowledged")


def test_output_that_is_refused_is_told_as_dropped_and_stops_nobody(
    rig: Rig, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    claims = run_all(rig, 20)
    bad = claims[7].run_id
    server.refuses = lambda r: isinstance(r, Chunk) and r.run_id == bad and r.chunk == b"words"
    tick_until_acked(rig)
    assert states(rig, claims) == ["succeeded"] * 20
    for claim in claims:
        (piece,) = rig.store.output(claim.run_id, None, -1, 10)
        lost = claim.run_id == bad
        assert (piece.chunk, piece.dropped) == ((b"", 5) if lost else (b"words", 0))
    assert f"job-7: 5 bytes of output of run {bad[:8]}" in caplog.text
    noted = [event for event in rig.store.events(99) if event.kind is EventKind.REPORT_REFUSED]
    assert [(event.subject, event.text[:17]) for event in noted] == [("job-7", "5 bytes of output")]
    assert len(server.sizes) < 40, "halves, not one by one"


def test_an_end_whose_words_are_refused_keeps_its_outcome(rig: Rig, server: Server) -> None:
    claims = run_all(rig, 3)
    rig.request("speaker")
    speaker = rig.claim()
    rig.live.add([speaker])
    rig.supervisor.say(replace(ended(speaker, exit_code=3), error_text="wörter"), 10)
    server.refuses = lambda r: isinstance(r, Ending) and not r.exit.error_text.isascii()
    tick_until_acked(rig)
    assert states(rig, [*claims, speaker]) == ["succeeded"] * 3 + ["failed"]
    (attempt,) = rig.store.attempts(speaker.run_id)
    assert (attempt.exit_code, attempt.error_text) == (3, "w?rter")


def test_an_end_whose_figures_are_refused_keeps_its_outcome(rig: Rig, server: Server) -> None:
    rig.request("eater")
    eater = rig.claim()
    rig.live.add([eater])
    rig.supervisor.say(replace(ended(eater), peak_rss_bytes=1 << 70), 10)
    rig.finisher.tick()  # alone, and refused by the real database
    assert (rig.state(eater.run_id), rig.supervisor.acked) == ("succeeded", 10)


def test_an_end_that_cannot_be_stored_is_left_open_loudly_once_and_stops_nobody(
    rig: Rig, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    claims = run_all(rig, 12)
    bad = claims[0]
    server.refuses = lambda r: isinstance(r, Ending) and r.run_id == bad.run_id
    tick_until_acked(rig)
    rig.finisher.tick()
    assert states(rig, claims) == ["running"] + ["succeeded"] * 11
    lines = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [bad.run_id[:8] in line.getMessage() for line in lines] == [True]
    assert "the run stays open" in caplog.text


def test_a_run_whose_end_is_given_up_is_not_started_again(rig: Rig, server: Server) -> None:
    claims = run_all(rig, 1)
    rig.request("short")
    short = rig.claim()
    rig.live.add([short])
    rig.supervisor.say(ended(short), 10)  # its end alone says that it started
    server.refuses = lambda r: isinstance(r, Ending) and r.run_id == short.run_id
    tick_until_acked(rig)
    assert states(rig, [*claims, short]) == ["succeeded", "running"]
    assert rig.finisher.knows(short.run_id, short.attempt), "a stray would be given back"
    rig.begin()
    rig.reaper.settle(rig.node.id, same_boot=True)
    assert rig.state(short.run_id) == "running", "still refused"
    server.refuses = lambda _: False
    rig.begin()
    rig.reaper.settle(rig.node.id, same_boot=True)
    assert rig.state(short.run_id) == "lost"


def test_a_server_that_refuses_everything_loses_nothing(rig: Rig, server: Server) -> None:
    claims = run_all(rig, 30)
    server.refuses = lambda _: True
    for _ in range(3):
        with pytest.raises(StatementRefused):
            rig.finisher.tick()
    assert rig.supervisor.acked == 0
    assert len(server.sizes) < 200, "it is asked again and again for each report"
    server.refuses = lambda _: False
    tick_until_acked(rig)
    assert states(rig, claims) == ["succeeded"] * 30
    assert all(rig.store.output(claim.run_id, None, -1, 10) for claim in claims)


def test_what_is_refused_waits_behind_the_others_until_one_is_taken(
    rig: Rig, server: Server
) -> None:
    many = run_all(rig, 12)
    bad = {claim.run_id for claim in many}
    server.refuses = lambda r: r.run_id in bad
    with pytest.raises(StatementRefused):
        rig.finisher.tick()
    rig.request("good")
    good = rig.claim()
    rig.live.add([good])
    rig.supervisor.say(ended(good), 10)
    for _ in range(3):
        if rig.supervisor.acked:
            break
        try:
            rig.finisher.tick()
        except StatementRefused:
            continue
    assert (rig.state(good.run_id), rig.supervisor.acked) == ("succeeded", 10)


def test_a_dead_supervisor_is_noticed_while_something_is_refused(rig: Rig, server: Server) -> None:
    run_all(rig, 1)
    server.refuses = lambda _: True
    rig.supervisor.lost = True
    with pytest.raises(StatementRefused):
        rig.finisher.tick()
    with pytest.raises(SupervisorGone):
        rig.finisher.tick()
    assert rig.supervisor.acked == 0


def test_a_slow_server_is_given_less_until_it_takes_it_and_then_more_again(
    rig: Rig, server: Server
) -> None:
    claims = run_all(rig, 40)
    server.takes = 20
    told = 0
    for _ in range(12):
        try:
            rig.finisher.tick()
            break
        except Unavailable:
            assert len(server.stored) >= told
            told = len(server.stored)
    assert server.sizes[:4] == [120, 60, 30, 15], "each try is half of the one before"
    assert told >= 15, "a try that fails afterwards takes back what was stored"
    server.takes = 10_000
    server.sizes.clear()
    tick_until_acked(rig)
    assert states(rig, claims) == ["succeeded"] * 40
    more = run_again(rig, 40)
    server.sizes.clear()
    rig.finisher.tick()
    rig.finisher.tick()
    assert states(rig, more) == ["succeeded"] * 40
    assert max(server.sizes) > 20, "it stays small for ever"


def run_again(rig: Rig, count: int) -> list[Claim]:
    """As many runs of other jobs."""
    claims = []
    for number in range(count):
        rig.request(f"more-{number}")
        claims.append(rig.claim())
    rig.live.add(claims)
    for claim in claims:
        rig.supervisor.say(ended(claim), 10)
    return claims


def test_a_report_that_takes_all_of_the_time_is_tried_alone(rig: Rig, server: Server) -> None:
    claims = run_all(rig, 3)
    server.takes = 1
    tick_until_acked(rig)
    assert states(rig, claims) == ["succeeded"] * 3


def test_reports_of_a_run_are_stored_in_their_order(rig: Rig, server: Server) -> None:
    claims = run_all(rig, 20)
    bad = claims[9].run_id
    server.refuses = lambda r: isinstance(r, Chunk) and r.run_id == bad and bool(r.chunk)
    server.takes = 7
    tick_until_acked(rig)
    for claim in claims:
        kinds = [type(told) for told in server.stored if told.run_id == claim.run_id]
        assert kinds == [Start, Chunk, Ending]


def test_what_a_stored_end_freed_is_handed_on_at_once_and_the_end_is_told(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "cronherd")
    rig.request("job", overlap="queue")
    claim = rig.claim()
    rig.live.add([claim])
    second = rig.new_id()
    rig.store.request_run(claim.job_id, second, "m:second", Cause.MANUAL, force=False)
    assert rig.state(second) == "waiting"
    rig.supervisor.say(ended(claim), 10)
    rig.finisher.tick()
    assert rig.state(second) == "ready"
    assert f"job: succeeded after 1s, run {claim.run_id[:8]}" in caplog.text
