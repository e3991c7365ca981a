"""`cronherd lock`: run a command while a lock is held."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from cronherd.cli.grammar import Command
from cronherd.cli.reach import reach_fleet
from cronherd.cli.session import Session
from cronherd.cli.tool import BEHIND, complain_of
from cronherd.domain.duration import parse_duration
from cronherd.domain.errors import Invalid
from cronherd.tools.lock import LEVELS, Wish, run_locked

if TYPE_CHECKING:
    from cronherd.client import Fleet

Json = dict[str, Any]


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


@click.command("lock", cls=Command, context_settings=BEHIND)
@click.argument("words", metavar="NAME COMMAND...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--url",
    metavar="URL",
    help="A lock on a server, in place of NAME; by HTTP, the fleet of NAME.",
)
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
    help="Not of a file: when the lock of a holder that vanished is free; 1h.",
)
@click.option(
    "--log",
    "level",
    type=click.Choice(LEVELS),
    default="none",
    help="Say what looks abandoned, or each step.",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not say that others have the lock.")
@click.pass_obj
def lock_command(
    session: Session,
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

    A NAME is one lock for the whole fleet, in its database. With a slash it is a file, which is
    made when it is missing; and it may be on a server: redis://, rediss:// or
    memcached://host:port/name. Without -n and -w it waits for as long as it takes. The lock is free
    when the command has ended; when this program is killed, the command is killed with it, and a
    lock that is no file is free when it expires.

    The exit code is the command's; 128 and its number for a signal; 127 when there is no such
    command, 126 when it may not be executed; 1, or -m, when others have the lock; 125 when a
    server or the fleet cannot be asked, or the lock was lost while the command ran.

    \b
    cronherd lock report make-report
    cronherd lock /run/lock/report make-report
    cronherd lock -n /run/lock/sync rsync -a /srv/ backup:/srv/
    cronherd lock -w 30s --shared /var/cache/news cat /var/cache/news
    cronherd lock --url redis://cache.example.org/report make-report
    """  # noqa: D301 - click reads \b as "keep these lines"
    if url is not None and url.partition(":")[0].lower() in {"http", "https"}:
        session.settings.url, url = url, None
    where, argv = _split(words, url)
    if no_wait and wait_us is not None:
        raise click.UsageError("-n and -w contradict each other")
    if variable and not re.fullmatch(r"[A-Za-z_]\w*", variable, re.ASCII):
        raise click.UsageError(f"'{variable[:60]}' cannot be the name of a variable")
    wish = Wish(
        where=where,
        shared=shared,
        wait_us=0 if no_wait else wait_us,
        code=code,
        variable=variable,
        prefix=prefix,
        expiry_us=expiry_us,
        level=level,
        quiet=quiet,
    )
    try:
        return run_locked(wish, argv, session.environ, complain_of, _asking(session))
    except Invalid as error:  # 1 would say that others have it
        raise click.UsageError(f"{error.text}\n{error.hint}") from None


def _asking(session: Session) -> Callable[[Callable[["Fleet"], Json]], Json]:
    """The fleet, reached anew for each question: it may be asked for hours."""
    asked = 0

    def ask(question: Callable[["Fleet"], Json]) -> Json:
        nonlocal asked
        asked += 1
        with reach_fleet(session, quiet=asked > 1) as fleet:
            return question(fleet)

    return ask


def _split(words: tuple[str, ...], url: str | None) -> tuple[str, list[str]]:
    """The lock and the command, of `NAME [--] COMMAND…`, or of `COMMAND…` behind --url."""
    rest = list(words)
    if url is None:
        if not rest:
            raise click.UsageError("say which lock\nwrite cronherd lock NAME COMMAND...")
        url = rest.pop(0)
    if rest[:1] == ["--"]:
        rest.pop(0)
    if not rest or not url:
        raise click.UsageError("say which command\nwrite cronherd lock NAME COMMAND...")
    return url, rest
