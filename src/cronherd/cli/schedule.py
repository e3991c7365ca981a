"""`cronherd schedule`: jobs as code: what there is, one of them tried, all of them at work."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cronherd.cli.asking import confirm
from cronherd.cli.grammar import Group, yes_option
from cronherd.cli.output import Json, put, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.cli.times import NOTHING, Times, own_zone, span
from cronherd.cli.words import result_of, short
from cronherd.domain.errors import NotFound
from cronherd.domain.instant import format_instant

if TYPE_CHECKING:
    from cronherd.definition.jobs import RawJob
    from cronherd.domain.job import Job
    from cronherd.sdk.app import App

app_option: Callable[[Any], Any] = click.option(
    "--app", required=True, metavar="MODULE:OBJECT", help="Where the Scheduler is, from here."
)
# What a trial on this host alone leaves out: other hosts, permits, and whoever is told.
_ELSEWHERE = (
    *("run_on", "prefer", "spread", "rolling", "max_per_node", "pools"),
    *("mailto", "mail", "webhook", "ping", "start_deadline", "min_gap"),
)

_HOLDS_NOTHING = frozenset({"finished", "waiting", "held"})
_MOST = 500


@click.group("schedule", cls=Group)
def schedule_command() -> None:
    """A schedule in code: list, test, work, clear-lock."""


@schedule_command.command("list")
@app_option
@click.option("--next", "by_next", is_flag=True, help="The nearest first.")
@click.pass_obj
def list_command(session: Session, *, app: str, by_next: bool) -> None:
    """Its jobs, when they run next, and the lines that say so; asks no fleet."""
    found = _load(app)
    pairs = _jobs(session, found)
    now_us = session.now_us()
    items = [_listed(raw, job, now_us) for raw, job in pairs]
    if by_next:
        items.sort(key=lambda item: (item["next_at"] is None, item["next_at"] or ""))
    times = Times(now_us=now_us, utc=session.settings.utc)
    columns = (
        Column("NEXT"),
        Column("LEFT"),
        Column("JOB", cut=True, least=NAME_LEAST),
        Column("SCHEDULE", cut=True),
        Column("RUNS", cut=True),
        Column("WHERE", wide=True),
    )
    put(
        session,
        {"app": found.target, "items": items},
        table=lambda: Table(columns, [_row(item, times) for item in items]),
        names=lambda: [item["name"] for item in items],
    )


def _listed(raw: "RawJob", job: "Job", now_us: int) -> Json:
    fires = job.schedule is not None and job.spec.get("enabled", True)
    next_us = job.schedule.next_after(now_us) if job.schedule is not None and fires else None
    command = job.command if isinstance(job.command, str) else " ".join(job.command)
    return {
        "name": job.name,
        "schedule": None if job.schedule is None else job.schedule.text,
        "timezone": job.timezone,
        "enabled": bool(job.spec.get("enabled", True)),
        "runs": job.task or command,
        "next_at": format_instant(next_us),
        "where": raw.place(()),
    }


def _row(item: Json, times: Times) -> tuple[str, ...]:
    following = times.at(item["next_at"]) if item["enabled"] else "off"
    left = times.left(item["next_at"])
    schedule = item["schedule"] or NOTHING
    return (following, left, item["name"], schedule, item["runs"], item["where"])


@schedule_command.command("work")
@app_option
@click.pass_obj
def work_command(session: Session, *, app: str) -> int:
    """Run the schedule on this host until Ctrl-C, for development.

    A node with a database of its own, which is gone afterwards unless --state names one; the
    database of a configuration is left alone.
    """
    found = _load(app)
    jobs = found.definitions()
    with _own_state(session):
        config = replace(session.config, database=None, jobs=jobs, sources=())
        return session.host.up(config, session.place, apply=True)


@schedule_command.command("test")
@click.argument("name")
@app_option
@click.pass_obj
def test_command(session: Session, *, name: str, app: str) -> int:
    """Run one of its jobs now, on this host alone, and show what it writes.

    Its hooks are called; nobody is told, no pool is asked. The exit code is the command's own.
    """
    from cronherd.cli.playback import Playback, exit_code_of, kept_pieces  # noqa: PLC0415

    _, job = _one(_jobs(session, _load(app)), name)
    spec = {key: value for key, value in job.spec.items() if key not in _ELSEWHERE}
    spec |= {"enabled": False}
    with _own_state(session, fresh=True):
        config = replace(session.config, database=None, jobs=(), sources=(), log_level="warning")
        place = session.place
        place.state.mkdir(parents=True, exist_ok=True)
        session.host.upgrade(config, place)
        with session.host.open_fleet(config, place) as fleet:
            fleet.create_job(spec, session.actor)
            run = fleet.run_job(job.name, session.actor)["run"]
        session.host.tick(config, place)
        with session.host.open_fleet(config, place) as fleet:
            document = fleet.show_run(run["id"])
            ended = document
            playback = Playback(session)
            for piece in kept_pieces(fleet, ended, None):
                playback.piece(piece)
    lasted = f" in {span(ended['duration_s'])}" if ended.get("duration_s") is not None else ""
    why = f": {ended['error']}" if ended["error"] else ""
    talk(f"cronherd: '{job.name}' {result_of(ended)}{lasted}{why}")
    return exit_code_of(ended, document["attempts"])


@schedule_command.command("clear-lock")
@click.argument("name")
@yes_option
@click.pass_obj
def clear_lock_command(session: Session, *, name: str, yes: bool) -> int:
    """End what keeps a job of the fleet from running again; 1 when something still does.

    The lock of a job is its runs: it cannot be left behind by one that has ended. A run on a node
    that is silent is not ended by this: `cronherd node remove NODE --confirm-dead` says it is gone.
    """
    with session.fleet() as fleet:
        job = fleet.show_job(name)
        name = job["name"]
        if job["definition"].get("lock"):
            talk("the lock that its runs hold is cleared by cronherd locks clear")
        runs = fleet.list_runs(job=name, limit=_MOST)["items"]
        live = [run for run in runs if run["state"] not in _HOLDS_NOTHING]
        if not live:
            talk(f"nothing holds '{name}'")
            return 0
        silent = [run for run in live if run.get("silent_since")]
        for run in silent:
            talk(f"run {short(run['id'])} is on {run['node']}, which is silent")
            talk(f"if it is gone: cronherd node remove {run['node']} --confirm-dead")
        heard = [run for run in live if run not in silent]
        if heard:
            confirm(f"Cancel {len(heard)} of the runs of '{name}'?", yes=yes)
        for run in heard:
            fleet.cancel_run(run["id"], session.actor)
            talk(f"cancelled run {short(run['id'])}")
    return 1 if silent else 0


def _load(target: str) -> "App":
    from cronherd.sdk.app import load_app  # noqa: PLC0415 - pydantic: only where code is read

    return load_app(target)


def _jobs(session: Session, app: "App") -> list[tuple["RawJob", "Job"]]:
    """The jobs with what they were made of. Raises InvalidInput with the line of each fault."""
    from cronherd.definition.jobs import build_jobs  # noqa: PLC0415 - pydantic

    raws = app.definitions()
    zone = own_zone(session).key
    return list(zip(raws, build_jobs(raws, timezone=zone), strict=True))


def _one(pairs: list[tuple["RawJob", "Job"]], name: str) -> tuple["RawJob", "Job"]:
    for raw, job in pairs:
        if job.name.casefold() == name.casefold():
            return raw, job
    names = ", ".join(job.name for _, job in pairs)
    raise NotFound(f"the schedule has no job '{name[:60]}'", hint=f"there are: {names[:200]}")


@contextmanager
def _own_state(session: Session, *, fresh: bool = False) -> Iterator[None]:
    """A state directory that is nobody else's; a new one unless a person named one."""
    if session.settings.state is not None and not fresh:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="cronherd-", ignore_cleanup_errors=True) as folder:
        session.settings.state = str(Path(folder) / "state")
        session.__dict__.pop("place", None)
        yield
