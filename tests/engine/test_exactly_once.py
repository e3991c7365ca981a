"""Each slot of one host runs once and is accounted for, although its agent is killed."""

import threading
from collections import Counter
from typing import Any

import pytest

from cronherd.domain.instant import parse_instant
from tests.engine.host import Host, wait_until

SECOND_US = 1_000_000


def _write_jobs(host: Host, count: int) -> None:
    host.evidence.mkdir()
    jobs = "\n".join(
        f"""  - name: job-{number}
    command: echo "$CRONHERD_JOB_NAME $CRONHERD_SCHEDULED_AT" >> {host.evidence}/all
    schedule: every 1s
    overlap: allow
    catchup: all"""
        for number in range(count)
    )
    host.config.write_text(f"node: {{capacity: 64}}\njobs:\n{jobs}\n")


def _all_runs(host: Host) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    before = None
    while True:
        page = host.client.list_runs(before=before, limit=1000)
        runs += page["items"]
        before = page["next"]
        if before is None:
            return runs


def _pace(seconds: float) -> None:
    """Let the storm go on: what is measured is what happens meanwhile."""
    threading.Event().wait(seconds)


def _storm(host: Host, jobs: int, seconds: float, kills: int) -> None:
    _write_jobs(host, jobs)
    host.up()
    for _ in range(kills):
        _pace(seconds / (kills + 1))
        host.kill()
        host.up()
    _pace(seconds / (kills + 1))
    for number in range(jobs):
        host.client.set_enabled(f"job-{number}", "local", enabled=False)
    wait_until(lambda: _unfinished(host) == 0, "runs never settled")


def _unfinished(host: Host) -> int:
    counts = host.client.status()["counts"]
    live = ("waiting", "ready", "delayed", "claimed", "running", "held")
    return sum(counts.get(f"runs_{state}", 0) for state in live)


def _check(host: Host, jobs: int) -> Counter[str]:
    lines = (host.evidence / "all").read_text().splitlines()
    evidence = Counter(lines)
    twice = [line for line, count in evidence.items() if count > 1]
    assert not twice, f"slots that ran twice: {twice[:5]}"
    runs = _all_runs(host)
    ran = {f"{run['job']} {run['scheduled_at']}": run["outcome"] for run in runs}
    assert len(ran) == len(runs), "two records for one slot"
    unrecorded = set(evidence) - set(ran)
    assert not unrecorded, f"slots that ran without a record: {sorted(unrecorded)[:5]}"
    for line, outcome in ran.items():
        if outcome == "succeeded":
            assert line in evidence, f"recorded as succeeded without evidence: {line}"
    skipped = _skipped(host)
    for number in range(jobs):
        name = f"job-{number}"
        slots = sorted(
            parse_instant(run["scheduled_at"]) for run in runs if run["job"] == name
        ) + skipped.get(name, [])
        slots.sort()
        wanted = list(range(slots[0], slots[-1] + 1, SECOND_US))
        assert slots == wanted, f"{name}: holes or doubles in its record"
    return Counter(ran.values())


def _skipped(host: Host) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in host.client.list_ledger(limit=1000)["items"]:
        first, last = parse_instant(row["from"]), parse_instant(row["to"])
        slots = list(range(first, last + 1, SECOND_US))
        assert len(slots) == row["count"], row
        found.setdefault(row["job"], []).extend(slots)
    return found


def test_it_runs_each_slot_once_although_its_agent_is_killed(host: Host) -> None:
    _storm(host, jobs=20, seconds=6, kills=2)
    outcomes = _check(host, 20)
    assert outcomes["succeeded"] >= 40


@pytest.mark.full
@pytest.mark.timeout(180)
def test_it_runs_each_slot_of_a_hundred_jobs_once_through_three_kills(host: Host) -> None:
    _storm(host, jobs=100, seconds=30, kills=3)
    outcomes = _check(host, 100)
    assert outcomes["succeeded"] >= 1_500
