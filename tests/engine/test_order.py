"""What a supervisor is told to start for a claim."""

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.job import build_job
from cronherd.domain.policy import CLAIM_TO_EXEC_US
from cronherd.domain.run import Cause
from cronherd.engine.order import Account, start_of
from cronherd.store.base import Claim
from cronherd.supervisor.base import Start

ME = Account(user="me", home="/home/me")
SLOT_US = 1_800_000_000_000_000


def _order(spec: dict[str, object] | None = None, slot_us: int | None = SLOT_US) -> Start:
    job = build_job({"name": "job", "command": "true", **(spec or {})})
    claim = Claim(
        run_id="r" * 32,
        job_id="j" * 32,
        job=job,
        version=1,
        attempt=2,
        token="t",
        fence=7,
        cause=Cause.SCHEDULE,
        slot_us=slot_us,
    )
    return start_of(claim, "alpha", ME, 1_000)


def test_it_tells_the_command_who_it_is() -> None:
    assert _order().env == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/home/me",
        "LOGNAME": "me",
        "USER": "me",
        "SHELL": "/bin/sh",
        "CRONHERD_RUN_ID": "r" * 32,
        "CRONHERD_JOB_NAME": "job",
        "CRONHERD_SCHEDULED_AT": "2027-01-15T08:00:00Z",
        "CRONHERD_ATTEMPT": "2",
        "CRONHERD_NODE": "alpha",
        "CRONHERD_CAUSE": "schedule",
        "CRONHERD_FENCE": "7",
    }


def test_a_run_without_a_slot_has_an_empty_instant() -> None:
    assert _order(slot_us=None).env["CRONHERD_SCHEDULED_AT"] == ""


def test_a_job_may_set_anything_but_who_the_run_is() -> None:
    env = _order({"env": {"PATH": "/opt", "HOME": "/srv", "CRONHERD_RUN_ID": "another"}}).env
    assert (env["PATH"], env["HOME"]) == ("/opt", "/srv")
    assert env["CRONHERD_RUN_ID"] == "r" * 32


@pytest.mark.parametrize(
    ("spec", "directory"),
    [
        ({}, "/home/me"),
        ({"cwd": "~"}, "/home/me"),
        ({"cwd": "~/bin"}, "/home/me/bin"),
        ({"cwd": "/srv"}, "/srv"),
        ({"cwd": "~", "env": {"HOME": "/srv"}}, "/srv"),
    ],
)
def test_it_starts_in_the_directory_of_the_job_or_at_home(
    spec: dict[str, object], directory: str
) -> None:
    assert _order(spec).cwd == directory


def test_a_string_goes_to_the_shell_of_the_job_and_a_list_is_run_as_it_is() -> None:
    assert _order({"command": "a | b", "shell": "/bin/bash"}).argv == ("/bin/bash", "-c", "a | b")
    assert _order({"command": ["a", "| b"]}).argv == ("a", "| b")


def test_a_claim_is_void_five_seconds_after_it_was_asked_for() -> None:
    assert _order().valid_until_boot_us == 1_000 + CLAIM_TO_EXEC_US


def test_what_may_be_taken_over_is_fenced_before() -> None:
    assert _order().fence_us == 898_000_000
    assert _order({"takeover_after": "1m"}).fence_us == 58_000_000
    assert _order({"takeover_after": "never"}).fence_us is None
    assert _order({"overlap": "allow"}).fence_us is None


def test_another_user_is_refused_here() -> None:
    with pytest.raises(Invalid, match="wants user 'root', this agent runs as 'me'"):
        _order({"user": "root"})
    assert _order({"user": "me"}).argv
