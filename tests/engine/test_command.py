"""What a job says of its command, on a real node: from the definition to the process and back."""

from pathlib import Path
from typing import Any

from cronherd.client import Json
from tests.engine.host import Host, wait_until


def _run(host: Host, job: str, **params: object) -> Json:
    run_id = host.client.run_job(job, "local", params=params)["run"]["id"]
    wait_until(lambda: host.client.show_run(run_id)["outcome"] is not None, "it never ended")
    return host.client.show_run(run_id)


def _output(host: Host, run: Json) -> str:
    return "".join(piece["bytes"] for piece in host.client.run_output(run["id"])["items"])


def _make(host: Host, name: str, command: str | list[str], **more: Any) -> None:
    host.client.create_job({"name": name, "command": command, "cwd": "/", **more}, "local")


def test_parameters_reach_the_command_and_stay_with_the_run(host: Host) -> None:
    host.up()
    params = {"days": 7, "to": {"choices": ["a", "b"], "default": "a", "as": "argument"}}
    command = ["/bin/sh", "-c", 'echo "$PARAM_DAYS $*"', "sh", "-v"]
    _make(host, "report", command, params=params)
    run = _run(host, "report")
    assert (_output(host, run), run["params"]) == ("7 -v --to=a\n", {})
    run = _run(host, "report", days="30", to="b")
    assert (_output(host, run), run["params"]) == ("30 -v --to=b\n", {"days": 30, "to": "b"})
    said = host.run("job", "run", "report", "--param", "days=many")
    assert said.returncode == 1
    assert 'params.days: must be a whole number, not "many"' in said.stderr
    said = host.run("job", "run", "report", "--param", "days=1", "--follow")
    assert said.stdout == "1 -v --to=a\n"


def test_files_of_variables_are_read_at_each_start(host: Host, tmp_path: Path) -> None:
    host.up()
    path = tmp_path / "shop.env"
    _make(host, "sync", 'echo "$MODE $SHOP"', env_file=str(path), env={"MODE": "fast"})
    run = _run(host, "sync")
    assert run["outcome"] == "not_started"
    assert f"env_file {path} does not exist on this host" in run["error"]
    path.write_text("MODE=slow\nSHOP='main street'\n")
    assert _output(host, _run(host, "sync")) == "fast main street\n"
    path.write_text("SHOP=other")
    assert _output(host, _run(host, "sync")) == "fast other\n"


def test_the_exit_codes_of_the_job_decide(host: Host) -> None:
    host.up()
    _make(host, "vanished", "exit 24", success_codes=[0, 24])
    assert _run(host, "vanished")["outcome"] == "succeeded"
    retries = {"max": 1, "backoff": "0s"}
    _make(host, "busy", "exit 75", retries=retries, retry_on=75)
    _make(host, "wrong", "exit 1", retries=retries, retry_on=75)
    assert len(_run(host, "busy")["attempts"]) == 2
    assert len(_run(host, "wrong")["attempts"]) == 1


def test_a_job_that_fails_in_a_row_is_paused_until_somebody_resumes_it(host: Host) -> None:
    host.up()
    _make(host, "import", "exit 3", schedule="every 1s", pause_after_failures=2)
    wait_until(lambda: host.client.show_job("import")["paused"], "it was never paused")
    runs = host.client.list_runs(job="import")["items"]
    assert [run["outcome"] for run in runs] == ["failed", "failed"]
    (event,) = [e for e in host.client.list_events()["items"] if e["kind"] == "job_paused"]
    assert event["text"].startswith("until resumed: 2 runs in a row failed, the last one, run ")
    assert _run(host, "import")["outcome"] == "failed"
    host.client.resume_job("import", "local")
    wait_until(lambda: host.client.show_job("import")["paused"], "it did not fail again")
    assert len(host.client.list_runs(job="import")["items"]) == 5
