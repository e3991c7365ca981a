"""`cronherd import crontab`: a report line by line, a question, and the jobs."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cronherd.cli.asking import confirm
from cronherd.cli.complaint import printable
from cronherd.cli.grammar import Group, yes_option
from cronherd.cli.output import Json, every_page, has_colour, put_document, say, talk
from cronherd.cli.session import Session, user_name
from cronherd.cli.target import choose_node
from cronherd.cli.times import own_zone
from cronherd.domain.crontab import Crontab, Kind, guess_kind, parse_crontab
from cronherd.domain.errors import Invalid, InvalidInput
from cronherd.domain.imported import (
    Imported,
    LineState,
    ReportLine,
    Sheet,
    base_of,
    choose_names,
    definition_of_entry,
    file_notes,
    report,
    source_of,
)
from cronherd.domain.instant import load_zone
from cronherd.domain.job import name_key

if TYPE_CHECKING:
    from cronherd.client import Fleet

STDIN = "-"
MOST_BYTES = 16 << 20  # 10,000 lines of the longest kind, and nothing that fills the memory
_COLOURS = {LineState.IMPORTED: "green", LineState.CHANGED: "yellow", LineState.REFUSED: "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One crontab on its way to the fleet."""

    path: str
    crontab: Crontab
    sheet: Sheet
    refused: dict[int, tuple[str, str]]
    notes: tuple[str, ...]

    @property
    def report(self) -> tuple[ReportLine, ...]:
        return report(self.crontab, self.sheet.jobs, self.refused)


@click.group("import", cls=Group)
def import_command() -> None:
    """Take over what another cron does."""


@import_command.command("crontab")
@click.argument("files", nargs=-1, required=True, metavar="FILE|-...")
@click.option("--system", "kind", flag_value="system", help="With a user column.")
@click.option("--user", "kind", flag_value="user", help="Without a user column.")
@click.option("--timezone", metavar="ZONE", help="The zone of the lines; else this host's.")
@click.option("--node", metavar="NAME", help="The node that runs them; else the only one.")
@click.option("--commented", is_flag=True, help="Lines that are commented out too, disabled.")
@click.option("--strict", is_flag=True, help="Import nothing when a line is not supported.")
@click.option("--dry-run", is_flag=True, help="Report, and stop.")
@yes_option
@click.pass_obj
def crontab_command(
    session: Session,
    *,
    files: tuple[str, ...],
    kind: str | None,
    timezone: str | None,
    node: str | None,
    commented: bool,
    strict: bool,
    dry_run: bool,
    yes: bool,
) -> None:
    """Make jobs of the lines of crontabs; the same file again updates them.

    \b
    crontab -l | cronherd import crontab - --dry-run
    cronherd import crontab /etc/crontab /etc/cron.d/*
    """  # noqa: D301 - click reads \b as "keep these lines"
    zone = load_zone(timezone) if timezone else own_zone(session)
    form = Kind(kind) if kind else None
    read = [_read_crontab(path, form, commented=commented) for path in dict.fromkeys(files)]
    with session.fleet() as fleet:
        node = choose_node(session, fleet, node)
        plans = _named(fleet, [_plan(session, file, node, zone.key) for file in read])
        changes = [_apply(session, fleet, plan, dry_run=True) for plan in plans]
        refused = sum(line.state is LineState.REFUSED for plan in plans for line in plan.report)
        count = sum(len(plan.sheet.jobs) for plan in plans)
        _show(session, plans, changes, node)
        if strict and refused:
            raise Invalid(
                f"nothing was imported: {_lines(refused)} not supported", code="bad_crontab"
            )
        if dry_run or not count:
            talk(f"{_jobs(count)} to import, {_lines(refused)} not supported; nothing was done")
            return
        if not yes and session.settings.output != "json":  # there an error is all of stderr
            talk(f"{_jobs(count)} to import, {_lines(refused)} not supported")
        confirm(f"Import {_jobs(count)}?", yes=yes)
        for plan in plans:
            _apply(session, fleet, plan, dry_run=False)
    talk(f"{_jobs(count)} imported, {_lines(refused)} not supported")
    talk("as under cron they may overlap (overlap: allow) and are not caught up (catchup: none)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One crontab as it was read."""

    path: str
    crontab: Crontab
    notes: tuple[str, ...]


def _read_crontab(path: str, kind: Kind | None, *, commented: bool) -> Read:
    text, notes = _read(path)
    absolute = path if path == STDIN else str(Path(path).absolute())
    crontab = parse_crontab(text, kind or guess_kind(absolute, text), commented=commented)
    return Read(path=absolute, crontab=crontab, notes=notes + file_notes(crontab))


def _plan(session: Session, file: Read, node: str, timezone: str) -> Plan:
    jobs: list[Imported] = []
    refused: dict[int, tuple[str, str]] = {}
    for entry in file.crontab.entries:
        job = definition_of_entry(entry, node=node, timezone=timezone, agent_user=user_name())
        fault = _fault(job, session.now_us())
        if fault is None:
            jobs.append(job)
        else:
            refused[entry.line] = fault
    source, base = source_of(node, file.path), base_of(file.path)
    return Plan(
        path=file.path,
        crontab=file.crontab,
        sheet=Sheet(source=source, base=base, jobs=tuple(jobs)),
        refused=refused,
        notes=file.notes,
    )


def _read(path: str) -> tuple[str, tuple[str, ...]]:
    """The text of a crontab; older hosts wrote Latin-1, which every byte is."""
    if path == STDIN:
        raw = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        try:
            with Path(path).open("rb") as file:
                raw = file.read(MOST_BYTES + 1)
        except IsADirectoryError:
            hint = f"name the files: {path.rstrip('/')}/*"
            raise Invalid("is a directory", code="no_file", hint=hint, where=path) from None
    if len(raw) > MOST_BYTES:
        raise Invalid(f"is larger than {MOST_BYTES >> 20} MiB", code="too_large", where=path)
    try:
        return raw.decode("utf-8"), ()
    except UnicodeDecodeError:
        return raw.decode("latin-1"), ("it is not UTF-8 and was read as Latin-1",)


def _fault(job: Imported, now_us: int) -> tuple[str, str] | None:
    """Why the fleet would refuse the definition: known before, so that one line stops no other."""
    from cronherd.definition.jobs import read_job  # noqa: PLC0415 - pydantic: only when lines are read

    try:
        read_job(job.definition, timezone="UTC", now_us=now_us)
    except InvalidInput as error:
        first = error.errors[0]
        return (f"{first.where}: {first.text}" if first.where else first.text), first.hint
    return None


def _named(fleet: "Fleet", plans: Sequence[Plan]) -> list[Plan]:
    jobs = every_page(fleet.list_jobs)["items"]
    known = {name_key(job["name"]): job["source"] for job in jobs}
    sheets = choose_names([plan.sheet for plan in plans], known)
    return [replace(plan, sheet=sheet) for plan, sheet in zip(plans, sheets, strict=True)]


def _apply(session: Session, fleet: "Fleet", plan: Plan, *, dry_run: bool) -> list[Json]:
    definitions = [dict(job.definition) for job in plan.sheet.jobs]
    if not definitions:
        return []
    source = plan.sheet.source
    answer = fleet.apply_jobs(definitions, source, session.actor, dry_run=dry_run)
    changes: list[Json] = answer["changes"]
    return changes


def _show(
    session: Session, plans: Sequence[Plan], changes: Sequence[list[Json]], node: str
) -> None:
    document = {
        "node": node,
        "files": [
            {
                "path": plan.path,
                "kind": plan.crontab.kind.value,
                "source": plan.sheet.source,
                "notes": list(plan.notes),
                "lines": [_line_document(line) for line in plan.report],
                "changes": own,
            }
            for plan, own in zip(plans, changes, strict=True)
        ],
    }
    names = [job.name for plan in plans for job in plan.sheet.jobs]
    if put_document(session, document, lambda: names):
        return
    for plan, own in zip(plans, changes, strict=True):
        kinds = {change["name"]: change["change"] for change in own}
        say(f"{_shown(plan.path)} ({plan.crontab.kind.value} crontab, for node {node})")
        for note in plan.notes:
            say(f"  note: {printable(note)}")
        for line in plan.report:
            if line.matters or session.settings.verbose:
                _show_line(session, line, kinds.get(line.name, ""))


def _shown(path: str) -> str:
    return "standard input" if path == STDIN else printable(path)


def _line_document(line: ReportLine) -> Json:
    return {
        "line": line.line,
        "text": line.text,
        "state": line.state.name.lower(),
        "name": line.name or None,
        "notes": list(line.notes),
        "hint": line.hint or None,
    }


def _show_line(session: Session, line: ReportLine, change: str) -> None:
    colour = _COLOURS.get(line.state)
    state = click.style(line.state.value, fg=colour) if colour else line.state.value
    known = {"none": " (unchanged)", "update": " (updated)"}.get(change, "")
    what = f"'{line.name}'{known}" if line.name else printable(line.text.strip())
    say(f"{line.line:>5}  {state}: {what}", color=has_colour(session))
    for note in line.notes:
        say(f"         {printable(note)}")
    if line.hint:
        say(f"         hint: {printable(line.hint)}")


def _jobs(count: int) -> str:
    return f"{count} {'job' if count == 1 else 'jobs'}"


def _lines(count: int) -> str:
    return f"{count} {'line' if count == 1 else 'lines'}"
