"""A real supervisor with real children, one per test, in a temporary state directory."""

import os
import resource
import select
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from cronherd.engine.clock import SystemClock
from cronherd.supervisor.base import Ended, Gone, Output, Report, Start, Started, SupervisorGone
from cronherd.supervisor.client import launch

PATIENCE_S = 10.0


class Host:
    """A place where a supervisor lives, dies and lives again."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.sockets = folder / "run"
        self.clock = SystemClock()
        self.supervisor = launch(self.state, self.sockets, self.clock)

    def launch(self) -> None:
        """The next life, whatever the last one came to."""
        self.leave()
        self.supervisor = launch(self.state, self.sockets, self.clock)

    def launch_with(self, descriptors: int) -> int:
        """The next life, under a soft limit of descriptors: at least what is open here, and more.

        Returns the limit.
        """
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        limit = max(descriptors, highest + 64)
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        try:
            self.launch()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return limit

    def leave(self) -> None:
        """End the supervisor and all its runs; returns when it has exited."""
        self.supervisor.shutdown()
        self.supervisor.close()

    def end(self) -> None:
        """Leave for good, with all that was told heard: for that it would wait half a second."""
        if self.supervisor._life is None:  # it was closed already
            self.leave()
            return
        hearing = threading.Thread(target=self._hear_all)
        hearing.start()
        self.supervisor.shutdown()
        hearing.join()
        self.leave()

    def _hear_all(self) -> None:
        patience_s = 0.0
        with suppress(SupervisorGone):
            while True:
                _, position = self.supervisor.reports(patience_s)
                self.supervisor.ack(position)
                patience_s = PATIENCE_S

    def reconnect(self) -> None:
        """As when the agent dies and the next one comes."""
        self.supervisor.close()
        self.supervisor = launch(self.state, self.sockets, self.clock)

    def order(self, *argv: str, run_id: str = "r1", **more: Any) -> Start:
        fields: dict[str, Any] = {
            "run_id": run_id, "attempt": 1, "token": "t-" + run_id, "argv": argv, "cwd": "/",
            "env": {"PATH": "/usr/bin:/bin"},
        }  # fmt: skip
        return Start(**(fields | more))

    def run(self, *argv: str, **more: Any) -> tuple[Ended, list[Output]]:
        """Run one command to its end: the end and its output."""
        self.supervisor.start([self.order(*argv, **more)])
        ends, output = self.until_ended(1)
        return ends[0], output

    def sh(self, script: str, **more: Any) -> tuple[Ended, list[Output]]:
        return self.run("/bin/sh", "-c", script, **more)

    def python(self, script: str, **more: Any) -> tuple[Ended, list[Output]]:
        return self.run(sys.executable, "-I", "-S", "-c", script, **more)

    def wait(self, enough: Callable[[list[Report]], bool], *, ack: bool = False) -> list[Report]:
        """All reports until there are `enough`."""
        got: list[Report] = []
        give_up = self.clock.boot_us() + PATIENCE_S * 1e6
        while not enough(got):
            assert self.clock.boot_us() < give_up, f"waited in vain; got {got!r:.2000}"
            batch, position = self.supervisor.reports(0.5)
            got += batch
            if ack:
                self.supervisor.ack(position)
        return got

    def until_ended(self, count: int, *, ack: bool = False) -> tuple[list[Ended], list[Output]]:
        got = self.wait(lambda all_: sum(isinstance(r, Ended) for r in all_) >= count, ack=ack)
        ends = [report for report in got if isinstance(report, Ended)]
        return ends, [report for report in got if isinstance(report, Output)]

    def until_written(self, text: bytes) -> int:
        """Wait until a command wrote `text`; its pid."""
        got = self.wait(lambda all_: text in text_of(all_))
        return next(report.pid for report in got if isinstance(report, Started))

    def all_reports(self) -> list[Report]:
        """What comes until the connection is lost."""
        got: list[Report] = []
        while True:
            try:
                got += self.supervisor.reports(PATIENCE_S)[0]
            except SupervisorGone:
                return got


def text_of(reports: list[Report] | list[Output], stream: int | None = None) -> bytes:
    chunks = [
        report.chunk
        for report in reports
        if isinstance(report, Output) and stream in (None, report.stream)
    ]
    return b"".join(chunks)


def gone_of(reports: list[Report]) -> list[str]:
    return [report.run_id for report in reports if isinstance(report, Gone)]


def wait_for_death(pid: int) -> None:
    """Until no process has this number (a zombie that waits for init does not count as alive)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    ended = poll.poll(PATIENCE_S * 1000)
    os.close(descriptor)
    assert ended, f"process {pid} still runs"


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
