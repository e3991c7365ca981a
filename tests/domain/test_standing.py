"""Each word about a job by a table: it is defined here and nowhere else."""

from typing import Any

import pytest

from cronherd.domain.instant import MINUTE_US
from cronherd.domain.run import Outcome, RunState
from cronherd.domain.standing import STANDING_WORDS, Standing, standing_of

NOW = 1_000 * MINUTE_US
LATE = NOW - MINUTE_US - 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, ""),
        ({"next_us": NOW + 1}, "not_due"),
        ({"next_us": NOW - MINUTE_US}, "not_due"),  # late by a minute is no news
        ({"next_us": LATE}, "overdue"),
        ({"enabled": False}, "disabled"),
        ({"paused_until_us": NOW + 1}, "paused"),
        ({"paused_until_us": NOW}, ""),
        ({"paused_until_us": NOW + 9, "next_us": NOW + 9}, "paused not_due"),
        ({"last": Outcome.SUCCEEDED}, ""),
        ({"last": Outcome.CANCELLED}, ""),
        ({"last": Outcome.FAILED}, "error"),
        ({"last": Outcome.TIMED_OUT}, "error"),
        ({"last": Outcome.LOST}, "error"),
        ({"last": Outcome.NOT_STARTED}, "error"),
        ({"live": [(RunState.RUNNING, 1, LATE)]}, "running"),
        ({"live": [(RunState.CLAIMED, 1, NOW)]}, "running"),
        ({"live": [(RunState.WAITING, 1, LATE)]}, "overdue"),
        ({"live": [(RunState.READY, 1, LATE)]}, "overdue"),
        ({"live": [(RunState.READY, 1, NOW)]}, ""),
        ({"live": [(RunState.READY, 1, None)]}, ""),  # asked for by a person: no slot
        ({"live": [(RunState.READY, 2, LATE)]}, ""),  # it has started once
        ({"live": [(RunState.DELAYED, 1, LATE)]}, ""),
        ({"live": [(RunState.HELD, 1, LATE)]}, ""),
        (
            {"live": [(RunState.RUNNING, 1, LATE)], "last": Outcome.FAILED, "next_us": NOW + 1},
            "running not_due error",
        ),
    ],
)
def test_how_a_job_stands(given: dict[str, Any], words: str):
    found = standing_of(**{"now_us": NOW, "enabled": True, "next_us": None, **given})
    assert found == {Standing(word) for word in words.split()}


def test_each_word_has_its_sentence():
    assert set(STANDING_WORDS) == set(Standing)
