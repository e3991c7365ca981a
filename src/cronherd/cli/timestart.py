"""`cronherd timestart`: a command again and again, never more than so many at once."""

import os

import click

from cronherd.cli.grammar import Command, Count
from cronherd.cli.session import Session
from cronherd.cli.tool import BEHIND, command_of, complain_of, refuse
from cronherd.domain.duration import parse_duration
from cronherd.tools.command import SpawnError
from cronherd.tools.crew import CLOCK
from cronherd.tools.pace import Bounds
from cronherd.tools.timestart import Starter, given_log

_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC


@click.command("timestart", cls=Command, context_settings=BEHIND)
@click.argument("least", metavar="MIN", type=Count(10_000, 0))
@click.argument("most", metavar="MAX", type=Count(10_000))
@click.argument("shortest", metavar="FROM")
@click.argument("longest", metavar="TO")
@click.argument("words", metavar="-- COMMAND...", nargs=-1, type=click.UNPROCESSED)
@click.option("--log", metavar="FILE", type=click.Path(), help="Append events to a file.")
@click.option("--at-once", is_flag=True, help="With MIN 0 too, do not wait before the first start.")
@click.option(
    "--grace",
    metavar="DURATION",
    default="10s",
    show_default=True,
    help="From SIGTERM to SIGKILL, when timestart is ended.",
)
@click.pass_obj
def timestart_command(
    session: Session,
    *,
    least: int,
    most: int,
    shortest: str,
    longest: str,
    words: tuple[str, ...],
    log: str | None,
    at_once: bool,
    grace: str,
) -> int:
    """Start a command again and again, while some of its runs may hang.

    At least MIN run at a time, never more than MAX. From one start to the next FROM to TO seconds
    pass, a time drawn anew for each; below MIN it is FROM. After a failure the next start is TO
    away. There is no shell.

    \b
    cronherd timestart 1 3 1 5 -- fetch-feeds           # 1 to 3 at once, 1 to 5 s apart
    cronherd timestart 0 4 10m 10m -- ./refresh.sh      # each ten minutes or so
    cronherd timestart 2 60 3 100 -- worker 3>>events   # with a log of what happens
    kill -USR1 PID                                      # start one now, even beyond MAX

    USR2 suspends and resumes, HUP starts no more and waits for all, TERM and INT end the commands
    first, WINCH prints statistics. Descriptor 3, if it is open, gets the events.
    """  # noqa: D301 - click reads \b as "keep these lines"
    command = command_of(words)
    bounds = Bounds(
        least=least,
        most=most,
        from_us=parse_duration(shortest),
        to_us=parse_duration(longest),
    )
    events = given_log() if log is None else os.open(log, _APPEND, 0o666)
    starter = Starter(command, bounds, clock=CLOCK, say=complain_of, log=events)
    try:
        return starter.run(session.environ, parse_duration(grace), at_once=at_once)
    except SpawnError as error:
        return refuse(error)
