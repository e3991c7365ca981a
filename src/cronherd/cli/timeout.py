"""`cronherd timeout`: a command and all that it starts, under a time limit."""

import click

from cronherd.cli.grammar import Command
from cronherd.cli.session import Session
from cronherd.cli.tool import BEHIND, command_of, refuse
from cronherd.domain.duration import parse_duration
from cronherd.tools.command import SpawnError
from cronherd.tools.crew import CLOCK
from cronherd.tools.timeout import Limit, Timeout, read_ladder


@click.command("timeout", cls=Command, context_settings=BEHIND)
@click.argument("duration", metavar="SECONDS")
@click.argument("words", metavar="-- COMMAND...", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "-s",
    "--signal",
    "ladder",
    metavar="SIGNAL[@WAIT]",
    multiple=True,
    help="What is sent, TERM if nothing is said; may be repeated. WAIT: until the next, 1s.",
)
@click.option(
    "-k",
    "--kill-after",
    "grace",
    metavar="DURATION",
    default="10s",
    show_default=True,
    help="From the last signal to SIGKILL.",
)
@click.option("--idle", is_flag=True, help="Count from the last output: SECONDS of silence.")
@click.option(
    "--preserve-status", is_flag=True, help="Exit as the command did, also at the time limit."
)
@click.pass_obj
def timeout_command(
    session: Session,
    *,
    duration: str,
    words: tuple[str, ...],
    ladder: tuple[str, ...],
    grace: str,
    idle: bool,
    preserve_status: bool,
) -> int:
    """Run a command, and end it when it lasts too long.

    The signals go to its process group. In the end comes SIGKILL, and nothing that the command
    has started is left. 0 seconds are no limit. SECONDS may also be 1.5, 5m or 1h30m.

    \b
    cronherd timeout 30 -- fetch https://feeds.example.com/
    cronherd timeout -s INT@5s -s TERM@5s 10m -- ./import.sh   # then SIGKILL
    cronherd timeout --idle 1m -- rsync -a there:/srv/ /srv/   # a minute without output

    The exit code is the command's own, 128 and the number of the signal that ended it, 124 at the
    time limit, 137 where only SIGKILL helped, 126 or 127 when it cannot be executed.
    """  # noqa: D301 - click reads \b as "keep these lines"
    command = command_of(words)
    limit = Limit(
        limit_us=parse_duration(duration),
        ladder=read_ladder(ladder, parse_duration(grace)),
        idle=idle,
        preserve_status=preserve_status,
    )
    try:
        return Timeout(limit, clock=CLOCK).run(command, session.environ)
    except SpawnError as error:
        return refuse(error)
