"""`cronherd import distributed-cron`: the rows of an old job table as jobs, reported one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from cronherd.cli.asking import confirm
from cronherd.cli.complaint import printable
from cronherd.cli.grammar import Command, yes_option
from cronherd.cli.import_plan import fault_of
from cronherd.cli.import_report import line_document, show_line
from cronherd.cli.output import Json, every_page, put_document, say, talk
from cronherd.cli.session import Session
from cronherd.cli.times import own_zone
from cronherd.cli.words import counted
from cronherd.domain.errors import Invalid
from cronherd.domain.imported import Imported, ReportLine, Sheet, choose_names
from cronherd.domain.instant import load_zone
from cronherd.domain.job import name_key
from cronherd.domain.oldtable import (
    NOTES,
    TABLE,
    OldTable,
    Unsupported,
    definition_of_row,
    halves_of_a_night,
    kept_names,
    report_of,
    source_of_table,
    zone_of_table,
)

if TYPE_CHECKING:
    from cronherd.client import Fleet

_BASE = "distributed-cron"  # before a name that another job has already
_PORTS = {"mysql": 3306, "postgresql": 5432}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """A table, without who reads it: `source` is what its jobs are remembered by."""

    url: str
    shown: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Import:
    """A table on its way to the fleet."""

    place: _Place
    timezone: str
    jobs: tuple[Imported, ...]
    lines: tuple[ReportLine, ...]

    @property
    def definitions(self) -> list[Json]:
        return [dict(job.definition) for job in self.jobs]


@click.command("distributed-cron", cls=Command)
@click.option(
    "--database",
    "table",
    metavar="URL",
    required=True,
    help="Where the table is; the fleet's own database is named by the configuration.",
)
@click.option("--password-file", metavar="FILE", help="Its password, where the URL has none.")
@click.option("--timezone", metavar="ZONE", help="The zone of the anchors; else the database's.")
@click.option("--disabled", is_flag=True, help="Import for review: nothing runs yet.")
@click.option("--dry-run", is_flag=True, help="Report, and stop.")
@yes_option
@click.pass_obj
def jobtable_command(
    session: Session,
    *,
    table: str,
    password_file: str | None,
    timezone: str | None,
    disabled: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Make jobs of the job table of "distributed-cron"; the same table again updates them.

    The table is only read. A line of the report is a row, its number is the row's id.

    \b
    cronherd import distributed-cron --database mysql://cron@db/distributed_cron --dry-run
    cronherd import distributed-cron --database postgresql://cron@db/cron --password-file pw
    """  # noqa: D301 - click reads \b as "keep these lines"
    from cronherd.jobtable import read_job_table  # noqa: PLC0415 - SQLAlchemy: only here

    place = _place(table)
    wished = load_zone(timezone).key if timezone is not None else None
    found = read_job_table(place.url, _password(password_file))
    zone = wished or _zone(session, found)
    with session.fleet() as fleet:
        plan = _plan(session, fleet, place, found, zone=zone, disabled=disabled)
        tried = fleet.apply_jobs(plan.definitions, place.source, session.actor, dry_run=True)
        _show(session, plan, tried["changes"])
        refused = len(found.rows) - len(plan.jobs)
        if dry_run or not plan.jobs:
            count, left = counted(len(plan.jobs), "job"), counted(refused, "row")
            talk(f"{count} to import, {left} not supported; nothing was done")
            return
        confirm(f"Import {counted(len(plan.jobs), 'job')}?", yes=yes)
        fleet.apply_jobs(
            plan.definitions, place.source, session.actor, dry_run=False, plan=tried["plan"]
        )
    talk(f"{counted(len(plan.jobs), 'job')} imported, {counted(refused, 'row')} not supported")
    if disabled:
        talk("they are disabled: look at them, then cronherd job enable NAME")
    else:
        talk("the old programs still run their rows too: end them on each host")


def _plan(
    session: Session,
    fleet: "Fleet",
    place: _Place,
    table: OldTable,
    *,
    zone: str,
    disabled: bool,
) -> _Import:
    """Each row as a definition that the fleet takes, or refused with the reason."""
    jobs: list[Imported] = []
    refused: list[Unsupported] = []
    for row in table.rows:
        made = definition_of_row(row, timezone=zone, disabled=disabled)
        if isinstance(made, Unsupported):
            refused.append(made)
        elif fault := fault_of(made, session.now_us()):
            refused.append(
                Unsupported(id=row.id, command=row.command, reason=fault[0], hint=fault[1])
            )
        else:
            jobs.append(made)
    known = {name_key(job["name"]): job["source"] for job in every_page(fleet.list_jobs)["items"]}
    own = [name for name, source in known.items() if source == place.source]
    sheet = Sheet(source=place.source, base=_BASE, jobs=tuple(kept_names(jobs, own)))
    (sheet,) = choose_names([sheet], known)
    lines = report_of(sheet.jobs, refused, halves_of_a_night(table.rows))
    return _Import(place=place, timezone=zone, jobs=sheet.jobs, lines=lines)


def _place(url: str) -> _Place:
    from cronherd.config.settings import read_server_url  # noqa: PLC0415 - pydantic: only here

    plain = read_server_url(url)
    parts = urlsplit(plain)
    host, port = parts.hostname or "localhost", parts.port or _PORTS[parts.scheme]
    database = parts.path.strip("/")
    return _Place(
        url=plain,
        shown=f"{parts.scheme}://{host}:{port}/{database}",
        source=source_of_table(host, port, database),
    )


def _password(path: str | None) -> str | None:
    if path is None:
        return None
    try:
        return Path(path).read_text("utf-8").partition("\n")[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Invalid(f"cannot be read: {why}", code="no_password", where=path) from None


def _zone(session: Session, table: OldTable) -> str:
    return (zone_of_table(table.zone) if table.needs_zone else own_zone(session)).key


def _show(session: Session, plan: _Import, changes: Sequence[Json]) -> None:
    document: dict[str, Any] = {
        "database": plan.place.shown,
        "source": plan.place.source,
        "timezone": plan.timezone,
        "notes": list(NOTES),
        "lines": [line_document(line, line.notes) for line in plan.lines],
        "changes": list(changes),
    }
    if put_document(session, document, lambda: [job.name for job in plan.jobs]):
        return
    say(f"{printable(plan.place.shown)} (table {TABLE}, in {plan.timezone}, for any node)")
    for note in NOTES:
        say(f"  note: {note}")
    kinds = {change["name"]: change["change"] for change in changes}
    for line in plan.lines:
        show_line(session, line, kinds.get(line.name, ""), line.notes)
    for name in [change["name"] for change in changes if change["change"] == "left"]:
        say(f"    -  not in the table any more: '{printable(name)}' stays as it is")
