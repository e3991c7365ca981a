"""What a cron over a job table, and a schedule with locks in a cache, promised: kept by real nodes.

Rows D1.2 to D1.8, D2.3, D2.6 and D3.7, and the bugs of those systems.
"""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.engine.host import Host, wait_until


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.clear_away()


def made(host: Host, name: str, command: str, *settings: str) -> None:
    """A job by the command line, as an operator makes one."""
    chosen = [part for setting in settings for part in ("--set", setting)]
    told = host.say("job", "create", name, *chosen, "--", "sh", "-c", command)
    assert told.returncode == 0, told.stderr


def ended(host: Host, name: str, count: int = 1) -> list[dict[str, Any]]:
    """The finished runs of a job, oldest first, once there are so many."""

    def runs() -> list[dict[str, Any]]:
        items = host.client.list_runs(name, "finished", limit=100)["items"]
        return list(reversed(items))

    wait_until(lambda: len(runs()) >= count, f"{count} ends of {name}")
    return runs()


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def test_a_claim_takes_no_more_than_the_node_has_room_for(host: Host, tmp_path: Path) -> None:
    """D1.2: each due job is claimed once, and no claim goes beyond the free capacity."""
    log = tmp_path / "log"
    host.write_config("node: {capacity: 2}")
    host.up()
    command = f"echo + >> {log}; sleep 0.3; echo - >> {log}"
    for number in range(5):
        made(host, f"job{number}", command)
    for number in range(5):
        host.client.run_job(f"job{number}", "local")
    for number in range(5):
        assert ended(host, f"job{number}")[0]["outcome"] == "succeeded"
    deep = most = 0
    for mark in lines(log):
        deep += 1 if mark == "+" else -1
        most = max(most, deep)
    assert (most, len(lines(log))) == (2, 10)


@pytest.mark.parametrize("share", ["cpu_full", "cpu_half", "cpu_quarter"])
def test_the_capacity_of_a_host_is_a_number_or_a_share(host: Host, share: str) -> None:
    """D1.3: `max_tasks` as a share of the processors; a small host still takes one."""
    host.write_config(f"node: {{capacity: {share}}}")
    host.up()
    (node,) = host.client.list_nodes()["items"]
    parts = {"cpu_full": 1, "cpu_half": 2, "cpu_quarter": 4}
    assert node["capacity"] == max(1, (os.cpu_count() or 1) // parts[share])


def test_one_window_goes_over_midnight(host: Host) -> None:
    """D1.4: from 23:00 to 03:00 is one job, and what lies outside of it is no slot."""
    host.up()
    made(host, "night", "true", "schedule=0 * * * *", "window=23:00-03:00", "timezone=UTC")
    slots = host.client.next_slots("night", 6, 1_800_000_000_000_000)["slots"]
    hours = [slot[11:13] for slot in slots]
    assert sorted(set(hours)) == ["00", "01", "02", "23"]


def test_a_run_at_its_limit_is_killed_with_all_that_it_started(host: Host, tmp_path: Path) -> None:
    """D1.5: the old time limit noted the end and left the command running."""
    pids = tmp_path / "pids"
    host.up()
    made(host, "long", f"sleep 60 & echo $! >> {pids}; echo $$ >> {pids}; wait", "timeout=500ms")
    host.say("job", "run", "long")
    (run,) = ended(host, "long")
    assert run["outcome"] == "timed_out"
    assert [pid for pid in lines(pids) if lives(pid)] == []
    assert len(lines(pids)) == 2


def lives(pid: str) -> bool:
    """Whether a process is there and is no corpse that waits for its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False


def test_a_first_run_that_is_longer_than_its_interval_is_not_doubled(
    host: Host, tmp_path: Path
) -> None:
    """D1.5: minutes counted from the last start; while it runs there is no second one."""
    log = tmp_path / "log"
    host.up()
    made(host, "slow", f"echo + >> {log}; sleep 2.5; echo - >> {log}", "schedule=every 1s")
    ended(host, "slow", 2)
    marks = lines(log)
    assert all(mark != after for mark, after in pairwise(marks))
    missed = host.client.list_ledger("slow")["items"]
    assert {row["reason"] for row in missed} == {"overlap"}
    assert all(row["ref"] for row in missed)


def test_a_configuration_in_yaml_and_one_copy_for_each_host(host: Host, tmp_path: Path) -> None:
    """D1.6: a second program with the same state is refused, in a sentence."""
    host.write_config("node: {name: web-1, capacity: 3}")
    host.up()
    second = host.run("up")
    assert second.returncode != 0
    assert "another" in second.stderr


def test_it_runs_from_a_crontab_or_as_a_daemon(host: Host, tmp_path: Path) -> None:
    """D1.7: `tick` runs what is due and ends; then `up` goes on with the same jobs."""
    log = tmp_path / "log"
    host.write_config(f"jobs:\n  - {{name: due, command: 'echo x >> {log}', schedule: every 1s}}\n")
    host.up()
    ended(host, "due")
    host.stop()
    before = len(lines(log))

    def more() -> bool:
        """Once the next slot is due, whenever that is."""
        told = host.run("tick")
        assert told.returncode == 0, told.stderr
        return len(lines(log)) > before

    wait_until(more, "a tick runs what is due")


def test_an_exit_of_one_is_a_failure(host: Host) -> None:
    """A bug of the old cron: exit 1 was recorded as a success."""
    host.up()
    made(host, "bad", "exit 1")
    host.say("job", "run", "bad")
    (run,) = ended(host, "bad")
    assert (run["outcome"], run["exit_code"]) == ("failed", 1)


def test_a_job_that_is_switched_off_while_it_runs_keeps_its_end(host: Host) -> None:
    """A bug of the old cron: a job deactivated during its run lost the end of it."""
    host.up()
    made(host, "off", "sleep 0.7; exit 3")
    host.say("job", "run", "off")
    wait_until(lambda: host.client.list_runs("off", "running")["items"], "it runs")
    assert host.say("job", "disable", "off").returncode == 0
    (run,) = ended(host, "off")
    assert run["exit_code"] == 3


def test_a_gap_is_kept_between_an_end_and_the_next_start(host: Host) -> None:
    """D2.3: what comes due within the gap is left out, by name; run now respects it, too."""
    host.up()
    made(host, "gap", "true", "schedule=every 1s", "min_gap=1500ms")
    runs = ended(host, "gap", 3)
    for before, after in pairwise(runs):
        assert when(after["started_at"]) - when(before["ended_at"]) >= 1.5
    rows = host.client.list_ledger("gap")["items"]
    assert {row["reason"] for row in rows} == {"min_gap"}
    assert {row["ref"] for row in rows} <= {run["id"] for run in ended(host, "gap")}
    refused = host.say("job", "run", "gap")
    assert refused.returncode == 1
    assert "force it" in refused.stderr
    assert host.say("job", "run", "gap", "--force").returncode == 0


def when(instant: str) -> float:
    """Seconds since 1970."""
    return datetime.fromisoformat(instant).timestamp()


def test_a_slot_is_run_once_whatever_a_node_believes_the_time_is(host: Host) -> None:
    """D2.6: a node whose clock lags fires no slot again: the slot's number decides."""
    host.up()
    made(host, "tick", "true", "schedule=every 1s", "overlap=allow")
    runs = ended(host, "tick", 4)
    slots = [run["scheduled_at"] for run in runs]
    assert len(set(slots)) == len(slots)
    told = host.say("audit", "tick", "-o", "json")
    assert told.returncode == 0, told.stdout + told.stderr


def test_a_job_of_the_fleet_at_a_varying_pace_never_more_than_so_many(
    host: Host, tmp_path: Path
) -> None:
    """D3.7: every, jitter and max_running as a job; --force goes beyond, and says so."""
    hung = tmp_path / "hung"
    host.up()
    settings = ("schedule=every 1s", "jitter=900ms", "max_running=2")
    made(host, "page", f"echo x >> {hung}; sleep 30", *settings)
    wait_until(lambda: len(lines(hung)) == 2, "two hang")
    wait_until(lambda: len(host.client.list_ledger("page")["items"]) >= 2, "others are left out")
    assert len(lines(hung)) == 2
    assert host.say("job", "run", "page").returncode == 1
    told = json.loads(host.say("job", "run", "page", "--force", "-o", "json").stdout)
    wait_until(lambda: len(lines(hung)) == 3, "the forced one starts")
    assert host.client.show_run(told["run"]["id"])["forced"] is True

    def forced() -> list[bool]:
        runs = host.client.list_runs("page", "running")["items"]
        return sorted(run["forced"] for run in runs)

    wait_until(lambda: forced() == [False, False, True], "all three are on record")


def test_a_waiting_run_says_what_it_waits_for(host: Host) -> None:
    """`run show`, `why` and `pool show` tell the truth of a run in front of a pool."""
    host.up()
    made(host, "first", "sleep 30", "pools=db")
    host.say("job", "run", "first")
    wait_until(lambda: host.client.list_runs("first", "running")["items"], "it runs")
    made(host, "second", "true", "pools=db", "schedule=every 1s", "overlap=skip")
    wait_until(lambda: host.client.list_runs("second", "waiting")["items"], "it waits")
    (waiting,) = host.client.list_runs("second", "waiting")["items"]
    shown = host.say("run", "show", waiting["id"]).stdout
    (holder,) = host.client.list_runs("first", "running")["items"]
    assert f"a permit of the pool db; held by {holder['id'][:8]} (first)" in shown
    (answer,) = host.client.why("second", waiting["scheduled_at"])["items"]
    assert (answer["reason"], answer["in_the_way"]["id"]) == ("pool", holder["id"])
    assert host.client.show_pool("db")["holders"][0]["id"] == holder["id"]
    cancelled = host.say("run", "cancel", "--yes", holder["id"])
    assert cancelled.returncode == 0, cancelled.stderr
    assert ended(host, "second")[0]["id"] == waiting["id"]
