"""Text that no database takes as it is: NUL, halves of characters, more than fits."""

from collections.abc import Callable
from typing import Any

import pytest

from cronherd.domain.errors import CronherdError
from cronherd.domain.event import EventKind
from cronherd.domain.ident import to_stored
from cronherd.domain.judge import judge, lost_exit
from cronherd.store.database import one
from cronherd.store.facts import JobWrite
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import Stage

BAD = ["nul \x00 byte", "half \ud800 pair", "byte \udcff of a path", "x" * 5000, "☃" * 5000]
IDS = ["nul", "surrogate", "escaped", "long", "wide"]
bad_words = pytest.mark.parametrize("words", BAD, ids=IDS)


def readable(words: str, shown: str) -> bool:
    """What can be kept of it was kept."""
    return shown[:4] == words[:4] and "\x00" not in shown and shown.isprintable()


@bad_words
@pytest.mark.parametrize("code", [1, None])
def test_an_end_with_strange_words_is_stored(stage: Stage, words: str, code: int | None):
    """Otherwise its report would be sent again for ever, and its permit held for ever."""
    stage.request(stage.job())
    claim = stage.one_claim()
    error = "" if code else "no_command"
    assert stage.end(claim, exit_code=code, error=error, error_text=words).stale == []
    run = stage.store.find_run(claim.run_id)
    assert readable(words, run.error_text)
    (attempt,) = stage.store.attempts(run.id)
    assert attempt.error_text == run.error_text
    assert stage.permits() == 0


@bad_words
def test_many_ends_with_strange_words_are_stored(stage: Stage, words: str):
    job_id = stage.job(overlap="allow")
    for number in range(3):
        stage.request(job_id, f"m:{number}")
    claims = stage.claim()
    stage.end(*claims, exit_code=1, error_text=words)
    assert all(readable(words, run.error_text) for run in stage.runs())


@bad_words
def test_a_correction_with_strange_words_is_stored(stage: Stage, words: str):
    stage.request(stage.job())
    claim = stage.one_claim()
    seen = lost_exit(None, stage.now_us, words)
    stage.store.record([], [], [claim.ended(seen, judge(claim.job, 1, seen, 0.5))])
    stage.end(claim, exit_code=1, error_text=words)
    run = stage.store.find_run(claim.run_id)
    assert run.outcome == "failed"
    assert readable(words, run.error_text)


@bad_words
def test_an_event_about_strange_words_is_stored(stage: Stage, words: str):
    stage.job()
    stage.advance(60)
    with stage.store.fire(10) as batch:
        batch.push_ahead(batch.due[0], words)
        batch.commit([], None)
    (event,) = [e for e in stage.store.events(9) if e.kind is EventKind.JOB_POISONED]
    assert readable(words, event.text)


@bad_words
def test_an_actor_with_strange_words_is_stored(stage: Stage, words: str):
    job_id = stage.job()
    stage.store.pause_job(job_id, stage.now_us + 1, words)
    stage.store.set_hold(words, hold=True)
    assert stage.store.look(stage.node.id, 0).hold
    assert all(readable(words, event.actor) for event in stage.store.events(2))


def save_as(stage: Stage, words: str) -> None:
    """The author of a version."""
    row = stage.store.find_job("job")
    write = JobWrite(id=row.id, job=row.job, enabled=True, source="test", version=1)
    stage.store.save_jobs([write], words)


def save_from(stage: Stage, words: str) -> None:
    """The file that a job came from: a path may be any bytes."""
    row = stage.store.find_job("job")
    write = JobWrite(id=row.id, job=row.job, enabled=True, source=words, version=1)
    stage.store.save_jobs([write], "me")


@bad_words
@pytest.mark.parametrize("save", [save_as, save_from])
def test_whoever_saved_a_job_is_kept_or_refused_in_a_sentence(
    stage: Stage, words: str, save: Callable[[Stage, str], None]
):
    stage.job()
    told(lambda: save(stage, words))
    assert stage.store.find_job("job").version in {1, 2}


def told(verb: Callable[[], Any]) -> None:
    """It works, or it says in a sentence why not, and not that the database were gone."""
    try:
        verb()
    except CronherdError as error:
        said = error
    else:
        return
    assert said.code != "database_lost"
    assert "\n" not in said.text


@bad_words
def test_looking_for_strange_words_ends_in_a_sentence(store: SqlStore, words: str):
    told(lambda: store.find_job(words))
    told(lambda: store.jobs_by_key([words, "b"]))
    told(lambda: store.find_run(words))
    told(lambda: store.claimed_by("0" * 32, words))
    assert store.jobs() == []


@bad_words
def test_what_no_database_takes_is_refused_in_a_sentence_and_rolled_back(stage: Stage, words: str):
    stored = to_stored(stage.job())

    def spoil() -> None:
        with stage.store.db.write() as connection:
            one(connection, "UPDATE job SET name = ? WHERE id = ?", ("other", stored))
            one(connection, "UPDATE job SET name = ? WHERE id = ?", (words, stored))

    told(spoil)
    assert stage.job("fresh")
