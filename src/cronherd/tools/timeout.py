"""`timeout`: a command and all that it starts, ended when it lasts or is silent for too long."""

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cronherd.domain.duration import parse_duration
from cronherd.domain.errors import Invalid
from cronherd.tools.command import TIMED_OUT, Command
from cronherd.tools.crew import Clock, Crew, Rung, Turn
from cronherd.tools.relay import Relay

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
PASSED_ON = (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGWINCH)
BETWEEN_US = 1_000_000
"""From one signal of a ladder to the next, where nothing else is said."""
LAST_WORDS_US = 1_000_000
"""For a reader of what a command wrote before it was ended."""
LONGEST_US = 86_400_000_000
KILLED = 128 + signal.SIGKILL
STDOUT, STDERR = 1, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """How long a command may take, and what is sent to it then.

    `limit_us` 0 is no limit. `idle`: it counts from the last output.
    """

    limit_us: int
    ladder: tuple[Rung, ...]
    idle: bool = False
    preserve_status: bool = False


class Timeout:
    """Runs one command under a limit."""

    def __init__(self, limit: Limit, *, clock: Clock) -> None:
        self._limit = limit
        self._clock = clock
        self._relays: list[Relay] = []
        self._due_us: int | None = None
        self._timed_out = False

    def run(self, argv: Sequence[str], environ: Mapping[str, str]) -> int:
        """The exit code. Raises SpawnError: nothing was executed."""
        with Crew(self._clock, (*STOPPING, *PASSED_ON), environ) as crew:
            if self._limit.idle:
                self._relays = [Relay(crew, STDOUT), Relay(crew, STDERR)]
            ends = (0, *(relay.theirs for relay in self._relays)) if self._relays else (0, 1, 2)
            command = crew.start(argv, ends)
            for relay in self._relays:
                relay.started()
            self._put_off()
            while not command.done:
                self._take(crew.wait(self._due_us), crew, command)
            self._drain()
        if self._timed_out and not self._limit.preserve_status:
            return KILLED if command.code == KILLED else TIMED_OUT
        return command.code

    def _drain(self) -> None:
        """What is left in the pipes; a reader who takes nothing is silence too."""
        limit_us = self._limit.limit_us or LONGEST_US
        patience_us = min(LAST_WORDS_US if self._timed_out else limit_us, LONGEST_US)
        for relay in self._relays:
            if not relay.drain(patience_us // 1_000):
                self._timed_out = True

    def _put_off(self) -> None:
        """Count from now on."""
        if self._limit.limit_us and not self._timed_out:
            self._due_us = self._clock.boot_us() + self._limit.limit_us

    def _take(self, turn: Turn, crew: Crew, command: Command) -> None:
        for relay in self._relays:
            if relay.waits_for() in turn.ready and relay.turn():
                self._put_off()
        for number in turn.signals:
            self._pass_on(number, crew, command)
        if self._due_us is not None and self._due_us <= self._clock.boot_us():
            self._due_us = None
            if not command.done and not command.killed_by:
                self._timed_out = True
                crew.end(command, "timeout", self._limit.ladder)

    def _pass_on(self, number: int, crew: Crew, command: Command) -> None:
        """What asks us to end asks the command, and begins its grace; asked twice it has none."""
        if number not in STOPPING:
            crew.signal(command, number)
        elif command.killed_by:
            crew.kill(command, "stop")
        else:
            crew.end(command, "stop", [Rung(number, self._limit.ladder[-1].wait_us)])


def read_ladder(said: Sequence[str], grace_us: int) -> tuple[Rung, ...]:
    """`TERM`, `15` or `HUP@3s`, each with the time until the next one. Raises Invalid."""
    rungs = []
    for text in said or ("TERM",):
        name, at, wait = text.partition("@")
        wait_us = parse_duration(wait) if at else BETWEEN_US
        rungs.append(Rung(read_signal(name), wait_us))
    last = rungs[-1]
    return (*rungs[:-1], last if "@" in (said or ("",))[-1] else Rung(last.number, grace_us))


def read_signal(name: str) -> int:
    """TERM, SIGTERM, term and 15 are the same. Raises Invalid."""
    if name.isascii() and name.isdigit() and int(name) in set(signal.valid_signals()):
        return int(name)
    word = f"SIG{name.upper().removeprefix('SIG')}"
    if word in signal.Signals.__members__:
        return int(signal.Signals[word])
    raise Invalid(f"there is no signal '{name[:40]}'", code="bad_signal", hint="write TERM or 15")
