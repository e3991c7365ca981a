"""`hooks` of a job: how they are read, and what a run that they skip means to others."""

import pytest

from cronherd.definition.jobs import read_job
from cronherd.domain.alert import Alerts, MailWhen, Ping, drafts_of_end
from cronherd.domain.errors import InvalidInput
from cronherd.domain.job import Job, build_job
from cronherd.domain.judge import SKIPPED, judge
from cronherd.domain.run import Exit, Outcome


def job(**settings: object) -> Job:
    return read_job({"name": "x", "command": "true", **settings}, timezone="UTC")


def test_one_function_and_a_list_of_one_mean_the_same():
    one = job(hooks={"when": "shop:is_open"})
    assert one.spec["hooks"] == {"when": "shop:is_open"}
    assert job(hooks={"when": ["shop:is_open"]}).spec == one.spec
    assert one.hooks == {"when": ("shop:is_open",)}
    both = job(hooks={"after": ["a:b", "c:d"]}).spec["hooks"]
    assert both == {"after": ["a:b", "c:d"]}
    assert one.wrapped
    assert not job().wrapped
    assert "hooks" not in job(hooks={}).spec


@pytest.mark.parametrize(
    ("hooks", "words"),
    [
        ({"when": "echo no"}, "hooks.when: 'echo no' does not name a function"),
        ({"when": []}, "hooks.when: must be a function or a list of 1 to 20"),
        ({"when": ["a:b", 3]}, "hooks.when.1: "),
        ({"then": "a:b"}, "hooks.then: "),
        ("a:b", "hooks: "),
    ],
)
def test_what_is_no_function_is_refused(hooks: object, words: str):
    with pytest.raises(InvalidInput) as caught:
        job(hooks=hooks)
    assert words in str(caught.value)


def test_around_a_job_of_a_job_server_nothing_is_called():
    raw = {"name": "x", "gearman": {"function": "f", "servers": ["a"]}, "hooks": {"when": "a:b"}}
    with pytest.raises(InvalidInput, match="hooks: is around a command or a task"):
        read_job(raw, timezone="UTC")


def test_a_skipped_run_is_no_failure_and_is_not_tried_again():
    ending = Exit(started_us=1, ended_us=2, exit_code=0, error=SKIPPED, error_text="no")
    verdict = judge(build_job({"name": "x", "command": "true", "retries": 3}), 1, ending, 0.5)
    assert (verdict.outcome, verdict.wait_us, verdict.void) == (Outcome.SKIPPED, None, False)


def test_nobody_is_told_of_a_skipped_run():
    alerts = Alerts(mailto=("a@x.de",), mail=MailWhen.ALWAYS, ping=Ping(base="https://x.de/1"))
    facts = {"job": "x", "run_id": "r", "attempt": 1}
    assert drafts_of_end(alerts, Outcome.SKIPPED, facts, spoke=True) == []
    assert drafts_of_end(alerts, Outcome.CANCELLED, facts, spoke=True)
