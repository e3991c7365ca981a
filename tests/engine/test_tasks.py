"""Python tasks on a real node: from the definition to what people see of them."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.engine.host import Host, wait_until

SHOP = """
import os, sys, threading
from cronherd.task import Context

def nightly(context: Context, day, rows=3):
    for number in range(rows):
        context.progress(number + 1, rows, f"row {number + 1}")
    print("printed")
    context.logger.info("logged")
    return {"day": day, "rows": rows, "run": context.run_id, "params": context.params}

def broken():
    raise ValueError("no such table")

async def slow(context):
    context.progress(37, 100, "customers")
    open("reached", "w").close()
    threading.Event().wait(60)

def polite(context):
    open("reached", "w").close()
    context.cancelled.wait(60)
    return "stopped"

def rude():
    os.write(3, b"\\0" * 100_000 + b"\\n{[" * 5_000 + b"[" * 100_000)
    os.write(3, b'\\n{"progress": [1e999]}\\n')
    return "still here"
"""


@pytest.fixture
def shop(host: Host, tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "shop.py").write_text(SHOP)
    host.up()
    return folder


def make(host: Host, shop: Path, name: str, **more: Any) -> None:
    host.client.create_job({"name": name, "task": f"shop:{name}", "cwd": str(shop), **more}, "me")


def begin(host: Host, name: str) -> str:
    return str(host.client.run_job(name, "local")["run"]["id"])


def end(host: Host, run_id: str) -> dict[str, Any]:
    wait_until(lambda: host.client.show_run(run_id)["outcome"] is not None, "it never ended")
    return host.client.show_run(run_id)


def output(host: Host, run_id: str) -> dict[str, str]:
    pieces = host.client.run_output(run_id)["items"]
    return {piece["stream"]: piece["bytes"] for piece in pieces}


def test_a_task_returns_a_result_and_its_output_is_what_it_printed(host: Host, shop: Path) -> None:
    params = {"since": {"default": "monday"}}
    make(host, shop, "nightly", args={"day": "2027-01-15", "rows": 5}, params=params)
    run = end(host, begin(host, "nightly"))
    assert (run["outcome"], run["exit_code"], run["notes"]) == ("succeeded", 0, [])
    assert run["result"] == {
        "day": "2027-01-15", "rows": 5, "run": run["id"], "params": {"since": "monday"},
    }  # fmt: skip
    assert (run["exception"], run["progress"], run["output_dropped_bytes"]) == (None, None, 0)
    assert output(host, run["id"]) == {"stdout": "printed\n", "stderr": "INFO logged\n"}
    shown = host.say("run", "show", run["id"]).stdout
    assert 'returned:  {"day": "2027-01-15", "rows": 5' in shown
    assert host.say("run", "logs", run["id"]).stdout == "printed\n"


def test_an_exception_is_said_wherever_the_run_is_shown(host: Host, shop: Path) -> None:
    make(host, shop, "broken")
    run = end(host, begin(host, "broken"))
    assert (run["outcome"], run["exit_code"]) == ("failed", 1)
    assert run["error"] == "ValueError: no such table"
    assert run["exception"]["type"] == "ValueError"
    assert run["exception"]["traceback"] == output(host, run["id"])["stderr"]
    shown = host.say("run", "show", run["id"]).stdout
    assert "error:     ValueError: no such table" in shown
    assert f'  File "{shop}/shop.py", line' in shown


def test_progress_is_seen_while_it_runs(host: Host, shop: Path) -> None:
    make(host, shop, "slow")
    run_id = begin(host, "slow")
    wait_until(lambda: bool(host.client.show_run(run_id)["progress"]), "no progress was seen")
    wanted = {"done": 37, "total": 100, "text": "customers"}
    assert host.client.show_run(run_id)["progress"] == wanted
    assert "running (37/100)" in host.say("run", "list").stdout
    assert "doing:     customers" in host.say("run", "show", run_id).stdout
    assert "running (37/100)" in host.say("status").stdout
    listed = json.loads(host.say("run", "list", "-o", "json").stdout)
    assert listed["items"][0]["progress"] == wanted
    host.client.cancel_run(run_id, "local")
    run = end(host, run_id)
    assert (run["outcome"], run["progress"]) == ("cancelled", None)
    assert run["exception"]["type"] == "KeyboardInterrupt"
    assert "in slow" in run["exception"]["traceback"]


def test_a_task_that_looks_is_asked_to_end(host: Host, shop: Path) -> None:
    make(host, shop, "polite")
    run_id = begin(host, "polite")
    wait_until((shop / "reached").exists, "it never began")
    host.client.cancel_run(run_id, "local")
    run = end(host, run_id)
    assert (run["outcome"], run["exit_code"], run["result"]) == ("cancelled", 0, "stopped")


def test_nothing_that_is_written_on_descriptor_3_harms_the_node(host: Host, shop: Path) -> None:
    make(host, shop, "rude")
    run = end(host, begin(host, "rude"))
    assert (run["outcome"], run["result"]) == ("succeeded", "still here")
    assert run["notes"] == ["a line on descriptor 3 was not understood and was passed over"]
    assert output(host, run["id"]) == {}
    make(host, shop, "nightly", args=["x"])
    assert end(host, begin(host, "nightly"))["result"]["day"] == "x"


@pytest.mark.parametrize(
    ("task", "args", "code", "words"),
    [
        ("shop:nightlyy", None, 127, "has no function 'nightlyy'; did you mean 'nightly'?"),
        ("shopp:nightly", None, 127, "there is no module 'shopp'"),
        ("shop:nightly", {"dday": 1}, 126, "the args do not fit: missing a required argument"),
    ],
)
def test_a_task_that_cannot_be_called_says_why(
    host: Host, shop: Path, task: str, args: Any, code: int, words: str
) -> None:
    make(host, shop, "wrong", task=task, **({} if args is None else {"args": args}))
    run = end(host, begin(host, "wrong"))
    assert (run["outcome"], run["exit_code"]) == ("failed", code)
    assert words in run["error"]
    assert host.say("job", "run", "wrong", "--wait").returncode == code


def test_the_result_of_a_task_that_outlives_its_agent_is_kept(host: Host, shop: Path) -> None:
    make(host, shop, "polite")
    run_id = begin(host, "polite")
    wait_until((shop / "reached").exists, "it never began")
    wait_until(lambda: host.client.show_run(run_id)["state"] == "running", "it never ran")
    host.kill()
    host.up()
    host.client.cancel_run(run_id, "local")
    assert end(host, run_id)["result"] == "stopped"


def test_a_killed_task_leaves_no_result(host: Host, shop: Path) -> None:
    make(host, shop, "polite")
    run_id = begin(host, "polite")
    wait_until((shop / "reached").exists, "it never began")
    (pid,) = [int(entry.name) for entry in Path("/proc").iterdir() if _directory(entry) == shop]
    os.kill(pid, signal.SIGKILL)
    run = end(host, run_id)
    assert (run["outcome"], run["signal"], run["result"], run["exception"]) == (
        "failed", 9, None, None,
    )  # fmt: skip


def test_a_job_is_shown_with_its_task(host: Host, shop: Path) -> None:
    make(host, shop, "nightly", args=["x"])
    assert host.client.show_job("nightly")["task"] == "shop:nightly"
    assert "shop:nightly" in host.say("job", "list", "-o", "wide").stdout
    assert "task: shop:nightly\nargs:\n  - x\n" in host.say("job", "show", "nightly").stdout


def _directory(entry: Path) -> Path | None:
    """Where a process works."""
    try:
        return (entry / "cwd").readlink()
    except OSError:
        return None
