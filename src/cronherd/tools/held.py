"""A command runs while a lock is held: it is renewed meanwhile, and given back behind it."""

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

from cronherd.domain.errors import Unavailable
from cronherd.locks.base import Clock, Held

NOT_FOUND = 127
NOT_EXECUTABLE = 126
LOST = 125

_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_FROM_KERNEL = 0x80  # si_code: a key at the terminal, which the command gets by itself
_PASSED_ON = (
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
HEARD = {signal.SIGCHLD, *_PASSED_ON}
_PATIENCE_US = 10_000_000  # between SIGTERM and SIGKILL, once the lock is lost
_IDLE_US = 3_600_000_000

Mask = AbstractSet[int]


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
    def left_us(self) -> int:
        """Until it must be looked after."""
        if self._expiry_us is None:
            return _IDLE_US
        return max(0, self._next_us - self._clock.boot_us())

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
    argv: Sequence[str],
    environ: Mapping[str, str],
    keeping: Keeping,
    clock: Clock,
    complain: Callable[[str], None],
    before: Mask,
) -> int:
    """Run the command to its end; its exit code, 128 and the signal, 125 when the lock was lost.

    Signals that this process gets are passed on: the caller has blocked HEARD, and `before` is
    the mask from before that. The command dies when this process is killed: it must not go on
    without the lock.
    """
    try:
        child = _start(argv, environ, before)
    except FileNotFoundError:
        complain(f"{argv[0]}: there is no such command")
        return NOT_FOUND
    except OSError as error:
        complain(f"{argv[0]}: {error.strerror}")
        return NOT_EXECUTABLE
    return _watch(child, keeping, clock, complain)


def _start(argv: Sequence[str], environ: Mapping[str, str], mask: Mask) -> subprocess.Popen[bytes]:
    libc, parent = ctypes.CDLL(None), os.getpid()

    def prepare() -> None:
        libc.prctl(_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:  # it died before it could be said
            os._exit(LOST)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    # What the caller had open is the command's as well; our own descriptors close by themselves.
    return subprocess.Popen(
        list(argv),
        env=dict(environ),
        close_fds=False,
        preexec_fn=prepare,  # noqa: PLW1509 - one thread
    )


def _watch(
    child: subprocess.Popen[bytes],
    keeping: Keeping,
    clock: Clock,
    complain: Callable[[str], None],
) -> int:
    kill_us: int | None = None
    while child.poll() is None:
        wait_us = keeping.left_us if kill_us is None else max(0, kill_us - clock.boot_us())
        told = signal.sigtimedwait(HEARD, wait_us / 1_000_000)
        if told is not None and told.si_signo in _PASSED_ON and told.si_code != _FROM_KERNEL:
            child.send_signal(told.si_signo)
        if kill_us is None and not keeping.look_after():
            complain("the lock was lost, so the command is ended")
            child.terminate()
            kill_us = clock.boot_us() + _PATIENCE_US
        elif kill_us is not None and clock.boot_us() >= kill_us:
            child.kill()
            kill_us += _PATIENCE_US
    if kill_us is not None:
        return LOST
    code = child.returncode
    return code if code >= 0 else 128 - code
