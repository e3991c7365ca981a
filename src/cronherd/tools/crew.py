"""The commands of one tool: started beside it, watched, and ended as the supervisor ends runs."""

import os
import select
import signal
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from types import FrameType, MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Protocol, Self, cast

from cronherd.engine.clock import SystemClock
from cronherd.supervisor.spawn import spawn_beside
from cronherd.tools.command import Command

if TYPE_CHECKING:
    from cronherd.supervisor.child import Child
    from cronherd.supervisor.spawn import Spawned
    from cronherd.supervisor.timers import Action, Limits, Timers

MARK = "CRONHERD_TOOL"
"""What a command carries: the ids of all the tools that it runs under, so that it is found."""
LONGEST_MS = 60_000
"""The wait counts no suspend of the host; instants do. So look now and then."""
STANDARD = (0, 1, 2)


class Clock(Protocol):
    """The host's clocks, as engine/clock.py has them."""

    def now_us(self) -> int: ...

    def boot_us(self) -> int: ...


CLOCK: Clock = SystemClock()


@dataclass(frozen=True, slots=True)
class Rung:
    """A signal of a ladder, and how long to wait before the next one. After the last: SIGKILL."""

    number: int
    wait_us: int


@dataclass(slots=True)
class Turn:
    """What happened: signals that we got, commands that ended, descriptors that are ready."""

    signals: list[int] = field(default_factory=list)
    ended: list[Command] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)


class Crew:
    """Starts, watches and ends; one thread, one poll. Nothing of an ended command lives on."""

    def __init__(self, clock: Clock, caught: Iterable[int], environ: Mapping[str, str]) -> None:
        self.clock = clock
        self.running: dict[int, Command] = {}
        """By pidfd; those that are being ended too."""
        self._environ = environ
        self._caught = tuple(caught)
        self._poll = select.poll()
        self._limits: Limits | None = None
        self._timers: Timers | None = None
        self._before: dict[int, object] = {}
        self._wakeup = -1
        self._noted = self._note = -1

    def __enter__(self) -> Self:
        _fill_standard()
        self._noted, self._note = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._wakeup = signal.set_wakeup_fd(self._note, warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, _nothing) for number in self._caught}
        self._poll.register(self._noted, select.POLLIN)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, cast("signal.Handlers", before))
        signal.set_wakeup_fd(self._wakeup)
        os.close(self._noted)
        os.close(self._note)

    def start(
        self,
        argv: Sequence[str],
        ends: Sequence[int] = STANDARD,
        more: Mapping[str, str] = MappingProxyType({}),
        *,
        bound: bool = False,
    ) -> Command:
        """Execute `argv` with these descriptors as its 0, 1 and 2, and `more` variables.

        Raises SpawnError. `bound`: the kernel kills it when this process dies; 10 ms more.
        """
        tool_id = os.urandom(6).hex()
        outer = self._environ.get(MARK, "")
        env = {**self._environ, **more, MARK: f"{outer}:{tool_id}" if outer else tool_id}
        started_us = self.clock.boot_us()
        spawned = (_bound_spawn() if bound else spawn_beside)(list(argv), env, ends)
        command = Command(tool_id, spawned.pid, spawned.pidfd, started_us)
        self.running[command.pidfd] = command
        self._poll.register(command.pidfd, select.POLLIN)
        return command

    def listen(self, descriptor: int, events: int) -> None:
        """Let `wait` end when it is ready."""
        self._poll.register(descriptor, events)

    def leave(self, descriptor: int) -> None:
        self._poll.unregister(descriptor)

    def wait(self, until_us: int | None) -> Turn:
        """Until something happens, or until this instant of the boot clock."""
        turn = Turn()
        for descriptor, _ in self._poll.poll(self._pause_ms(until_us)):
            if descriptor == self._noted:
                turn.signals += self._read_signals()
            elif descriptor in self.running:
                self._leave(self.running[descriptor], turn)
            else:
                turn.ready.append(descriptor)
        if self._limits is not None and self._timers is not None:
            boot_us = self.clock.boot_us()
            self._timers.fire(boot_us)
            for child, _ in self._limits.hunt.look(boot_us):
                self._bury(cast("Command", child), turn)
        return turn

    def signal(self, command: Command, number: int) -> None:
        """Send it to the command's group."""
        if not command.reaped:
            with suppress(ProcessLookupError):  # a zombie whose group is empty
                os.killpg(command.pid, number)

    def end(self, command: Command, why: str, ladder: Sequence[Rung]) -> None:
        """Climb the ladder, then SIGKILL; what the command leaves behind is killed as well."""
        if command.killed_by or command.reaped:
            return
        limits, timers = self._killing()
        command.stop_signal = ladder[0].number
        command.grace_us = sum(rung.wait_us for rung in ladder)
        child = cast("Child", command)
        limits.terminate(child, why)
        due_us = self.clock.boot_us()
        for before, rung in pairwise(ladder):
            due_us += before.wait_us
            timers.add(due_us, _sender(rung.number), child)

    def kill(self, command: Command, why: str) -> None:
        """At once, and all of it."""
        command.killed_by = command.killed_by or why
        self._killing()[0].kill(cast("Child", command), self.clock.boot_us())

    def _killing(self) -> "tuple[Limits, Timers]":
        """The supervisor's kill code, read when first something is to be ended."""
        if self._limits is None or self._timers is None:
            from cronherd.supervisor.timers import Limits, Timers  # noqa: PLC0415 - 5 ms of a start

            self._timers = Timers()
            self._limits = Limits(self.clock, self._timers)
        return self._limits, self._timers

    def _leave(self, command: Command, turn: Turn) -> None:
        self._poll.unregister(command.pidfd)
        if command.killed_by:
            # Not reaped until nothing of it is left, so that its number stays its own.
            child = cast("Child", command)
            self._killing()[0].hunt.begin(child, self.clock.boot_us(), ended=True)
        else:
            self._bury(command, turn)

    def _bury(self, command: Command, turn: Turn) -> None:
        """Nothing is left to wait for. One that the kernel holds is left to it."""
        del self.running[command.pidfd]
        if _has_ended(command.pidfd):
            command.reap()
        else:
            self._poll.unregister(command.pidfd)
            command.status, command.reaped, command.done = signal.SIGKILL, True, True
        turn.ended.append(command)

    def _pause_ms(self, until_us: int | None) -> int:
        dues = [until_us]
        if self._limits is not None and self._timers is not None:
            dues += [self._timers.next_us(), self._limits.hunt.next_us]
        known = [due_us for due_us in dues if due_us is not None]
        if not known:
            return LONGEST_MS
        left_us = min(known) - self.clock.boot_us()
        return max(0, min(LONGEST_MS, -(-left_us // 1_000)))

    def _read_signals(self) -> list[int]:
        try:
            return [number for number in os.read(self._noted, 4096) if number in self._caught]
        except BlockingIOError:
            return []


def _bound_spawn() -> "Callable[[list[str], Mapping[str, str], Sequence[int]], Spawned]":
    from cronherd.supervisor.launching import spawn_bound  # noqa: PLC0415 - 3 ms of a start

    return spawn_bound


def _sender(number: int) -> "Action":
    def send(child: "Child", _boot_us: int) -> None:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.killpg(child.pid, number)

    return send


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The number is in the pipe by now."""


def _has_ended(pidfd: int) -> bool:
    look = select.poll()
    look.register(pidfd, select.POLLIN)
    return bool(look.poll(0))


def _fill_standard() -> None:
    """Whoever closed our 0, 1 or 2 means nothing to be there, not whatever we open next."""
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
