"""A command that a tool started, as far as the supervisor's kill code asks for it."""

import os
import signal

from cronherd.supervisor.spawn import SpawnError

__all__ = ["Command", "SpawnError", "code_of_refusal"]

TIMED_OUT = 124
FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127
GRACE_US = 10_000_000
"""From the last signal of a ladder to SIGKILL, where nothing else is said."""


class Command:
    """One process, leader of its own session, until it is reaped.

    It has what the supervisor asks of its children when it ends them; there is no attempt.
    """

    __slots__ = (
        "attempt", "done", "fence_us", "forced", "grace_us", "how", "killed_by", "leaked", "pid",
        "pidfd", "reaped", "run_id", "started_us", "status", "stop_signal",
    )  # fmt: skip

    def __init__(self, tool_id: str, pid: int, pidfd: int, started_us: int) -> None:
        self.run_id = tool_id
        self.attempt = 0
        self.pid = pid
        self.pidfd = pidfd
        self.started_us = started_us
        self.grace_us = GRACE_US
        self.stop_signal: int = signal.SIGTERM
        self.fence_us = None
        self.killed_by = ""
        self.how = ""
        self.leaked = 0
        self.reaped = False
        self.done = False
        self.status = 0
        self.forced = False
        """A person asked for it: it may be one too many."""

    def reap(self) -> None:
        """Collect its exit status. Only after its pidfd said that it ended."""
        _, self.status = os.waitpid(self.pid, 0)
        os.close(self.pidfd)
        self.reaped = self.done = True

    @property
    def is_killed(self) -> bool:
        """A signal ended it."""
        return os.WIFSIGNALED(self.status)

    @property
    def code(self) -> int:
        """Its exit code as shells say it: 128 and the number of the signal that ended it."""
        if self.is_killed:
            return 128 + os.WTERMSIG(self.status)
        return os.WEXITSTATUS(self.status)


def code_of_refusal(error: SpawnError) -> int:
    """What shells exit with when nothing was executed."""
    return {"not_found": NOT_FOUND, "not_executable": NOT_EXECUTABLE}.get(error.code, FAILED)
