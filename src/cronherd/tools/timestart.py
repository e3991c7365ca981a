"""`timestart`: a command again and again, at a varying pace, never more than so many at once."""

import fcntl
import os
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cronherd.domain.instant import format_instant
from cronherd.supervisor.spawn import SpawnError, find
from cronherd.tools.command import Command
from cronherd.tools.crew import Clock, Crew, Rung, Turn
from cronherd.tools.pace import Bounds, Pace, draw

LOG = 3
"""Where events go when somebody has opened it for us."""
CAUGHT = (
    signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGWINCH,
)  # fmt: skip

Say = Callable[[str], None]


@dataclass(slots=True)
class Counts:
    """What became of the commands so far."""

    started: int = 0
    forced: int = 0
    ok: int = 0
    failed: int = 0
    killed: int = 0
    refused: int = 0
    most: int = 0


class Starter:
    """The loop. `say` is for people, `log` a descriptor for events or None."""

    def __init__(
        self, argv: Sequence[str], bounds: Bounds, *, clock: Clock, say: Say, log: int | None
    ) -> None:
        self._argv = list(argv)
        self._bounds = bounds
        self._clock = clock
        self._say = say
        self._log_to = log
        self._counts = Counts()
        self._stopped_by = 0
        self._grace_us = 0
        self._began_us = clock.boot_us()

    def run(self, environ: Mapping[str, str], grace_us: int, *, at_once: bool) -> int:
        """Until a signal ends it: the exit code. Raises SpawnError: there is no such program."""
        find(self._argv, environ)
        self._grace_us = grace_us
        with Crew(self._clock, CAUGHT, environ) as crew:
            pace = Pace(self._bounds, draw, self._began_us, at_once=at_once)
            while crew.running or not pace.ending:
                due_us = pace.next_us(len(crew.running))
                if due_us is not None and due_us <= self._clock.boot_us():
                    self._start(crew, pace)
                    continue
                self._take(crew.wait(due_us), crew, pace)
        self._note("ended", 0)
        return 128 + signal.SIGINT if self._stopped_by == signal.SIGINT else 0

    def _start(self, crew: Crew, pace: Pace, *, forced: bool = False) -> None:
        try:
            command = crew.start(self._argv)
        except SpawnError as error:
            # It was there at the beginning; perhaps it is being replaced.
            self._counts.refused += 1
            pace.failed(self._clock.boot_us())
            self._say(error.text)
            self._note(f"refused {error.code}", len(crew.running))
            return
        pace.started(self._clock.boot_us())
        command.forced = forced
        self._counts.started += 1
        self._counts.forced += forced
        self._counts.most = max(self._counts.most, len(crew.running))
        self._note(f"{'forced' if forced else 'started'} pid={command.pid}", len(crew.running))

    def _take(self, turn: Turn, crew: Crew, pace: Pace) -> None:
        for command in turn.ended:
            self._count(command, pace, len(crew.running))
        for number in turn.signals:
            self._obey(number, crew, pace)

    def _count(self, command: Command, pace: Pace, running: int) -> None:
        lasted_s = (self._clock.boot_us() - command.started_us) / 1_000_000
        self._note(f"ended pid={command.pid} code={command.code} after={lasted_s:.3f}s", running)
        if command.code == 0:
            self._counts.ok += 1
            return
        self._counts.failed += not command.is_killed
        self._counts.killed += command.is_killed
        pace.failed(self._clock.boot_us())

    def _obey(self, number: int, crew: Crew, pace: Pace) -> None:
        self._note(f"signal {signal.Signals(number).name}", len(crew.running))
        if number == signal.SIGUSR1 and not pace.ending:
            self._start(crew, pace, forced=True)
        elif number == signal.SIGUSR2:
            pace.suspended = not pace.suspended
        elif number == signal.SIGHUP:
            pace.ending = True
        elif number in {signal.SIGTERM, signal.SIGINT}:
            self._end(number, crew, pace)
        elif number == signal.SIGWINCH:
            self._tell(len(crew.running), pace)

    def _end(self, number: int, crew: Crew, pace: Pace) -> None:
        """Asked once: they get their grace. Asked again: they have none."""
        pace.ending = True
        again, self._stopped_by = bool(self._stopped_by), number
        for command in list(crew.running.values()):
            if again:
                crew.kill(command, "stop")
            else:
                crew.end(command, "stop", [Rung(signal.SIGTERM, self._grace_us)])

    def _tell(self, running: int, pace: Pace) -> None:
        counts, bounds = self._counts, self._bounds
        state = "ending" if pace.ending else "suspended" if pace.suspended else "starting"
        lasted_s = (self._clock.boot_us() - self._began_us) / 1_000_000
        self._say(
            f"{state} for {lasted_s:.1f} s: {running} running of {bounds.least} to {bounds.most},"
            f" at most {counts.most} so far; {counts.started} started, {counts.forced} of them"
            f" forced; {counts.ok} ok, {counts.failed} failed, {counts.killed} killed,"
            f" {counts.refused} not started"
        )

    def _note(self, event: str, running: int) -> None:
        """One line for programs. A log that is full or closed must not stop the pace."""
        if self._log_to is None:
            return
        line = f"{format_instant(self._clock.now_us())} {event} running={running}\n"
        try:
            os.write(self._log_to, line.encode())
        except OSError as error:
            self._log_to = None
            self._say(f"the event log cannot be written any more: {error.strerror}")


def given_log() -> int | None:
    """Descriptor 3, if whoever started us opened it for writing. Our commands do not get it."""
    try:
        mode = fcntl.fcntl(LOG, fcntl.F_GETFL) & os.O_ACCMODE
        if mode == os.O_RDONLY or not os.get_inheritable(LOG):
            return None
        os.set_inheritable(LOG, False)  # noqa: FBT003 - their signature
    except OSError:
        return None
    return LOG
