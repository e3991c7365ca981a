"""What a supervisor is told to start for a Python task."""

import json
import sys
from typing import Any

from cronherd.domain.job import build_job
from cronherd.domain.run import Cause
from cronherd.engine.accounts import Account
from cronherd.engine.order import start_of
from cronherd.store.base import Claim
from cronherd.supervisor.base import Start


def _order(**spec: Any) -> Start:
    claim = Claim(
        run_id="r" * 32, job_id="j" * 32, job=build_job({"name": "job", **spec}), version=1,
        attempt=1, token="t", fence=7, cause=Cause.SCHEDULE, slot_us=0,
    )  # fmt: skip
    return start_of(claim, "alpha", Account(user="me", home="/home/me"), 0)


def test_a_task_is_started_by_the_interpreter_of_the_agent() -> None:
    order = _order(task="shop.reports:nightly", args={"day": "1"})
    assert (order.argv[0], order.argv[1], order.argv[-1]) == (
        sys.executable, "-c", "shop.reports:nightly",
    )  # fmt: skip
    assert order.task
    assert json.loads(order.env["CRONHERD_TASK"]) == {"args": {"day": "1"}, "signal": 15}


def test_a_job_may_name_its_interpreter_and_not_what_is_called() -> None:
    env = {"CRONHERD_PYTHON": "/srv/venv/bin/python", "CRONHERD_TASK": "{}"}
    order = _order(task="a:b", args=[1], env=env, stop_signal="USR1")
    assert order.argv[0] == "/srv/venv/bin/python"
    assert json.loads(order.env["CRONHERD_TASK"]) == {"args": [1], "signal": 10}


def test_a_parameter_as_an_argument_stands_behind_the_task() -> None:
    params = {"since": {"default": "monday", "as": "argument"}}
    assert _order(task="a:b", params=params).argv[-2:] == ("a:b", "--since=monday")


def test_a_command_has_nothing_of_all_that() -> None:
    order = _order(command=["true"])
    assert (order.argv, order.task, "CRONHERD_TASK" in order.env) == (("true",), False, False)
