"""Lines of a crontab as jobs: what each becomes, what it is called, and what is said about it."""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from cronherd.domain.crontab import (
    Crontab,
    CrontabComment,
    CrontabEntry,
    CrontabRefusal,
    CrontabSetting,
)
from cronherd.domain.job import name_key

CRON_PATH = "/usr/bin:/bin"  # what Debian's cron gives a command that is told nothing else
# SHELL runs the command and is no variable of ours; Debian's cron lets nobody change LOGNAME.
_NOT_ENV = frozenset({"SHELL", "LOGNAME"})
_LONGEST_PREFIX = 40  # with a name of 60 characters well within what a job's name may have


class LineState(StrEnum):
    """What became of a line."""

    IMPORTED = "imported"
    CHANGED = "imported with a changed meaning"
    REFUSED = "not supported"
    SETTING = "setting"
    COMMENT = "comment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A line as a job's definition, in the words of a file; `notes` say what is different now."""

    line: int
    text: str
    definition: Mapping[str, object]
    notes: tuple[str, ...] = ()
    named: bool = False  # by a line that export wrote
    source: str = ""  # whose job it is already, where that is not its file

    @property
    def name(self) -> str:
        return str(self.definition["name"])

    @property
    def enabled(self) -> bool:
        """Whether it is to run; the fleet's own word about a job that exists is another."""
        return self.definition.get("enabled", True) is not False

    def renamed(self, name: str) -> "Imported":
        return replace(self, definition={**self.definition, "name": name})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportLine:
    """One line of the report: its state, the job it became, and why."""

    line: int
    text: str
    state: LineState
    name: str = ""
    notes: tuple[str, ...] = ()
    hint: str = ""

    @property
    def matters(self) -> bool:
        """Whether somebody who reads quickly has to see it: jobs, and whatever has a note."""
        return bool(self.notes) or self.state not in {LineState.SETTING, LineState.COMMENT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """The jobs of one crontab and the source they are remembered by."""

    source: str
    base: str
    jobs: tuple[Imported, ...]


def source_of(node: str, path: str) -> str:
    """Where jobs of a crontab come from; `-` is standard input."""
    return f"crontab:{node}:{path}"


def base_of(path: str) -> str:
    """The file's base name, fit to stand before a job's name."""
    name = "stdin" if path == "-" else path.rstrip("/").rpartition("/")[2]
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:_LONGEST_PREFIX] or "crontab"


def definition_of_entry(
    entry: CrontabEntry,
    *,
    node: str | None,
    timezone: str,
    agent_user: str,
    owner: str | None = None,
    refusal_of: Callable[[str], str] | None = None,
    disabled: bool = False,
) -> Imported:
    """The definition that runs as cron ran the line: same shell, same directory, same overlap.

    `timezone` is that of the cron it comes from; `agent_user` is whom the node's agent runs as,
    `owner` whose user crontab it is. `refusal_of` says why the node would not run the jobs of
    another user, '' when it would; without it no other user's jobs run. `node` None: any node.
    """
    settings = entry.environment
    home = settings.get("HOME")
    user = entry.user or owner
    foreign = user is not None and user != agent_user
    why = (refusal_of or _cannot_change(agent_user))(user or "") if foreign else ""
    definition: dict[str, object] = {
        "name": entry.name,
        "command": entry.command,
        "schedule": entry.schedule,
        "timezone": entry.timezone or timezone,
        **_policy(entry),
        "env": {
            "PATH": CRON_PATH,
            **{name: value for name, value in settings.items() if name not in _NOT_ENV},
        },
        "cwd": home or "~",
    }
    optional = {
        "description": entry.description or None,
        "shell": settings.get("SHELL") or None,
        "stdin": entry.stdin,
        "mailto": entry.mailto,
        "user": user,
        "run_on": {"node": node} if node is not None else None,
    }
    definition |= {key: value for key, value in optional.items() if value is not None}
    if why or disabled or not entry.enabled:
        definition["enabled"] = False
    return Imported(
        line=entry.line,
        text=entry.text,
        definition=definition,
        notes=(*entry.notes, *_own_notes(entry, user, why)),
        named=entry.named,
    )


def _policy(entry: CrontabEntry) -> dict[str, object]:
    """Cron forgets what it missed and starts each time; anacron does neither."""
    if not entry.period:
        return {"overlap": "allow", "catchup": "none"}
    return {"overlap": "skip", "catchup": "latest", "catchup_window": entry.period}


def _cannot_change(agent_user: str) -> Callable[[str], str]:
    text = f"this agent runs as {agent_user} and cannot become another user"
    return lambda _: text


def _own_notes(entry: CrontabEntry, user: str | None, why: str) -> list[str]:
    notes = []
    if not entry.enabled:
        notes.append("it is commented out: imported as disabled")
    if why:
        notes.append(f"{why}: imported as disabled, because it belongs to {user}")
    return notes


def choose_names(sheets: Sequence[Sheet], known: Mapping[str, str]) -> tuple[Sheet, ...]:
    """Names that do not collide, and are the same at the next import.

    `known` are the sources of the fleet's jobs by the key of their name. What a source already
    has keeps its name; a name that somebody else has gets the file's base name before it. A name
    that export wrote into the file is kept, and the job stays its source's.
    """
    wanted = Counter(name_key(job.name) for sheet in sheets for job in sheet.jobs)
    used: set[str] = set()
    named = []
    for sheet in sheets:
        jobs = []
        for job in sheet.jobs:
            chosen = job.name if job.named else _choose(sheet, job.name, wanted, known)
            name = _free(chosen, used)
            used.add(name_key(name))
            owner = known.get(name_key(name), "") if job.named and name == job.name else ""
            jobs.append(replace(job.renamed(name), source=owner))
        named.append(Sheet(source=sheet.source, base=sheet.base, jobs=tuple(jobs)))
    return tuple(named)


def _choose(sheet: Sheet, name: str, wanted: Counter[str], known: Mapping[str, str]) -> str:
    prefixed = f"{sheet.base}-{name}"
    owner = known.get(name_key(name))
    if owner == sheet.source:
        return name
    if known.get(name_key(prefixed)) == sheet.source:
        return prefixed
    return prefixed if owner is not None or wanted[name_key(name)] > 1 else name


def _free(name: str, used: set[str]) -> str:
    """Two files of one base name in different folders: the later one is counted."""
    free, number = name, 1
    while name_key(free) in used:
        number += 1
        free = f"{name}-{number}"
    return free


def report(
    crontab: Crontab, jobs: Sequence[Imported], refused: Mapping[int, tuple[str, str]]
) -> tuple[ReportLine, ...]:
    """What became of each line that is not blank.

    `refused` are the lines whose definition is wrong: their number with the reason and a hint.
    """
    by_line = {job.line: job for job in jobs}
    lines = []
    for line in crontab.lines:
        at = _At(line.line, line.text)
        if line.line in refused:
            reason, hint = refused[line.line]
            lines.append(at.said(LineState.REFUSED, notes=(reason,), hint=hint))
        elif line.line in by_line:
            job = by_line[line.line]
            kind = LineState.CHANGED if job.notes else LineState.IMPORTED
            lines.append(at.said(kind, name=job.name, notes=job.notes))
        elif isinstance(line, CrontabRefusal):
            lines.append(at.said(LineState.REFUSED, notes=(line.reason,), hint=line.hint))
        elif isinstance(line, CrontabSetting):
            lines.append(at.said(LineState.SETTING, notes=line.notes))
        elif isinstance(line, CrontabComment):
            lines.append(at.said(LineState.COMMENT))
    return tuple(lines)


def file_notes(crontab: Crontab) -> tuple[str, ...]:
    """What is to be said about the whole file, once: beside its own notes, where mail went."""
    receivers = dict.fromkeys(
        line.value
        for line in crontab.lines
        if isinstance(line, CrontabSetting) and line.name == "MAILTO" and line.value
    )
    if not receivers:
        return crontab.notes
    return (*crontab.notes, f"MAILTO={', '.join(receivers)}: mailed by nodes with an alerts.relay")


@dataclass(frozen=True, slots=True)
class _At:
    line: int
    text: str

    def said(
        self, state: LineState, *, name: str = "", notes: tuple[str, ...] = (), hint: str = ""
    ) -> ReportLine:
        return ReportLine(
            line=self.line, text=self.text, state=state, name=name, notes=notes, hint=hint
        )
