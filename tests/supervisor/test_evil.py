"""Commands that behave as badly as they can. Each is told truthfully and leaves nothing behind.

What others prove already: who ignores TERM, stops itself or leaves a background child
(test_limits), floods, writes NUL and bad UTF-8, closes its output or has a grandchild that keeps
the pipe (test_capture), reads stdin, cannot be executed or is gone in a moment (test_spawn). All of
them are run once more by somebody who is not root (test_as_user).
"""

import ctypes
import json
import os
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from uuid import uuid4

import pytest

from cronherd.supervisor.base import Ended
from tests.supervisor.conftest import NOBODY
from tests.supervisor.host import Host, children_of, text_of, wait_for_death

GIB = 1 << 30
GROWTH_KIB = 4096
"""Head and tail of one run, its reports on their way, and what the allocator keeps."""

FLOOD = (
    "import os\nleft = 1 << 30\nblock = (b'x' * 99 + b'\\n') * 10_000\n"
    "while left: left -= os.write(1, block[:left])"
)
LONG_LINE = (
    "import os\nleft = 100 << 20\nwhile left: left -= os.write(1, bytes(min(left, 1 << 20)))"
)


def peak_kib(pid: int) -> int:
    """VmHWM: the most memory the process ever had resident, in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0])


def test_a_gibibyte_of_output_does_not_grow_the_supervisor(host: Host) -> None:
    host.sh("head -c 600000 /dev/zero", run_id="warm")
    before = peak_kib(host.supervisor.pid)
    end, output = host.python(FLOOD)
    assert end.exit_code == 0
    assert end.dropped == GIB - 2 * 262_144
    assert sum(len(piece.chunk) for piece in output) == 2 * 262_144
    assert peak_kib(host.supervisor.pid) < before + GROWTH_KIB


def test_a_line_of_100_mib_is_output_like_any_other(host: Host) -> None:
    before = peak_kib(host.supervisor.pid)
    end, output = host.python(LONG_LINE)
    assert (end.exit_code, text_of(output)) == (0, bytes(2 * 262_144))
    assert end.dropped == (100 << 20) - 2 * 262_144
    assert peak_kib(host.supervisor.pid) < before + GROWTH_KIB


def deadly_signals() -> list[int]:
    """Those whose default is to end the process; the C library keeps 32 and 33 to itself."""
    harmless = {"SIGCHLD", "SIGCONT", "SIGURG", "SIGWINCH"}
    stopping = {"SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU"}
    return [
        int(number)
        for number in signal.valid_signals()
        if getattr(number, "name", "") not in harmless | stopping
    ]


def test_death_by_each_signal_is_told(host: Host) -> None:
    numbers = deadly_signals()
    assert {1, 6, 9, 15, 34, 64} <= set(numbers)
    script = "ulimit -c 0; kill -$0 $$"
    host.supervisor.start(
        [
            host.order("/bin/sh", "-c", script, str(number), run_id=f"n{number}")
            for number in numbers
        ]
    )
    ends, _ = host.until_ended(len(numbers))
    told = {end.run_id: (end.signal, end.exit_code, end.killed_by) for end in ends}
    assert told == {f"n{number}": (number, None, "") for number in numbers}


def test_each_exit_code_is_told(host: Host) -> None:
    codes = range(256)
    orders = [host.order("/bin/sh", "-c", f"exit {code}", run_id=f"n{code}") for code in codes]
    host.supervisor.start(orders)
    ends, _ = host.until_ended(len(codes))
    assert {end.run_id: end.exit_code for end in ends} == {f"n{code}": code for code in codes}


def test_a_command_may_remove_the_directory_it_runs_in(host: Host, tmp_path: Path) -> None:
    folder = tmp_path / "place"
    folder.mkdir()
    end, output = host.sh(f"rmdir {folder}; pwd >/dev/null; echo on; exit 3", cwd=str(folder))
    assert (end.exit_code, text_of(output)) == (3, b"on\n")
    end, _ = host.run("/bin/true", cwd=str(folder), run_id="r2")
    assert (end.error, end.started_us) == ("cwd_missing", None)


def test_a_command_without_any_descriptor_can_be_cancelled(host: Host) -> None:
    script = "import os, time\nprint('up', flush=True)\nos.closerange(0, 100)\ntime.sleep(60)"
    host.supervisor.start([host.order("/usr/bin/env", "python3", "-ISc", script)])
    host.until_written(b"up")
    host.supervisor.cancel("r1", 1)
    (end,), _ = host.until_ended(1)
    assert (end.signal, end.killed_by, end.how) == (15, "cancel", "term")


def test_a_command_that_kills_its_supervisor_dies_with_it(host: Host) -> None:
    """Same user, so it may: then the guardian ends it, and the next life says gone."""
    host.supervisor.start([host.order("/bin/sh", "-c", "echo up; kill -9 $PPID; exec sleep 60")])
    supervisor = host.supervisor.pid
    got = host.all_reports()
    wait_for_death(supervisor)
    host.launch()
    assert not any(isinstance(report, Ended) for report in got)
    reports = host.wait(bool)
    assert [type(report).__name__ for report in reports] == ["Gone"]


def litter(host: Host) -> tuple[int, int, list[str], list[str]]:
    """Descriptors, children, files beside the spool's own, control groups."""
    pid = host.supervisor.pid
    files = sorted(path.name for path in host.state.iterdir())
    note = host.state / "cgroup"
    groups = Path(note.read_text()).glob("*/") if note.exists() else ()
    descriptors = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return descriptors, len(children_of(pid)), files, sorted(path.name for path in groups)


def many_runs(host: Host, count: int) -> None:
    """Most are over in a moment; some last, leave something, or are killed."""
    host.sh("true", run_id="warm")
    before = litter(host)
    for first in range(0, count, 500):
        orders = [host.order("/bin/true", run_id=f"n{first + n}") for n in range(500)]
        orders[10] = host.order("/bin/sh", "-c", "exec sleep 1.7", run_id="long", stdin=b"x")
        orders[20] = host.order("/bin/sh", "-c", "sleep 0.1 & exit 1", run_id="leaving")
        orders[30] = host.order("/bin/sleep", "60", run_id="killed", timeout_us=1_800_000)
        orders[40] = host.order("missing", run_id="missing")
        host.supervisor.start(orders)
        ends, _ = host.until_ended(500, ack=True)
        assert len({end.run_id for end in ends}) == 500
    assert litter(host) == before


def test_a_thousand_runs_leave_nothing_behind(host: Host) -> None:
    many_runs(host, 1000)


@pytest.mark.full
@pytest.mark.timeout(300)
def test_ten_thousand_runs_leave_nothing_behind(host: Host) -> None:
    many_runs(host, 10_000)


# What SIGKILL does not end

HEADER = Struct("=IIQQIIIHH")
ANSWER = Struct("=IiQ")
INIT = 26


class HangingDisk:
    """A FUSE file system that answers nothing: whoever looks into it hangs in the kernel."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        options = b"fd=%d,rootmode=40000,user_id=0,group_id=0" % self._device
        if self._libc.mount(b"hang", bytes(folder), b"fuse", 0, options):
            os.close(self._device)
            raise OSError(ctypes.get_errno(), "cannot mount")

    def wait_for_victim(self) -> None:
        """Until somebody has asked for something that is never answered."""
        poll = select.poll()
        poll.register(self._device, select.POLLIN)
        while poll.poll(5000):
            request = os.read(self._device, 1 << 20)
            _, code, unique, *_ = HEADER.unpack_from(request)
            if code != INIT:
                return
            body = Struct("=IIIIHHIIHHI7I").pack(7, 31, 65536, 0, 12, 8, 4096, 1, 0, 0, 0, *[0] * 7)
            os.write(self._device, ANSWER.pack(16 + len(body), 0, unique) + body)
        raise AssertionError("nobody looked")

    def let_go(self) -> None:
        """All requests fail, and all who hang go on."""
        if self._device >= 0:
            os.close(self._device)
            self._device = -1
            self._libc.umount2(bytes(self.folder), 2)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[HangingDisk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        hanging = HangingDisk(folder)
    except OSError as error:
        pytest.skip(f"no FUSE here: {error}")
    yield hanging
    hanging.let_go()


HASTY = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import cronherd.supervisor.cgroup as c; "
    "import cronherd.supervisor.sweep as s; s.STUCK_US = 1_000_000; {more}"
    "from cronherd.supervise import main; sys.exit(main(sys.argv[1:]))"
)
"""It waits one second for what does not die."""


@pytest.fixture(params=["", "c.MOUNTS = '/dev/null'; "], ids=["cgroup", "bare"])
def hasty(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Host]:
    monkeypatch.setattr("cronherd.supervisor.client._BOOT", HASTY.format(more=request.param))
    host = Host(tmp_path)
    yield host
    host.leave()


def ended_by_cancel(host: Host, run_id: str) -> Ended:
    host.supervisor.cancel(run_id, 1)
    (end,), _ = host.until_ended(1)
    assert end.killed_by == "cancel"
    assert end.how == ("cgroup" if (host.state / "cgroup").exists() else "kill")
    return end


def test_the_end_of_a_command_that_does_not_die_is_told(hasty: Host, disk: HangingDisk) -> None:
    hasty.supervisor.start([hasty.order("/usr/bin/stat", f"{disk.folder}/x", grace_us=10_000)])
    disk.wait_for_victim()
    end = ended_by_cancel(hasty, "r1")
    assert (end.exit_code, end.signal, end.error, end.leaked) == (None, None, "", 1)
    assert "state D" in end.error_text
    assert hasty.sh("exit 4", run_id="next")[0].exit_code == 4
    assert end.pid in children_of(hasty.supervisor.pid)
    disk.let_go()
    wait_for_death(end.pid)
    hasty.sh("exit 0", run_id="last")  # it looks around once more
    assert len(children_of(hasty.supervisor.pid)) == 1  # the guardian


def test_a_stray_that_does_not_die_is_counted(hasty: Host, disk: HangingDisk) -> None:
    run_id = uuid4().hex
    env = {"PATH": "/usr/bin:/bin", "CRONHERD_RUN_ID": run_id, "CRONHERD_ATTEMPT": "1"}
    script = f"setsid stat {disk.folder}/x >/dev/null 2>&1 & exec sleep 60"
    hasty.supervisor.start([hasty.order("/bin/sh", "-c", script, run_id=run_id, env=env)])
    disk.wait_for_victim()
    end = ended_by_cancel(hasty, run_id)
    assert (end.signal, end.leaked, end.error_text) == (15, 1, "")


# As somebody who is not root: no control groups, and nobody else's processes

CANCELLING = """
import json, os, sys
from pathlib import Path
from tests.supervisor.host import Host, text_of
host = Host(Path(sys.argv[1]))
env = {"PATH": "/usr/bin:/bin", "CRONHERD_RUN_ID": sys.argv[2], "CRONHERD_ATTEMPT": "1"}
script = ("trap '' TERM; echo $$; setsid sh -c 'echo $$; sleep 60; :' & "
    "(setsid sh -c '(echo $$; exec sleep 60) & echo $$; exec sleep 60' &); "
    "while :; do sleep 60; done")
order = host.order("/bin/sh", "-c", script, run_id=sys.argv[2], env=env, grace_us=300_000)
host.supervisor.start([order])
got = host.wait(lambda reports: text_of(reports).count(b"\\n") == 4)
host.supervisor.cancel(sys.argv[2], 1)
(end,), _ = host.until_ended(1)
states = [Path(f"/proc/{int(pid)}/stat") for pid in text_of(got).split()]
texts = [path.read_text() for path in states if path.exists()]
alive = [text for text in texts if ") Z" not in text]
print(json.dumps([end.killed_by, end.how, end.signal, end.leaked, alive, os.geteuid()]))
host.leave()
"""


def test_somebody_who_is_not_root_leaves_nothing_behind_either(
    nobodys: tuple[str, Path],
) -> None:
    python, folder = nobodys
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [python, "-B", "-c", CANCELLING, str(folder), uuid4().hex],
        user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", check=True, capture_output=True,
        env={"PYTHONPATH": f"{root / 'src'}:{root}", "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert json.loads(done.stdout) == ["cancel", "kill", 9, 0, [], NOBODY]
