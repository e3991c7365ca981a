"""Nodes that begin at once: forked from a process that has read cronherd's modules already.

    python -m tests.engine.nursery SOCKET_FD

To read them takes most of a second of processor time, and the tests start hundreds of nodes. Each
is a process of its own all the same: its session, its streams, its environment, its signals and its
end are those of `python -m cronherd`, which the torture, the browser's site and others do start.

For each order the nursery forks a waiter, and that the node: a pid, then the status of its end come
back by the descriptor that was sent along. The nursery ends when its socket does.
"""

import array
import atexit
import gc
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
MESSAGE_MAX = 1 << 20
_WORD = struct.Struct("=q")
_DESCRIPTORS = 3  # standard output, standard error, where to report


class Node:
    """What came of an order; of subprocess.Popen's surface that which tests of nodes use."""

    def __init__(self, pid: int, report: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._report = report

    def poll(self) -> int | None:
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._look(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(f"node {self.pid}", timeout)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _look(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], seconds)[0]:
            self.returncode = os.waitstatus_to_exitcode(_number(self._report))
            self._report.close()
        return self.returncode


def start(
    arguments: Sequence[str], *, out: IO[bytes], err: IO[bytes], env: Mapping[str, str]
) -> Node:
    """`python -m cronherd ARGUMENTS` in a session of its own, with nothing to read."""
    order = {"arguments": list(arguments), "cwd": str(Path.cwd()), "env": dict(env)}
    ours, theirs = socket.socketpair()
    with theirs:
        fds = array.array("i", [out.fileno(), err.fileno(), theirs.fileno()])
        right = (socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)
        _nursery().sendmsg([json.dumps(order).encode()], [right])
    return Node(_number(ours), ours)


def run(
    arguments: Sequence[str], *, env: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """One command to its end. Raises subprocess.TimeoutExpired after it has been killed."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        node = start(arguments, out=out, err=err, env=env)
        try:
            code = node.wait(timeout_s)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
            raise
        said = []
        for stream in (out, err):
            stream.seek(0)
            said.append(stream.read().decode())
    return subprocess.CompletedProcess(arguments, code, *said)


def _number(report: socket.socket) -> int:
    told = report.recv(_WORD.size, socket.MSG_WAITALL)
    if len(told) < _WORD.size:
        raise ChildProcessError("the nursery of nodes has ended")
    (number,) = _WORD.unpack(told)
    return int(number)


@cache
def _nursery() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.nursery", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


# ------------------------------------------------------------------ the nursery itself


def _serve(line: socket.socket) -> list[str] | None:
    """Take orders; the arguments in a node that was forked, None in the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # waiters end unseen
    while True:
        text, fds, _, _ = socket.recv_fds(line, MESSAGE_MAX, _DESCRIPTORS)
        if not text:
            return None
        out, err, report = fds
        if os.fork() == 0:
            line.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            pid = os.fork()
            if pid == 0:
                os.close(report)
                return _become(json.loads(text), out, err)
            os.close(out)
            os.close(err)
            _wait(pid, report)
        for fd in fds:
            os.close(fd)


def _wait(pid: int, report: int) -> None:
    """Tell of a node; the test may have ended before it, and nobody listens."""
    os.setsid()
    try:
        os.write(report, _WORD.pack(pid))
        _, status = os.waitpid(pid, 0)
        os.write(report, _WORD.pack(status))
    finally:
        os._exit(0)


def _become(order: Mapping[str, object], out: int, err: int) -> list[str]:
    os.setsid()
    for fd, stream in ((out, 1), (err, 2)):
        os.dup2(fd, stream)
        os.close(fd)
    os.chdir(str(order["cwd"]))
    env, arguments = order["env"], order["arguments"]
    assert isinstance(env, dict)
    assert isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(env)
    return arguments


def _read_modules() -> None:
    """Those that `up` reads: what knows no test, no place and no time."""
    from importlib import import_module  # noqa: PLC0415 - here alone

    for name in ("cli.main", "cli.serve", "wiring", "serving", "pagehouse", "store.postgres"):
        import_module(f"cronherd.{name}")


def main() -> None:
    _read_modules()
    gc.freeze()
    arguments = _serve(socket.socket(fileno=int(sys.argv[1])))
    if arguments is None:
        return
    from cronherd.__main__ import main as cronherd  # noqa: PLC0415 - as `python -m` does

    sys.argv = ["cronherd", *arguments]
    sys.orig_argv = [sys.executable, "-m", "cronherd", *arguments]
    cronherd()


if __name__ == "__main__":
    main()
