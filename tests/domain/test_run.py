"""Runs: the one table of transitions, and a word for everything people see."""

import pytest

from cronherd.domain import run
from cronherd.domain.errors import Conflict
from cronherd.domain.run import TRANSITIONS, Outcome, Reason, RunState, require_transition

ALLOWED = {
    "waiting": "ready held finished",
    "ready": "claimed waiting held finished",
    "delayed": "ready waiting held finished",
    "held": "waiting ready finished",
    "claimed": "running ready delayed finished",
    "running": "delayed ready finished",
    "finished": "",
}


@pytest.mark.parametrize("old", RunState)
@pytest.mark.parametrize("new", RunState)
def test_a_transition_is_allowed_or_raises(old: RunState, new: RunState):
    if new.value in ALLOWED[old].split():
        require_transition(old, new)
    else:
        with pytest.raises(Conflict, match=f"{old} cannot become {new}"):
            require_transition(old, new)


def test_only_finished_is_final_and_every_state_can_end():
    assert [state for state in RunState if not TRANSITIONS[state]] == [RunState.FINISHED]
    assert all(RunState.FINISHED in TRANSITIONS[s] for s in RunState if TRANSITIONS[s])


@pytest.mark.parametrize(
    ("words", "kinds"), [("STATE_WORDS", RunState), ("OUTCOME_WORDS", Outcome)]
)
def test_each_state_and_outcome_has_words(words: str, kinds: type[RunState] | type[Outcome]):
    assert set(getattr(run, words)) == set(kinds)


def test_each_reason_fits_its_column():
    assert max(len(reason.value) for reason in Reason) <= 20
    assert set(run.REASON_WORDS) == set(Reason)
