"""A command runs while a lock is held: it is renewed meanwhile, and given back behind it."""

import signal
from collections.abc import Callable, Sequence

from cronherd.domain.errors import Unavailable
from cronherd.locks.base import Clock, Held
from cronherd.supervisor.spawn import SpawnError
from cronherd.tools.command import FAILED, GRACE_US, code_of_refusal
from cronherd.tools.crew import Crew, Rung

FENCE = "CRONHERD_LOCK_FENCE"
"""The variable that tells the command its fence."""
LOST = FAILED
"""The exit code when the lock was lost, or nobody knows whose it is."""
PASSED_ON = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTSTP,
)
"""TSTP, a key at the terminal, too: a holder that is stopped does not renew."""


class Keeping:
    """When a hold is to be renewed, and whether it may still be counted on."""

    def __init__(self, held: Held, expiry_us: int | None, clock: Clock, asked_us: int) -> None:
        """`asked_us`: boot clock when it was last asked for; it is ours at least from then on."""
        self._held = held
        self._expiry_us = expiry_us
        self._clock = clock
        self._ours_from_us = asked_us
        self._next_us = asked_us + (expiry_us or 0) // 3

    @property
    def due_us(self) -> int | None:
        """The instant of the boot clock at which it must be looked after; None is never."""
        return None if self._expiry_us is None else self._next_us

    def look_after(self) -> bool:
        """Renew when it is time; False when the hold is lost, or may be."""
        if self._expiry_us is None:
            return True
        asked_us = self._clock.boot_us()
        if asked_us < self._next_us:
            return True
        try:
            ours = self._held.renew()
        except Unavailable:
            # Asked again soon: it is ours until it expires, whatever the server does.
            self._next_us = asked_us + self._expiry_us // 10
            return asked_us < self._ours_from_us + self._expiry_us * 9 // 10
        self._ours_from_us, self._next_us = asked_us, asked_us + self._expiry_us // 3
        return ours


def run_held(
    argv: Sequence[str], crew: Crew, keeping: Keeping, complain: Callable[[str], None]
) -> int:
    """Run the command to its end; its exit code, 128 and the signal, LOST when the lock was lost.

    Signals that this process gets are passed on. The command dies when this process is killed: it
    must not go on without the lock.
    """
    try:
        command = crew.start(argv, bound=True)
    except SpawnError as error:
        complain(error.text)
        return code_of_refusal(error)
    while not command.done:
        turn = crew.wait(None if command.killed_by else keeping.due_us)
        for number in turn.signals:
            crew.signal(command, number)
        if turn.ended or command.killed_by or keeping.look_after():
            continue
        complain("the lock was lost, so the command is ended")
        crew.end(command, "lost", [Rung(signal.SIGTERM, GRACE_US)])
    return LOST if command.killed_by else command.code
