"""A clock that really changes while a real node runs: forwards and back, by both policies each."""

import subprocess
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cronherd.domain.instant import parse_instant
from tests.engine.host import Host, wait_until

SECOND_US = 1_000_000
# Long enough for a node to start and take the jobs, before the earliest of their times.
AHEAD_S = 40
SHIFT_S = 20
FULL_TURN_S = 90.0

ZONES = """
Zone Test/Forward 0:00:00 - AAA {until}
                  0:00:{shift} - BBB
Zone Test/Back 0:00:{shift} - BBB {until}
               0:00:00 - AAA
"""
JOB = """
  - name: {name}
    timezone: {zone}
    schedule: {{cron: "{expression}", seconds: first}}
    dst_gap: {gap}
    dst_fold: {fold}
    overlap: allow
    command: echo "$CRONHERD_JOB_NAME $CRONHERD_SCHEDULED_AT $(date +%s.%N)" >> {evidence}
"""


@pytest.fixture
def change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Two zones whose clocks change soon, known to the node; the second at which they do."""
    at_s = int(time.time()) + AHEAD_S
    until = datetime.fromtimestamp(at_s, UTC).strftime("%Y %b %d %H:%M:%Su")
    source = tmp_path / "zones"
    source.write_text(ZONES.format(until=until, shift=SHIFT_S))
    subprocess.run(["zic", "-d", str(tmp_path / "compiled"), str(source)], check=True)
    monkeypatch.setenv("PYTHONTZPATH", str(tmp_path / "compiled"))
    return at_s


def wall(at_s: int) -> str:
    """The six fields of one wall time, fixed down to its second."""
    shown = datetime.fromtimestamp(at_s, UTC)
    return f"{shown.second} {shown.minute} {shown.hour} * * *"


def jobs(change: int, evidence: Path) -> str:
    """In the gap and in the fold alike: ten seconds behind the change, by the wall."""
    shapes = [
        ("fixed", wall(change + 10)),
        ("late", wall(change + SHIFT_S + 5)),
        ("wild", "*/5 * * * * *"),
    ]
    text = "jobs:"
    for zone in ("Forward", "Back"):
        for gap, fold in (("after", "first"), ("skip", "both")):
            for shape, expression in shapes:
                text += JOB.format(
                    name=f"{zone}-{shape}-{gap}-{fold}",
                    zone=f"Test/{zone}",
                    expression=expression,
                    gap=gap,
                    fold=fold,
                    evidence=evidence,
                )
    return text


@pytest.mark.full
@pytest.mark.timeout(150)
def test_a_clock_changes_under_a_running_node(tmp_path: Path, change: int):
    host = Host(tmp_path)
    evidence = tmp_path / "evidence"
    host.config.write_text(jobs(change, evidence))
    try:
        host.up()
        assert time.time() < change - SHIFT_S - 1, "the node took too long to start"
        over = change + SHIFT_S + 10
        wait_until(lambda: time.time() > over, "time does not pass", FULL_TURN_S)
        host.stop()
    finally:
        host.clear_away()
    ran: dict[str, list[int]] = defaultdict(list)
    for line in evidence.read_text().splitlines():
        name, slot, began = line.split()
        slot_us = parse_instant(slot)
        assert 0 <= float(began) - slot_us / SECOND_US < 5, line
        ran[name].append(slot_us // SECOND_US - change)
    told = {name: sorted(slots) for name, slots in ran.items()}
    # The gap: its times come at the change, or not at all.
    assert told.pop("Forward-fixed-after-first") == [0]
    assert "Forward-fixed-skip-both" not in told
    assert told.pop("Forward-late-after-first") == [5]
    assert told.pop("Forward-late-skip-both") == [5]
    # The fold: once, at its first passage, or at both.
    assert told.pop("Back-fixed-after-first") == [10 - SHIFT_S]
    assert told.pop("Back-fixed-skip-both") == [10 - SHIFT_S, 10]
    assert told.pop("Back-late-after-first") == [25]
    assert told.pop("Back-late-skip-both") == [25]
    # Wildcards follow the wall: each fifth second that it shows, whatever it shows before.
    for name in sorted(told):
        slots = [slot for slot in told[name] if -15 <= slot <= 15]
        offset = change % 5
        assert slots == [at for at in range(-15, 16) if (at + offset) % 5 == 0], name
    assert len(told) == 4
