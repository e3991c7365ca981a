"""How runs end is told in lines a person can read, and a burst as a number."""

import logging

import pytest

from cronherd.domain.judge import Verdict
from cronherd.domain.run import Exit, Outcome
from cronherd.engine.clock import FakeClock
from cronherd.engine.crier import LINES, Crier
from cronherd.store.base import Ending

SECOND_US = 1_000_000


def _ending(outcome: Outcome, *, wait_us: int | None = None, **seen: object) -> Ending:
    words: dict[str, object] = {"started_us": 0, "ended_us": 2 * SECOND_US, **seen}
    return Ending(
        run_id="0123456789abcdef0123456789abcdef",
        job_id="j" * 32,
        token="t",
        attempt=1,
        exit=Exit(**words),  # type: ignore[arg-type]
        verdict=Verdict(outcome=outcome, wait_us=wait_us),
    )


@pytest.mark.parametrize(
    ("ending", "sentence", "level"),
    [
        (
            _ending(Outcome.SUCCEEDED, exit_code=0),
            "backup: succeeded after 2s, run 01234567",
            logging.INFO,
        ),
        (
            _ending(Outcome.FAILED, exit_code=3, wait_us=5),
            "backup: failed after 2s with exit code 3 and is tried again, run 01234567",
            logging.WARNING,
        ),
        (
            _ending(Outcome.TIMED_OUT, signal=9),
            "backup: timed out after 2s by signal 9, run 01234567",
            logging.WARNING,
        ),
        (
            _ending(Outcome.NOT_STARTED, started_us=None, error_text="no such file"),
            "backup: not started (no such file), run 01234567",
            logging.WARNING,
        ),
    ],
)
def test_it_says_how_a_run_ended(
    caplog: pytest.LogCaptureFixture, ending: Ending, sentence: str, level: int
) -> None:
    caplog.set_level(logging.INFO, logger="cronherd")
    Crier(FakeClock()).tell([("backup", ending)])
    assert [(record.message, record.levelno) for record in caplog.records] == [(sentence, level)]


def test_it_counts_what_it_does_not_tell(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="cronherd")
    clock = FakeClock()
    crier = Crier(clock)
    many = [("echo", _ending(Outcome.SUCCEEDED, exit_code=0))] * (LINES + 37)
    crier.tell(many)
    assert len(caplog.records) == LINES
    clock.advance(2)
    crier.tell([])
    assert caplog.records[-1].message == "… and 37 more runs ended"
    crier.tell(many[:1])
    assert caplog.records[-1].message.startswith("echo: succeeded")


def test_a_claim_that_was_given_back_is_no_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="cronherd")
    given_back = _ending(Outcome.NOT_STARTED)
    given_back.verdict = Verdict(outcome=Outcome.NOT_STARTED, void=True)
    Crier(FakeClock()).tell([("echo", given_back)])
    assert not caplog.records
