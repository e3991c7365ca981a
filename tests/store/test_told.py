"""What tasks tell: progress of what runs, by the claim's token, and what is kept beside output."""

from typing import Any

from cronherd.domain.telling import STORED_LENGTH, Advance, Progress
from cronherd.store.base import Claim, Start
from tests.store.stage import Stage, chunk


def advance(claim: Claim, stored: str, token: str = "") -> Advance:
    return Advance(run_id=claim.run_id, token=token or claim.token, stored=stored)


def begun(stage: Stage, name: str = "job", **spec: Any) -> Claim:
    """A run that runs."""
    stage.request(stage.job(name, **spec))
    claim = stage.one_claim()
    stage.start(claim)
    return claim


def progress(stage: Stage, claim: Claim) -> Progress | None:
    run = stage.store.find_run(claim.run_id)
    listed = next(other for other in stage.runs() if other.id == claim.run_id)
    assert listed.progress == run.progress
    return run.progress


def test_the_last_progress_of_a_batch_counts_for_each_run(stage: Stage):
    one, two = begun(stage, "one"), begun(stage, "two")
    told = [advance(one, '[1,9,"a"]'), advance(two, '[5,null,""]'), advance(one, '[2,9,"bé"]')]
    assert stage.store.record([], [], [], told).stale == []
    assert progress(stage, one) == Progress(2, 9, "bé")
    assert progress(stage, two) == Progress(5)
    stage.store.record([], [], [], [advance(one, '[3,9,""]')])
    assert progress(stage, one) == Progress(3, 9)


def test_one_statement_writes_a_run_once_in_a_batch(stage: Stage):
    claim = begun(stage)
    stage.write("UPDATE run SET progress = NULL WHERE 1 = 1")
    stage.store.record([], [], [], [advance(claim, f'[{n},9,""]') for n in range(9)])
    assert stage.fetch("SELECT progress FROM run") == [('[8,9,""]',)]


def test_progress_with_another_token_changes_nothing_and_is_stale(stage: Stage):
    claim = begun(stage)
    stage.store.record([], [], [], [advance(claim, '[1,2,""]')])
    answer = stage.store.record([], [], [], [advance(claim, '[2,2,""]', token="f" * 32)])
    assert answer.stale == [claim.run_id]
    assert progress(stage, claim) == Progress(1, 2)


def test_progress_counts_only_while_it_runs(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    stage.store.record([], [], [], [advance(claim, '[1,2,""]')])
    assert stage.fetch("SELECT progress FROM run") == [(None,)]
    stage.start(claim)
    stage.store.record([], [], [], [advance(claim, '[1,2,""]')])
    assert progress(stage, claim) == Progress(1, 2)
    stage.end(claim)
    stage.store.record([], [], [], [advance(claim, '[2,2,""]')])
    assert progress(stage, claim) is None


def test_progress_of_the_batch_in_which_it_starts_or_ends(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    starts = [start_of(stage, claim)]
    stage.store.record(starts, [], [], [advance(claim, '[1,2,""]')])
    assert progress(stage, claim) == Progress(1, 2)
    ending = stage.ending(claim)
    assert stage.store.record([], [], [ending], [advance(claim, '[2,2,""]')]).stale == []
    assert progress(stage, claim) is None


def start_of(stage: Stage, claim: Claim) -> Start:
    return Start(run_id=claim.run_id, token=claim.token, at_us=stage.now_us, pid=7)


def test_the_next_attempt_begins_without_the_progress_of_the_last(stage: Stage):
    claim = begun(stage, retries={"max": 1, "backoff": "1s"})
    stage.store.record([], [], [], [advance(claim, '[1,2,""]')])
    stage.end(claim, exit_code=1)
    assert progress(stage, claim) is None
    stage.advance(2)
    stage.settle()
    second = stage.one_claim()
    assert progress(stage, second) is None
    stage.start(second)
    assert progress(stage, second) is None


def test_progress_as_long_as_it_may_be_fits(stage: Stage):
    claim = begun(stage)
    stored = Progress(-1e15, 0.1 + 0.2, '\U0001f600"' * 200).stored()
    assert STORED_LENGTH - 2 <= len(stored) <= STORED_LENGTH
    stage.store.record([], [], [], [advance(claim, stored)])
    found = progress(stage, claim)
    assert found is not None
    assert (found.done, found.total) == (-1e15, 0.1 + 0.2)


def test_what_is_kept_of_a_task_is_no_output(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    pieces = [chunk(claim, seq, b"%d" % seq, stream=1 + seq % 3) for seq in range(9)]
    stage.store.record([], pieces[4:], [])
    stage.store.record([], pieces, [])
    assert [p.chunk for p in stage.store.output(claim.run_id, None, -1, 99)] == [
        b"0", b"1", b"3", b"4", b"6", b"7",
    ]  # fmt: skip
    assert [p.seq for p in stage.store.output(claim.run_id, 1, 1, 2)] == [3, 4]
    assert stage.store.told(claim.run_id, 1) == b"258"
    assert stage.store.told(claim.run_id, 2) == stage.store.told(stage.new_id(), 1) == b""


def test_what_is_kept_of_a_task_goes_with_its_run(stage: Stage):
    job_id = stage.job(retention={"age": "1d", "runs": 1})
    claims = []
    for number in range(2):
        stage.request(job_id, f"m:{number}")
        claims.append(stage.one_claim())
        kept = chunk(claims[-1], 0, b"x", stream=3)
        stage.store.record([], [kept], [stage.ending(claims[-1])])
    stage.clock.advance(2 * 86_400)
    stage.store.prune(10**15, 100)
    assert [stage.store.told(claim.run_id, 1) for claim in claims] == [b"", b"x"]
