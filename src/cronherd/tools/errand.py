"""A script that runs for a job of a job server: its command, what it reads, what it writes."""

import os
import select
from collections.abc import Mapping

from cronherd.gearman.worker import Job, Worker
from cronherd.tools.command import Command
from cronherd.tools.crew import Crew

SHELL = "/bin/sh"
PIECE = 65_536
MOST_BACKLOG = 4 << 20
LAST_READS = 512
"""Pieces behind the end of a command; whoever it left behind may write for ever."""


class Errand:
    """From a job's delivery to its end. `run`: it is an attempt of a run of the fleet."""

    def __init__(
        self, job: Job, worker: Worker, task: str, script: str, run: tuple[str, int] | None
    ) -> None:
        self.job = job
        self.worker = worker
        self.task = task
        self.script = script
        self.run = run
        self.token = os.urandom(16).hex()
        self.command: Command | None = None
        self.pipe = -1
        self.began_us = 0
        self.asked_us = 0
        """When the fleet was first asked for it."""
        self.due_us: int | None = None
        """When the fleet is to be asked again, or told that it lives."""
        self.waits_for_answer = False
        self.code: int | None = None
        """Its exit code, once it has ended and the fleet is to hear of it."""
        self.why = b""

    def is_same(self, job: Job) -> bool:
        """Whether this is that job, delivered before by a server that was lost meanwhile."""
        ours = self.job
        return (
            ours.lost
            and bool(job.unique)
            and (ours.function, ours.unique, ours.payload)
            == (job.function, job.unique, job.payload)
        )

    def start(self, crew: Crew, more: Mapping[str, str], stdin: bytes) -> None:
        """Raises SpawnError, or OSError where descriptors have run out."""
        given = _readable(stdin)
        try:
            self.pipe, theirs = os.pipe2(os.O_CLOEXEC)
            os.set_blocking(self.pipe, False)
            try:
                argv = [SHELL, "-c", self.script]
                self.command = crew.start(argv, (given, theirs, theirs), more)
            except BaseException:
                self.close()
                raise
            finally:
                os.close(theirs)
        finally:
            os.close(given)
        self.began_us = self.command.started_us

    def interest(self) -> bool:
        """Whether its output may be read: the server takes what there is."""
        return self.pipe >= 0 and self.job.backlog < MOST_BACKLOG

    def pass_on(self) -> bool:
        """One piece of output; False when there is none at the moment or ever."""
        try:
            piece = os.read(self.pipe, PIECE)
        except BlockingIOError:
            return False
        if not piece:
            self.close()
            return False
        self.job.output(piece)
        return True

    def drain(self) -> None:
        """What is in the pipe now that the command has ended."""
        for _ in range(LAST_READS):
            if self.pipe < 0 or not self.pass_on():
                break
        self.close()

    def close(self) -> None:
        if self.pipe >= 0:
            os.close(self.pipe)
            self.pipe = -1


def _readable(text: bytes) -> int:
    """A descriptor that gives these bytes and ends."""
    if not text:
        return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    if len(text) <= select.PIPE_BUF:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        os.write(theirs, text)
        os.close(theirs)
        return ours
    made = os.memfd_create("payload")
    with os.fdopen(os.dup(made), "wb") as file:
        file.write(text)
    os.lseek(made, 0, os.SEEK_SET)
    return made
