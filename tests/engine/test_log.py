"""The log of an agent: a record is one line, and nobody writes one in its name."""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from cronherd import serving
from cronherd.domain.judge import Verdict
from cronherd.domain.run import Exit, Outcome
from cronherd.engine.clock import FakeClock
from cronherd.engine.crier import Crier
from cronherd.store.base import Ending
from tests.access.harmless import CONTROL
from tests.access.hostile import STRINGS

FORGED = ("\ncronherd: ", "\r\ncronherd: ", "\x0bcronherd: ", "\x85cronherd: ", "\u2028cronherd: ")
TEXTS = [*STRINGS, *(f"no such folder /x{start}nightly: succeeded" for start in FORGED)]


@contextmanager
def agent_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log as an agent writes it, without pytest's own handlers."""
    written = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", written)
        patch.setattr(logging.root, "handlers", [])
        patch.setattr(logging.root, "level", logging.WARNING)
        patch.setattr(logging, "raiseExceptions", True)
        serving.start_log(SimpleNamespace(log_level="info"))  # type: ignore[arg-type]
        yield written


def fail(text: str) -> None:
    raise ValueError(text)


def tell(text: str) -> None:
    """Each way in which words of others come into the log."""
    end = Exit(started_us=None, ended_us=0, error="not_executable", error_text=text)
    ending = Ending(
        run_id="0" * 32, job_id="1" * 32, token="t", attempt=1, exit=end,
        verdict=Verdict(outcome=Outcome.NOT_STARTED),
    )  # fmt: skip
    Crier(FakeClock()).tell([("nightly", ending)])
    logging.getLogger("uvicorn.error").warning("%s", text)
    serving.say(f"node one is up, state in {text}")
    try:
        fail(text)
    except ValueError:
        logging.getLogger("cronherd").exception("planning of '%s' failed", text)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_no_word_of_others_is_a_line_of_its_own(monkeypatch: pytest.MonkeyPatch, text: str):
    with agent_log(monkeypatch) as log:
        tell(text)
    said = log.getvalue()
    lines = said.removesuffix("\n").split("\n")
    begun = [line for line in lines if line.startswith("cronherd: ")]
    assert len(begun) == 4
    assert all(line.startswith(("cronherd: ", "  ")) for line in lines)
    assert [line.split(" ")[1] for line in begun[:1]] == ["nightly:"]
    assert not CONTROL.search(said)
    assert "ValueError" in said
