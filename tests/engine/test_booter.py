"""@reboot: once for each host and start, there and nowhere else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.event import EventKind
from cronherd.domain.job import build_job
from cronherd.domain.node import Node
from cronherd.engine.booter import FRESH_US, Booter
from cronherd.store.facts import JobWrite, RunFilter
from tests.engine.stand_in import Rig

LONG_UP_US = FRESH_US + 1


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def job(rig: Rig, name: str = "boot", **spec: Any) -> str:
    words = {"name": name, "command": "true", "schedule": "@reboot", **spec}
    write = JobWrite(id=rig.new_id(), job=build_job(words), enabled=True, source="test")
    rig.store.save_jobs([write], "test")
    return rig.store.find_job(name).id


def booted(rig: Rig, node: Node | None = None, settled: str = "before", up: int = 1) -> int:
    return Booter(rig.store, new_id=rig.new_id).fire(node or rig.node, settled, up)


def runs(rig: Rig) -> list[tuple[str, str, str]]:
    found = rig.store.runs(RunFilter())
    return sorted((run.job_name, run.cause.value, run.state.value) for run in found)


def test_a_job_runs_once_after_each_start_of_the_host(rig: Rig) -> None:
    job(rig, overlap="allow")
    job(rig, "plain", schedule="every 1h")
    assert booted(rig) == 1
    assert booted(rig) == 0  # the agent began again before its first beat
    assert runs(rig) == [("boot", "boot", "ready")]
    assert booted(rig, replace(rig.node, boot_id="c")) == 1


def test_a_start_of_the_agent_alone_runs_nothing(rig: Rig) -> None:
    job(rig)
    assert booted(rig, settled=rig.node.boot_id) == 0
    assert runs(rig) == []


def test_a_host_that_is_new_here_counts_as_started_only_while_it_is_fresh(rig: Rig) -> None:
    job(rig)
    assert booted(rig, settled="", up=LONG_UP_US) == 0
    assert booted(rig, settled="", up=FRESH_US - 1) == 1


def test_the_run_belongs_to_the_host_that_started(rig: Rig) -> None:
    job_id = job(rig)
    booted(rig)
    other = replace(rig.node, id=rig.new_id(), name="two", boot_id="x")
    rig.store.register_node(other, 15_000_000)
    assert rig.store.claim(other, rig.new_id(), 9) == []
    edited = build_job({"name": "boot", "command": "false", "schedule": "@reboot"})
    row = rig.store.find_job("boot")
    write = JobWrite(id=job_id, job=edited, enabled=None, source="test", version=row.version)
    rig.store.save_jobs([write], "test")  # an edit does not move it elsewhere
    assert rig.store.claim(other, rig.new_id(), 9) == []
    assert len(rig.store.claim(rig.node, rig.new_id(), 9)) == 1


def test_only_jobs_that_the_host_fits_run_on_it(rig: Rig) -> None:
    job(rig, run_on={"disk": "fast"})
    assert booted(rig) == 0
    assert booted(rig, replace(rig.node, labels={"disk": "fast"})) == 1


def test_disabled_and_paused_jobs_do_not_run_and_the_paused_one_says_so(rig: Rig) -> None:
    rig.store.set_enabled(job(rig, "off"), "test", enabled=False)
    rig.store.pause_job(job(rig, "paused"), 1 << 62, "test")
    assert booted(rig) == 0
    (event,) = [e for e in rig.store.events(9) if e.kind is EventKind.BOOT_RUN_REFUSED]
    assert (event.subject, event.text) == ("paused", "the job is paused")


def test_a_job_that_still_runs_is_refused_with_a_word(rig: Rig) -> None:
    job(rig, overlap="skip")
    booted(rig)
    assert booted(rig, replace(rig.node, boot_id="c")) == 0
    (event,) = [e for e in rig.store.events(9) if e.kind is EventKind.BOOT_RUN_REFUSED]
    assert "already runs" in event.text
