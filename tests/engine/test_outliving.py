"""Two hundred commands run, and their agent is killed: nothing of them is lost or doubled."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.engine.host import Host, wait_until

RUNS = 200
# Each says where it is, waits to be let go, and ends in its own way.
COMMAND = """
echo "$CRONHERD_RUN_ID $CRONHERD_ATTEMPT" >> {folder}/starts
echo "begin $CRONHERD_JOB_NAME"
until test -e {folder}/go; do sleep 0.2; done
echo "end $CRONHERD_JOB_NAME"
exit {code}
"""


def _jobs(host: Host) -> None:
    host.evidence.mkdir()
    jobs = [
        {
            "name": f"job-{number}",
            "command": COMMAND.format(folder=host.evidence, code=number % 7),
            "cwd": "/",
        }
        for number in range(RUNS)
    ]
    host.client.apply_jobs(jobs, "test", "local", dry_run=False)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _text(host: Host, run: dict[str, Any]) -> str:
    return "".join(piece["bytes"] for piece in host.client.run_output(run["id"])["items"])


def _killed(host: Host, *, away: bool) -> None:
    """Kill -9 in the middle, and let the commands end before or after the next agent came."""
    host.write_config(f"node: {{capacity: {RUNS}}}\n")
    host.up()
    _jobs(host)
    for number in range(RUNS):
        host.client.run_job(f"job-{number}", "local")
    starts = host.evidence / "starts"
    wait_until(lambda: len(_lines(starts)) == RUNS, "they never started")
    host.kill()
    if away:
        (host.evidence / "go").touch()
        wait_until(lambda: not host.supervisors(), "the supervisor stays for nobody")
    host.up()
    (host.evidence / "go").touch()

    def ended() -> bool:
        return all(run["outcome"] for run in host.client.list_runs(limit=RUNS)["items"])

    wait_until(ended, "they never ended")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("away", [False, True], ids=["ended afterwards", "ended meanwhile"])
def test_two_hundred_runs_outlive_their_agent(host: Host, *, away: bool) -> None:
    _killed(host, away=away)
    runs = host.client.list_runs(limit=RUNS)["items"]
    assert len(runs) == RUNS
    assert {run["job"]: run["exit_code"] for run in runs} == {
        f"job-{number}": number % 7 for number in range(RUNS)
    }
    assert {run["attempt"] for run in runs} == {1}
    assert max(Counter(_lines(host.evidence / "starts")).values()) == 1
    assert len(_lines(host.evidence / "starts")) == RUNS
    for run in runs:
        assert _text(host, run) == f"begin {run['job']}\nend {run['job']}\n"
