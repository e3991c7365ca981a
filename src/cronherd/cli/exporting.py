"""`cronherd export`: jobs as a crontab that imports again, or as YAML that applies again."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from cronherd.cli.grammar import Command, Group
from cronherd.cli.output import Json, every_page, put_document, put_text, say, talk, to_yaml
from cronherd.cli.session import Session, user_name
from cronherd.cli.target import choose_node
from cronherd.cli.times import own_zone
from cronherd.cli.words import counted
from cronherd.domain.crontab import CrontabEntry, Kind, parse_crontab
from cronherd.domain.crontab_text import Left, crontab_text, why_not
from cronherd.domain.errors import InvalidInput
from cronherd.domain.imported import definition_of_entry
from cronherd.domain.instant import load_zone

if TYPE_CHECKING:
    from cronherd.client import Fleet


@click.group("export", cls=Group)
def export_command() -> None:
    """Give jobs back as text."""


@export_command.command("crontab", cls=Command)
@click.option("--node", metavar="NAME", help="The jobs of this node; else of the only one.")
@click.option("--any-host", is_flag=True, help="The jobs that any node runs.")
@click.option("--user", metavar="USER", help="The crontab of this user, without a user column.")
@click.option("--system", is_flag=True, help="With a user column, as /etc/crontab.")
@click.option("--source", metavar="FILE", help="Only jobs that were imported of this file.")
@click.option("--timezone", metavar="ZONE", help="The zone of the crontab; else this host's.")
@click.pass_obj
def crontab_command(
    session: Session,
    *,
    node: str | None,
    any_host: bool,
    user: str | None,
    system: bool,
    source: str | None,
    timezone: str | None,
) -> None:
    """A crontab of the jobs of a node: what import made of one, given back.

    Each line is read again before it is printed; a job that a crontab cannot say is a comment.
    """
    if user is not None and system:
        raise click.UsageError("--user and --system contradict each other")
    if node is not None and any_host:
        raise click.UsageError("--node and --any-host contradict each other")
    zone = load_zone(timezone) if timezone else own_zone(session)
    with session.fleet() as fleet:
        place = None if any_host else choose_node(session, fleet, node)
        jobs = jobs_of(fleet, place, user, source)
    kind = Kind.SYSTEM if system or _named_users(jobs, user) else Kind.USER
    text, left = made_crontab(session, jobs, place=place, kind=kind, owner=user, zone=zone.key)
    put_text(text.rstrip("\n"))
    if left:
        talk(f"{counted(len(left), 'job')} left out: the comments at the end say why")


@export_command.command("yaml", cls=Command)
@click.argument("names", nargs=-1, metavar="[JOB]...")
@click.pass_obj
def yaml_command(session: Session, *, names: tuple[str, ...]) -> None:
    """Definitions for `cronherd apply`; without a name those of all jobs."""
    with session.fleet() as fleet:
        found = [fleet.show_job(name) for name in names] or every_page(fleet.list_jobs)["items"]
        full = [job if "definition" in job else fleet.show_job(job["id"]) for job in found]
    document = {"jobs": [job["definition"] for job in full]}
    if not put_document(session, document, lambda: [str(job["name"]) for job in full]):
        say(to_yaml(document).rstrip("\n"))


def jobs_of(
    fleet: "Fleet", node: str | None, user: str | None, source: str | None = None
) -> list[Json]:
    """The definitions of the jobs of one node, of one user, of one file."""
    found = []
    for listed in every_page(fleet.list_jobs)["items"]:
        if source is not None and not str(listed["source"]).endswith(f":{source}"):
            continue
        definition = listed.get("definition") or fleet.show_job(listed["id"])["definition"]
        wanted = None if node is None else {"node": node}
        if (definition.get("run_on") or None) != wanted:
            continue
        own = definition.get("user") or (user_name() if user is not None else None)
        if user is None or own == user:
            found.append(definition)
    return found


def made_crontab(
    session: Session,
    jobs: Sequence[Json],
    *,
    place: str | None,
    kind: Kind,
    owner: str | None,
    zone: str,
) -> tuple[str, tuple[Left, ...]]:
    """The text and what is left out of it: a job whose line would not be read as the same job."""
    left = [Left(str(job["name"]), reason) for job in jobs if (reason := why_not(job, kind))]
    kept = [job for job in jobs if not why_not(job, kind)]
    title = "made by cronherd export crontab; cronherd import crontab reads it back"
    while True:  # each round but the last takes a job away
        text, told = crontab_text(kept, left, kind=kind, timezone=zone, title=title)
        read = {entry.name: entry for entry in parse_crontab(text, kind).entries}
        crowded = {found.name for found in told[len(left) :]}
        bad = [
            Left(str(job["name"]), reason)
            for job in kept
            if job["name"] not in crowded
            and (reason := _differs(session, job, read.get(str(job["name"])), place, owner, zone))
        ]
        if not bad:
            return text, told
        left += bad
        gone = {found.name for found in bad}
        kept = [job for job in kept if job["name"] not in gone]


def _differs(
    session: Session,
    job: Json,
    entry: CrontabEntry | None,
    place: str | None,
    owner: str | None,
    zone: str,
) -> str:
    """What a crontab would lose of the job, '' for nothing."""
    if entry is None:
        return "no line of a crontab is read as this job"
    own = owner if job.get("user") else None
    read = definition_of_entry(
        entry,
        node=place,
        timezone=zone,
        agent_user=str(job.get("user") or ""),
        owner=own,
        refusal_of=lambda _: "",
    )
    try:
        was, now = _canonical(session, job), _canonical(session, read.definition)
    except InvalidInput as error:
        return error.errors[0].text
    keys = sorted(key for key in {*was, *now} if was.get(key) != now.get(key))
    return f"a crontab cannot say its {', '.join(keys)}" if keys else ""


def _canonical(session: Session, definition: Mapping[str, object]) -> dict[str, object]:
    from cronherd.definition.jobs import read_job  # noqa: PLC0415 - pydantic: only on need

    spec = dict(read_job(definition, timezone="UTC", now_us=session.now_us()).spec)
    spec.pop("enabled", None)
    return spec


def _named_users(jobs: Sequence[Json], user: str | None) -> bool:
    return user is None and any(job.get("user") for job in jobs)
