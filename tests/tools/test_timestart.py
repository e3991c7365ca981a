"""D3.1 to D3.3: `cronherd timestart` with real processes; a second of people is 0.1 s here."""

import re
import signal
import subprocess
import sys
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

from tests.tools.conftest import Run, Tool, environment, lives, until

S = 1_000_000

EVENT = re.compile(r"T\d\d:(\d\d):([\d.]+)Z (\w+)")


def events(folder: Path, kind: str) -> list[float]:
    """The instants of all events of a kind, in seconds of the hour."""
    log = folder / "events"
    text = log.read_text() if log.exists() else ""
    found = [match.groups() for match in map(EVENT.search, text.splitlines()) if match]
    return [60 * int(minute) + float(second) for minute, second, what in found if what == kind]


def starter(run: Run, *words: str) -> Tool:
    return run("timestart", "--log", "events", *words)


def hang(seconds: int = 25) -> list[str]:
    return ["--", "sleep", str(seconds)]


@pytest.mark.parametrize(("scale", "times"), [(1, 4), (0.1, 9)])
def test_true_starts_at_most_once_in_the_shortest_time(
    run: Run, tmp_path: Path, scale: float, times: int
):
    """D3.1, D3.2: `1 3 1 5 true`: the lower bound is kept even when the program ends at once."""
    tool = starter(run, "1", "3", str(scale), str(5 * scale), "true")
    until(lambda: len(events(tmp_path, "started")) >= times)
    tool.send(signal.SIGHUP)
    assert tool.end()[0] == 0
    found = events(tmp_path, "started")
    assert all(later - earlier > scale - 0.002 for earlier, later in pairwise(found))


@pytest.mark.parametrize("words", [("0", "4", "0.6", "0.6"), ("0", "4", "0.1", "0.6")])
def test_each_ten_minutes_or_so_spreads(tmp_path: Path, words: tuple[str, ...]):
    """D3.1: `0 4 600 600` in a thousandth of its time: each wait is the one that was drawn."""
    seed = next(n for n in range(99) if Random(n).randint(0, 600_000) > 550_000)
    script = (
        "import runpy; from random import Random; from cronherd.tools import timestart;"
        f" timestart.draw = Random({seed}).randint;"
        " runpy.run_module('cronherd', run_name='__main__')"
    )
    began = datetime.now(UTC)
    process = subprocess.Popen(
        [sys.executable, "-c", script, "timestart", "--log", "events", *words, "true"],
        cwd=tmp_path,
        env=environment(tmp_path),
    )
    try:
        until(lambda: len(events(tmp_path, "started")) >= 5)
    finally:
        process.send_signal(signal.SIGHUP)
        assert process.wait(20) == 0
    drawn = Random(seed)
    first = drawn.randint(0, 600_000) / S
    found = events(tmp_path, "started")
    assert (found[0] - began.minute * 60 - began.second - began.microsecond / S) % 3600 > first
    shortest, longest = (round(float(word) * S) for word in words[2:])
    waits = [drawn.randint(shortest, longest) / S for _ in found[1:]]
    late = [
        later - earlier - wait
        for (earlier, later), wait in zip(pairwise(found), waits, strict=True)
    ]
    assert min(late) > -0.002
    assert sorted(late)[len(late) // 2] < 0.1


def test_what_hangs_stops_nothing_below_the_limit(run: Run, tmp_path: Path):
    """D3.1, D3.2: at MAX it waits; USR1 goes beyond; TERM ends all of them."""
    tool = starter(run, "1", "3", "0.05", "0.1", *hang())
    until(lambda: len(events(tmp_path, "started")) == 3)
    tool.send(signal.SIGWINCH)
    until(lambda: events(tmp_path, "signal"))
    tool.send(signal.SIGUSR1)
    until(lambda: len(events(tmp_path, "forced")) == 1)
    assert len(events(tmp_path, "started")) == 3
    pids = [int(pid) for pid in re.findall(r"pid=(\d+)", (tmp_path / "events").read_text())]
    assert len(pids) == 4
    assert all(map(lives, pids))
    tool.send(signal.SIGTERM)
    code, _, err = tool.end()
    assert code == 0
    assert not any(map(lives, pids))
    assert "3 running of 1 to 3" in err


def test_one_that_hangs_does_not_stop_the_others(run: Run, tmp_path: Path):
    """D3.1: the first one hangs for ever, and below MAX the pace goes on."""
    script = "mkdir first 2>/dev/null && exec sleep 25; exit 0"
    tool = starter(run, "1", "2", "0.05", "0.1", "sh", "-c", script)
    until(lambda: len(events(tmp_path, "ended")) >= 6)
    pids = re.findall(r"started pid=(\d+)", (tmp_path / "events").read_text())
    assert lives(int(pids[0]))
    tool.send(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        tool.process.wait(0.3)
    tool.send(signal.SIGUSR1)  # starts nothing any more
    tool.send(signal.SIGTERM)
    assert tool.end()[0] == 0
    assert not lives(int(pids[0]))
    assert not events(tmp_path, "forced")


def test_a_program_that_vanished_waits_for_the_longest_time(run: Run, tmp_path: Path):
    """D3.1: as a failure does, and it is said."""
    (tmp_path / "once").write_text('#!/bin/sh\nrm -- "$0"\n')
    (tmp_path / "once").chmod(0o755)
    tool = starter(run, "1", "2", "0.01", "0.3", "./once")
    until(lambda: len(events(tmp_path, "refused")) >= 3)
    tool.send(signal.SIGTERM)
    assert "once" in tool.end()[2]
    found = events(tmp_path, "refused")
    assert all(later - earlier > 0.298 for earlier, later in pairwise(found))


def test_usr2_suspends_and_resumes(run: Run, tmp_path: Path):
    """D3.2: and USR1 starts one even then."""
    tool = starter(run, "1", "9", "0.05", "0.1", "--", "true")
    until(lambda: events(tmp_path, "started"))
    tool.send(signal.SIGUSR2)
    until(lambda: events(tmp_path, "signal"))
    before = len(events(tmp_path, "started"))
    tool.send(signal.SIGUSR1)
    until(lambda: len(events(tmp_path, "forced")) == 1)
    with pytest.raises(subprocess.TimeoutExpired):
        tool.process.wait(0.5)
    assert len(events(tmp_path, "started")) == before
    tool.send(signal.SIGUSR2)
    until(lambda: len(events(tmp_path, "started")) > before + 2)


def test_hup_starts_no_more_and_waits_for_all(run: Run, tmp_path: Path):
    """D3.2: they are not disturbed."""
    tool = starter(run, "2", "2", "0.01", "0.01", "--", "sh", "-c", "sleep 1; echo done")
    until(lambda: len(events(tmp_path, "started")) == 2)
    tool.send(signal.SIGHUP)
    assert tool.end()[:2] == (0, "done\ndone\n")
    assert len(events(tmp_path, "started")) == 2


def test_int_ends_what_ignores_it_by_force(run: Run, tmp_path: Path):
    """D3.2: SIGINT ends the children, also one that hears no TERM and one that fled its group."""
    script = "trap '' TERM; setsid sleep 25 & echo $! > fled; while :; do sleep 0.1; done"
    tool = starter(run, "--grace", "0.2", "1", "1", "1", "1", "--", "sh", "-c", script)
    until(lambda: (tmp_path / "fled").exists() and (tmp_path / "fled").read_text())
    tool.send(signal.SIGINT)
    assert tool.end()[0] == 130
    assert not lives(int((tmp_path / "fled").read_text()))


def test_a_failure_waits_for_the_longest_time(run: Run, tmp_path: Path):
    """D3.1: one that fails is started again TO later."""
    tool = starter(run, "1", "3", "0.01", "0.4", "--", "false")
    until(lambda: len(events(tmp_path, "started")) >= 3)
    tool.send(signal.SIGTERM)
    tool.end()
    found = events(tmp_path, "started")
    assert all(later - earlier > 0.39 for earlier, later in pairwise(found))


def test_the_log_is_on_descriptor_3(tmp_path: Path, run: Run):
    """D3.3: when somebody opened it; the commands do not get it."""
    script = (
        'exec "$0" -m cronherd timestart 1 1 0.1 0.1 -- sh -c "ls /proc/self/fd; kill $$" 3>log'
    )
    shell = run(
        "timeout", "10", "--", "sh", "-c", script.replace("kill $$", "kill \\$PPID"), sys.executable
    )
    code, out, err = shell.end()
    assert code == 0, err
    assert out.split()[:3] == ["0", "1", "2"]
    assert len(out.split()) == 4  # and the directory that ls itself reads
    lines = (tmp_path / "log").read_text().splitlines()
    assert " started pid=" in lines[0]
    assert lines[-1].endswith(" ended running=0")


def test_a_program_that_is_not_there_is_said_at_once(run: Run):
    code, _, err = run("timestart", "0", "1", "600", "600", "--", "no-such-program").end()
    assert code == 127
    assert "no-such-program" in err


def test_nothing_is_read_by_a_shell(run: Run, tmp_path: Path):
    """D3.1: no shell."""
    tool = starter(run, "1", "1", "5", "5", "--", "printf", "%s|", "$HOME", "a b", ";")
    until(lambda: events(tmp_path, "ended"))
    tool.send(signal.SIGHUP)
    assert tool.end()[1] == "$HOME|a b|;|"


def test_arguments_that_make_no_sense_are_refused(run: Run):
    code, _, err = run("timestart", "3", "1", "1", "5", "true").end()
    assert code == 1
    assert "MIN" in err
    assert run("timestart", "1", "3", "1", "5").end()[0] == 2
