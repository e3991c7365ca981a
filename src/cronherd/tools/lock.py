"""`cronherd lock`: run a command while a lock is held."""

import os
import re
import signal
from types import FrameType

import click

from cronherd.domain.duration import parse_duration
from cronherd.domain.errors import Invalid, Unavailable
from cronherd.engine.clock import SystemClock
from cronherd.locks.address import open_lock
from cronherd.locks.base import Held, Lock
from cronherd.locks.telling import LogLevel, ToldLock
from cronherd.tools.held import HEARD, LOST, Keeping, run_held


class _Ended(BaseException):
    """A signal asked this process to end while it waited."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Duration(click.ParamType[int]):
    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Microseconds."""
        if isinstance(value, int):
            return value
        try:
            return parse_duration(str(value))
        except Invalid as error:
            self.fail(f"{error.text}\n{error.hint}", param, ctx)


@click.command(
    "lock",
    context_settings={"allow_interspersed_args": False},
)
@click.argument("words", metavar="FILE COMMAND...", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", metavar="URL", help="A lock on a server, in place of FILE.")
@click.option("-s", "--shared", is_flag=True, help="Others may share it.")
@click.option("-n", "--no-wait", is_flag=True, help="Do not wait for the lock.")
@click.option(
    "-w", "--wait", "wait_us", type=Duration(), metavar="SECONDS", help="Wait at most so long."
)
@click.option(
    "-m",
    "--code",
    type=click.IntRange(0, 255),
    default=1,
    metavar="N",
    help="The exit code when others have the lock; 1.",
)
@click.option(
    "-e",
    "--env",
    "variable",
    default="LOCKRUNPID",
    metavar="NAME",
    help="The variable with the pid of the holder; LOCKRUNPID.",
)
@click.option(
    "-a", "--prefix", default="", metavar="TEXT", help="Stands before the pid in that variable."
)
@click.option(
    "--expiry",
    "expiry_us",
    type=Duration(),
    default="1h",
    metavar="DURATION",
    help="On a server: when the lock of a holder that vanished is free; 1h.",
)
@click.option(
    "--log",
    "level",
    type=click.Choice([str(level) for level in LogLevel]),
    default="none",
    help="Say what looks abandoned, or each step.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not say that others have the lock.")
def lock_command(
    *,
    words: tuple[str, ...],
    url: str | None,
    shared: bool,
    no_wait: bool,
    wait_us: int | None,
    code: int,
    variable: str,
    prefix: str,
    expiry_us: int,
    level: str,
    quiet: bool,
) -> int:
    """Run a command while a lock is held.

    The lock is a file, which is made when it is missing, or has a name on a server: redis://,
    rediss:// or memcached://host:port/name. Without -n and -w it waits for as long as it takes.
    The lock is free when the command has ended, and when this program is killed; the command is
    killed with it.

    The exit code is the command's; 128 and its number for a signal; 127 when there is no such
    command, 126 when it may not be executed; 1, or -m, when others have the lock; 125 when a
    server cannot be asked, or the lock was lost while the command ran.

    \b
    cronherd lock /run/lock/report make-report
    cronherd lock -n /run/lock/sync rsync -a /srv/ backup:/srv/
    cronherd lock -w 30s --shared /var/cache/news cat /var/cache/news
    cronherd lock --url redis://cache.example.org/report make-report
    """  # noqa: D301 - click reads \b as "keep these lines"
    where, argv = _split(words, url)
    if no_wait and wait_us is not None:
        raise click.UsageError("-n and -w contradict each other")
    if variable and not re.fullmatch(r"[A-Za-z_]\w*", variable, re.ASCII):
        raise click.UsageError(f"'{variable[:60]}' cannot be the name of a variable")
    clock = SystemClock()
    try:
        opened = open_lock(where, clock, os.environ, expiry_us=expiry_us)
        lock = ToldLock(opened, LogLevel(level), _complain)
        _end_by_signals()
        held = lock.acquire(wait_us=0 if no_wait else wait_us, shared=shared)
        if held is None:
            if not quiet:
                _complain(f"{lock.name} is locked by somebody else")
            return code
        before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
        environ = {**os.environ, **_told(held, variable, prefix)}
        keeping = Keeping(held, lock.expiry_us, clock, clock.boot_us())
        ended = run_held(argv, environ, keeping, clock, _complain, before)
        _give_back(held, lock)
    except Unavailable as error:
        _complain(str(error))
        return LOST
    except _Ended as signalled:
        return 128 + signalled.number
    return ended


def _split(words: tuple[str, ...], url: str | None) -> tuple[str, list[str]]:
    """The lock and the command, of `FILE [--] COMMAND…`, or of `COMMAND…` behind --url."""
    rest = list(words)
    if url is None:
        if not rest:
            raise click.UsageError("say which lock\nwrite cronherd lock FILE COMMAND...")
        url = rest.pop(0)
    if rest[:1] == ["--"]:
        rest.pop(0)
    if not rest or not url:
        raise click.UsageError("say which command\nwrite cronherd lock FILE COMMAND...")
    return url, rest


def _told(held: Held, variable: str, prefix: str) -> dict[str, str]:
    told = {variable: f"{prefix}{os.getpid()}"} if variable else {}
    return told if held.fence is None else {**told, "CRONHERD_LOCK_FENCE": str(held.fence)}


def _give_back(held: Held, lock: Lock) -> None:
    """The command has run: that its lock stays until it expires is no reason to say otherwise."""
    try:
        held.release()
    except Unavailable as error:
        _complain(str(error))
    lock.close()


def _end_by_signals() -> None:
    """While it waits a signal ends it so that what it asked a server for is taken back."""

    def end(number: int, _: FrameType | None) -> None:
        raise _Ended(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)


def _complain(sentence: str) -> None:
    click.echo(f"cronherd: {sentence}", err=True)
