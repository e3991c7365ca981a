"""D3.5: `cronherd timeout` with real processes."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from cronherd.domain.errors import Invalid
from cronherd.tools.crew import Rung
from cronherd.tools.timeout import read_ladder, read_signal
from tests.tools.conftest import Run, lives, until

S = 1_000_000


def timeout(run: Run, *words: str) -> tuple[int, str, str]:
    return run("timeout", *words).end()


@pytest.mark.parametrize(
    ("script", "code"),
    [("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137), ("kill $$", 143), ("sleep 0.1", 0)],
)
def test_the_exit_code_is_the_commands_own(run: Run, script: str, code: int):
    """D3.5: and 128 and the signal's number."""
    assert timeout(run, "9", "sh", "-c", script)[0] == code


def test_124_at_the_limit_and_not_before(run: Run):
    """D3.5: it once fired up to a second late."""
    began = time.monotonic()
    assert timeout(run, "0.5", "--", "sleep", "25")[0] == 124
    assert 0.5 <= time.monotonic() - began < 5


def test_no_limit_at_all(run: Run):
    assert timeout(run, "0", "--", "sh", "-c", "sleep 0.3; exit 3")[0] == 3


def test_the_status_is_preserved_when_asked(run: Run):
    words = ("--preserve-status", "0.1", "--", "sh", "-c", "trap 'exit 5' TERM; sleep 25 & wait")
    assert timeout(run, *words)[0] == 5


def test_the_ladder_is_climbed_against_the_whole_group(run: Run):
    """D3.5: each signal with its delay, for the group and not for the direct child only."""
    script = (
        "trap 'echo int' INT; (trap 'echo group' INT; while :; do sleep 0.05; done) &"
        " trap 'echo hup' HUP; trap '' TERM; while :; do sleep 0.05; done"
    )
    ladder = ("-s", "INT@400ms", "-s", "1@400ms", "-s", "TERM", "-k", "300ms")
    began = time.monotonic()
    code, out, _ = timeout(run, *ladder, "0.5", "--", "bash", "-c", script)
    assert code == 137
    assert sorted(out.split()[:2]) == ["group", "int"]
    assert "hup" in out.split()[2:]
    assert time.monotonic() - began >= 0.5 + 0.4 + 0.4 + 0.3


def test_nothing_is_left_when_the_signals_run_out(run: Run, tmp_path: Path):
    """D3.5: the old one left the program running; one that fled its session is found too."""
    script = (
        "trap '' TERM HUP; echo $$ > leader; sleep 25 & echo $! > group;"
        " setsid sh -c 'trap \"\" TERM; echo $$ > fled; sleep 25' & while :; do sleep 0.05; done"
    )
    assert timeout(run, "-k", "200ms", "1", "--", "sh", "-c", script)[0] == 137
    for name in ("leader", "group", "fled"):
        assert not lives(int((tmp_path / name).read_text())), name


def test_a_tool_within_a_tool_is_ended_with_what_it_started(run: Run, tmp_path: Path):
    """D3.5: each has a session of its own."""
    inner = "trap '' TERM; echo $$ > inner; while :; do sleep 0.05; done"
    nested = ("-m", "cronherd", "timeout", "-k", "25s", "25", "--", "sh", "-c", inner)
    code, _, _ = timeout(run, "-k", "100ms", "1.5", "--", sys.executable, *nested)
    assert code == 137
    assert not lives(int((tmp_path / "inner").read_text()))


def test_a_stopped_command_is_ended(run: Run):
    assert timeout(run, "0.5", "--", "sh", "-c", "kill -STOP $$")[0] == 124


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_what_asks_us_asks_the_command(run: Run, tmp_path: Path, number: signal.Signals):
    tool = run(
        "timeout",
        "20",
        "--",
        "sh",
        "-c",
        "trap 'exit 9' TERM INT HUP; sleep 25 >/dev/null 2>&1 & : > up; wait",
    )
    until((tmp_path / "up").exists)
    tool.send(number)
    assert tool.end()[0] == 9


def test_asked_while_it_is_ended_it_ends_at_once(run: Run, tmp_path: Path):
    script = "trap ': > heard' TERM; : > up; while :; do sleep 0.05; done"
    tool = run("timeout", "-k", "25s", "0.5", "--", "sh", "-c", script)
    until((tmp_path / "heard").exists)
    tool.send(signal.SIGINT)
    assert tool.end()[0] == 137


def test_what_is_left_behind_and_writes_for_ever_is_not_waited_for(run: Run):
    """D3.5: `--idle` ends with the command, not with the last writer."""
    code, out, _ = timeout(run, "--idle", "9", "--", "sh", "-c", "yes 2>/dev/null & exit 3")
    assert code == 3
    assert len(out) <= 1 << 20


def test_other_signals_are_passed_on(run: Run, tmp_path: Path):
    # What is left of it must not hold our pipe: the signal may come before it has begun.
    waits = "trap 'exit 4' USR1; sleep 25 >/dev/null 2>&1 & : > up; wait"
    tool = run("timeout", "20", "--", "sh", "-c", waits)
    until((tmp_path / "up").exists)
    tool.send(signal.SIGUSR1)
    assert tool.end()[0] == 4


def test_idle_counts_silence(run: Run):
    """D3.5: a command that speaks may last; one that falls silent is ended."""
    talks = "for i in 1 2 3 4 5 6; do echo $i; echo e$i >&2; sleep 0.3; done; exit 6"
    code, out, err = timeout(run, "--idle", "1", "--", "sh", "-c", talks)
    assert (code, out.split(), err.split()) == (6, list("123456"), [f"e{i}" for i in range(1, 7)])
    code, out, _ = timeout(run, "--idle", "0.5", "--", "sh", "-c", "echo x; sleep 25; echo y")
    assert (code, out) == (124, "x\n")


def test_all_of_the_output_passes(run: Run):
    """D3.5: with --idle it goes through us, byte by byte the same."""
    code, out, _ = timeout(run, "--idle", "9", "--", "sh", "-c", "seq 300000")
    assert code == 0
    assert out == "".join(f"{number}\n" for number in range(1, 300_001))


def test_a_reader_that_hangs_does_not_stop_the_limit(run: Run):
    """D3.5: a full pipe is silence."""
    ours, theirs = os.pipe()
    command = f"exec {sys.executable} -m cronherd timeout --idle 0.5 -- yes >&{theirs}"
    tool = run("timeout", "15", "--", "bash", "-c", command, pass_fds=(theirs,))
    os.close(theirs)
    assert tool.end()[0] == 124
    os.close(ours)


def test_input_and_output_are_our_own(run: Run):
    assert run("timeout", "9", "cat").end(b"through")[:2] == (0, "through")


def test_what_cannot_be_executed(run: Run, tmp_path: Path):
    (tmp_path / "plain").write_text("x")
    assert timeout(run, "1", "no-such-program")[0] == 127
    assert timeout(run, "1", "./plain")[0] == 126
    assert timeout(run, "1")[0] == 2


def test_ladders_are_read():
    assert read_ladder((), 9 * S) == (Rung(15, 9 * S),)
    assert read_ladder(("HUP@3s", "int", "9"), S) == (Rung(1, 3 * S), Rung(2, S), Rung(9, S))
    assert read_ladder(("KILL@2",), 9 * S) == (Rung(9, 2 * S),)
    assert read_signal("SIGUSR1") == signal.SIGUSR1
    for wrong in ("NOPE", "99", "-1", ""):
        with pytest.raises(Invalid):
            read_signal(wrong)
