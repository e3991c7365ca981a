"""Crontabs on their way to the fleet: read, made into definitions, named."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cronherd.cli.output import Json, every_page
from cronherd.cli.session import Session
from cronherd.domain.crontab import Crontab, Kind, guess_kind, parse_crontab
from cronherd.domain.errors import Conflict, Invalid, InvalidInput
from cronherd.domain.imported import (
    Imported,
    ReportLine,
    Sheet,
    base_of,
    choose_names,
    definition_of_entry,
    file_notes,
    report,
    source_of,
)
from cronherd.domain.job import name_key

if TYPE_CHECKING:
    from cronherd.client import Fleet

STDIN = "-"
MOST_BYTES = 16 << 20  # 10,000 lines of the longest kind, and nothing that fills the memory


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One crontab as it was read; `path` is the host's word for it, `file` where it lies."""

    path: str
    file: Path | None
    raw: bytes
    crontab: Crontab
    notes: tuple[str, ...]
    owner: str | None = None
    trusted: bool = True  # whether it may name jobs of other sources


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for all jobs of one import."""

    node: str | None
    place: str  # the node in the name of the source
    agent_user: str
    timezone: str
    refusal_of: Callable[[str], str]
    disabled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One crontab on its way to the fleet."""

    read: Read
    sheet: Sheet
    refused: dict[int, tuple[str, str]]
    left: dict[int, str] = field(default_factory=dict)  # lines whose job is not touched

    @property
    def path(self) -> str:
        return self.read.path

    @property
    def report(self) -> tuple[ReportLine, ...]:
        return report(self.read.crontab, self.sheet.jobs, self.refused)

    def groups(self) -> dict[str, list[Json]]:
        """The definitions by the source they are applied under."""
        found: dict[str, list[Json]] = {}
        for job in self.sheet.jobs:
            if job.line not in self.left:
                found.setdefault(job.source or self.sheet.source, []).append(dict(job.definition))
        return found


def read_crontab(path: str, kind: Kind | None, owner: str | None, *, commented: bool) -> Read:
    """A file that somebody named, or standard input. Raises Invalid, OSError."""
    absolute = path if path == STDIN else str(Path(path).absolute())
    file = None if path == STDIN else Path(path)
    return read_raw(_bytes(path), absolute, file, kind, owner=owner, commented=commented)


def read_raw(
    raw: bytes,
    path: str,
    file: Path | None,
    kind: Kind | None,
    *,
    owner: str | None = None,
    commented: bool = False,
    trusted: bool = True,
) -> Read:
    """A crontab of these bytes; older hosts wrote Latin-1, which every byte is."""
    notes: tuple[str, ...] = ()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text, notes = raw.decode("latin-1"), ("it is not UTF-8 and was read as Latin-1",)
    crontab = parse_crontab(text, kind or guess_kind(path, text), commented=commented)
    return Read(
        path=path,
        file=file,
        raw=raw,
        crontab=crontab,
        notes=(*notes, *file_notes(crontab)),
        owner=owner if crontab.kind is Kind.USER else None,
        trusted=trusted,
    )


def plan_of(session: Session, read: Read, terms: Terms) -> Plan:
    """Each line as a definition that the fleet takes, or refused with the reason."""
    jobs: list[Imported] = []
    refused: dict[int, tuple[str, str]] = {}
    for entry in read.crontab.entries:
        job = definition_of_entry(
            entry if read.trusted else replace(entry, named=False),
            node=terms.node,
            timezone=terms.timezone,
            agent_user=terms.agent_user,
            owner=read.owner,
            refusal_of=terms.refusal_of,
            disabled=terms.disabled,
        )
        fault = fault_of(job, session.now_us())
        if fault is None:
            jobs.append(job)
        else:
            refused[entry.line] = fault
    source, base = source_of(terms.place, read.path), base_of(read.path)
    return Plan(read=read, sheet=Sheet(source=source, base=base, jobs=tuple(jobs)), refused=refused)


def named(fleet: "Fleet", plans: Sequence[Plan]) -> list[Plan]:
    """The same plans with names that nobody else has."""
    jobs = every_page(fleet.list_jobs)["items"]
    known = {name_key(job["name"]): job["source"] for job in jobs}
    sheets = choose_names([plan.sheet for plan in plans], known)
    return [replace(plan, sheet=sheet) for plan, sheet in zip(plans, sheets, strict=True)]


def apply(session: Session, fleet: "Fleet", plan: Plan, *, dry_run: bool) -> list[Json]:
    """Make the fleet's jobs what the plan says, or look what that would change."""
    changes: list[Json] = []
    for source, definitions in plan.groups().items():
        answer = fleet.apply_jobs(definitions, source, session.actor, dry_run=dry_run)
        # What the crontab no longer has stays: a line that is gone may have been taken over.
        told = [change for change in answer["changes"] if change["change"] != "left"]
        for change in told:
            if refusal := change.get("refusal"):
                code = refusal["code"]
                raise Conflict(refusal["text"], code=code, hint=refusal["hint"])
        changes += told
    return changes


def _bytes(path: str) -> bytes:
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
    return raw


def fault_of(job: Imported, now_us: int) -> tuple[str, str] | None:
    """Why the fleet would refuse the definition: known before, so that one line stops no other."""
    from cronherd.definition.jobs import read_job  # noqa: PLC0415 - pydantic: only when lines are read

    try:
        read_job(job.definition, timezone="UTC", now_us=now_us)
    except InvalidInput as error:
        first = error.errors[0]
        return (f"{first.where}: {first.text}" if first.where else first.text), first.hint
    return None
