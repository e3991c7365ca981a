"""`cronherd gearman`: scripts for job servers, and tasks handed in at them."""

import socket
import sys
from pathlib import Path
from typing import Any

import click

from cronherd.cli.grammar import Command, Count, Group
from cronherd.cli.lock import Duration
from cronherd.cli.session import Session
from cronherd.cli.tool import complain_of
from cronherd.domain.duration import parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.jobserver import PRIORITIES

CONF = "conf.json"
_DEFAULT_SYSLOG = "/dev/log"


class _AskedFleet:
    """The fleet of this host, asked anew each time: its agent may come and go meanwhile."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def deliver_run(self, run: str, attempt: int, token: str, worker: str) -> dict[str, Any]:
        with self._session.fleet() as fleet:
            return fleet.deliver_run(run, attempt, token, worker)

    def run_delivered(self, run: str, attempt: int, token: str, code: int | None) -> dict[str, Any]:
        with self._session.fleet() as fleet:
            return fleet.run_delivered(run, attempt, token, code)


@click.group("gearman", cls=Group)
def gearman_command() -> None:
    """Run scripts for Gearman's job servers, and hand tasks in at them."""


@gearman_command.command("worker", cls=Command)
@click.option(
    "--config",
    "conf",
    metavar="FILE",
    default=CONF,
    show_default=True,
    help="The conf.json of a worker: job_servers, jobs, debug.",
)
@click.option(
    "--at-once", type=Count(10_000), default=1, show_default=True, help="How many scripts at once."
)
@click.option("--fleet", is_flag=True, help="Ask the fleet before a run of it is started.")
@click.option(
    "--grace",
    metavar="DURATION",
    default="10s",
    show_default=True,
    help="From TERM to SIGKILL when this worker is ended.",
)
@click.option("--name", metavar="TEXT", help="Its name at the job servers; else the host's.")
@click.option(
    "--syslog",
    metavar="SOCKET",
    default=_DEFAULT_SYSLOG,
    show_default=True,
    help="Where syslog listens, for debug.",
)
@click.pass_obj
def worker_command(
    session: Session,
    *,
    conf: str,
    at_once: int,
    fleet: bool,
    grace: str,
    name: str | None,
    syslog: str,
) -> int:
    """Run a script for each job of Gearman's job servers.

    The file is read again when it changes. HUP: take no more jobs, and end with the last one.
    TERM and INT end the scripts as well.

    \b
    cronherd gearman worker --config /etc/perl/cron/dist/worker/conf.json
    cronherd gearman worker --config conf.json --at-once 8 --fleet
    """  # noqa: D301 - click reads \b as "keep these lines"
    from cronherd.tools.crew import CLOCK  # noqa: PLC0415 - not for each of the three
    from cronherd.tools.gearmanworker import ScriptWorker, Wishes  # noqa: PLC0415

    named = name or socket.gethostname()
    if not named.isascii() or not named.isprintable() or " " in named or len(named) > 100:
        raise Invalid(f"'{named[:60]}' cannot be the name of a worker", code="bad_gearman_name")
    wishes = Wishes(
        path=Path(conf),
        capacity=at_once,
        grace_us=parse_duration(grace),
        name=named,
        syslog=Path(syslog),
        fleet=_AskedFleet(session) if fleet else None,
    )
    return ScriptWorker(wishes, clock=CLOCK, say=complain_of).run(session.environ)


class _Submit(Command):
    """`--tasks a b c` as it was written of old: what follows belongs to it too."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        flat = [part for word in args for part in _split(word)]
        return super().parse_args(ctx, flat)


def _split(word: str) -> list[str]:
    if word == "--tasks":
        return []
    return [word.removeprefix("--tasks=")]


@gearman_command.command("submit", cls=_Submit)
@click.argument("tasks", nargs=-1, required=True, metavar="--tasks TASK...")
@click.option(
    "--config",
    "conf",
    metavar="FILE",
    default=CONF,
    show_default=True,
    help="The conf.json of a client: job_servers.",
)
@click.option("--parallel", is_flag=True, help="All at once, not one after the other.")
@click.option("--background", is_flag=True, help="Do not wait: 0 says that they were accepted.")
@click.option(
    "--timeout",
    "timeout_us",
    type=Duration(),
    metavar="DURATION",
    help="Wait at most so long for each task.",
)
@click.option(
    "--priority", type=click.Choice(PRIORITIES), default="normal", help="In the queue; normal."
)
@click.option("--payload", metavar="TEXT", default="", help="What the script reads; - is stdin.")
@click.option("--unique", metavar="ID", default="", help="Servers keep one job of a task and id.")
@click.option("--legacy", is_flag=True, help="For workers that know runJob only.")
@click.pass_obj
def submit_command(
    session: Session,
    *,
    tasks: tuple[str, ...],
    conf: str,
    parallel: bool,
    background: bool,
    timeout_us: int | None,
    priority: str,
    payload: str,
    unique: str,
    legacy: bool,
) -> int:
    """Hand tasks in at a job server, and wait for them.

    The exit code is 0 when all are done, 1 when some failed.

    \b
    cronherd gearman submit --tasks task1 task2
    cronherd gearman submit --tasks report --timeout 10m --payload 2026-11
    cronherd gearman submit --tasks task1 task2 --parallel --config client/conf.json
    """  # noqa: D301 - click reads \b as "keep these lines"
    from cronherd.tools.conffile import load_conf  # noqa: PLC0415 - not for each of the three
    from cronherd.tools.crew import CLOCK  # noqa: PLC0415
    from cronherd.tools.gearmansubmit import Wishes, submit  # noqa: PLC0415

    del session
    if legacy and payload:
        raise click.UsageError("--legacy and --payload contradict each other: it is the task")
    text = sys.stdin.buffer.read() if payload == "-" else payload.encode()
    wishes = Wishes(
        tasks=tasks,
        payload=text,
        parallel=parallel,
        background=background,
        legacy=legacy,
        timeout_us=timeout_us,
        priority=priority,
        unique=unique,
    )
    return submit(load_conf(Path(conf), worker=False), wishes, clock=CLOCK, say=complain_of)


@gearman_command.command("status")
@click.argument("servers", nargs=-1, metavar="[HOST:PORT]...")
@click.option("--config", "conf", metavar="FILE", help="A conf.json that names the job servers.")
@click.pass_obj
def status_command(session: Session, *, servers: tuple[str, ...], conf: str | None) -> int:
    """What waits at job servers, what runs, and how many workers there are."""
    from cronherd.cli.gearman_status import show_status  # noqa: PLC0415 - tables: only here

    return show_status(session, servers, conf)
