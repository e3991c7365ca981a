"""The rows of the job table of "distributed-cron" as jobs, and what is said about each. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from cronherd.domain.crontab_names import base_name
from cronherd.domain.errors import Invalid
from cronherd.domain.imported import Imported, LineState, ReportLine
from cronherd.domain.instant import load_zone

TABLE = "job"
MOST_ROWS = 10_000
COLUMNS = (
    "id", "description", "command", "active", "start_anchor", "stop_anchor", "frequency",
    "max_run_time",
)  # fmt: skip
# What the table gives to a row that does not say it.
_NO_DESCRIPTION = "Yet another cron"
_NO_COMMAND = 'echo "I forgot to put in a command."'
_DAY_S = 24 * 3600
_CLOCK = re.compile(r"(-?)(\d{1,3}):(\d{2})(?::(\d{2})(?:\.\d+)?)?")
NOTES = (
    "a command that outlasts its max_run_time is ended, with all it started: there it went on",
    "an exit code other than 0 is a failure: there 1 was a success",
)
"""What is different for every row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OldRow:
    """One row. Anchors are seconds of the day, as they stand: below 0 and beyond 24 h too."""

    id: int
    description: str
    command: str
    active: int
    start_s: int | None
    stop_s: int | None
    frequency: int | None
    max_run_time: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OldTable:
    """All rows, and what the database calls the zone of its clock."""

    rows: tuple[OldRow, ...]
    zone: str

    @property
    def needs_zone(self) -> bool:
        """Whether the zone decides when a row runs: minutes are as long everywhere."""
        return any(row.start_s is not None or row.stop_s is not None for row in self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """A row of which no job is made."""

    id: int
    command: str
    reason: str
    hint: str = ""


def check_columns(found: Sequence[str]) -> None:
    """Raises Invalid for a table called so that is another one."""
    missing = [name for name in COLUMNS if name not in found]
    if missing:
        raise _bad(f"the table '{TABLE}' has no column {', '.join(missing)}")


def read_row(row: Mapping[str, Any]) -> OldRow:
    """A row as the driver gives it. Raises Invalid for a value that no such table holds."""
    number = _whole(row, "id", "?")
    if number is None:
        raise _bad(f"a row of the table '{TABLE}' has no id")
    return OldRow(
        id=number,
        description=_text(row["description"]),
        command=_text(row["command"]),
        active=_whole(row, "active", number) or 0,
        start_s=_anchor(row, "start_anchor", number),
        stop_s=_anchor(row, "stop_anchor", number),
        frequency=_whole(row, "frequency", number),
        max_run_time=_whole(row, "max_run_time", number),
    )


def definition_of_row(row: OldRow, *, timezone: str, disabled: bool) -> Imported | Unsupported:
    """The job that starts as the row did: counted from starts, inside its hours, never twice."""
    notes: list[str] = []
    runs = not disabled
    if row.active != 1:
        said = "it is not active" if row.active == 0 else f"active is {row.active}, and not 1"
        notes.append(f"{said}: imported as disabled")
        runs = False
    if row.frequency is None:
        return _unsupported(row, "it has no frequency")
    if row.frequency < 1:
        notes.append(f"its frequency of {row.frequency} minutes is taken as 1 minute")
    try:
        window, about = _window(row)
    except Invalid as error:
        return _unsupported(row, error.text, error.hint)
    notes += about
    if window and _never_ran(row):
        runs = False
    if row.command == _NO_COMMAND:
        notes.append("it has the command of a row without one: imported as disabled")
        runs = False
    if not row.max_run_time or row.max_run_time < 0:
        notes.append("its max_run_time is 0, which is no limit")
    definition: dict[str, object] = {
        "name": f"{base_name(_description(row), row.command)}-{row.id}",
        "command": row.command,
        "schedule": f"every {max(1, row.frequency)}m",
        "timezone": timezone,
        "overlap": "skip",
    }
    limit = f"{row.max_run_time}m" if row.max_run_time and row.max_run_time > 0 else None
    optional = {"description": row.description or None, "window": window, "timeout": limit}
    definition |= {key: value for key, value in optional.items() if value is not None}
    if not runs:
        definition["enabled"] = False
    return Imported(line=row.id, text=row.command, definition=definition, notes=tuple(notes))


def kept_names(jobs: Iterable[Imported], own: Iterable[str]) -> list[Imported]:
    """A row whose description was edited keeps the job it has; `own` are names of its source."""
    by_id = {name.rpartition("-")[2]: name for name in own}
    return [job.renamed(by_id.get(str(job.line), job.name)) for job in jobs]


def report_of(
    jobs: Sequence[Imported], refused: Sequence[Unsupported], hints: Mapping[int, str]
) -> tuple[ReportLine, ...]:
    """What became of each row, in the order of their ids; a line's number is the row's id."""
    made = [
        ReportLine(
            line=job.line,
            text=job.text,
            state=LineState.CHANGED if job.notes else LineState.IMPORTED,
            name=job.name,
            notes=job.notes,
            hint=hints.get(job.line, ""),
        )
        for job in jobs
    ]
    made += [
        ReportLine(
            line=row.id,
            text=row.command.strip() or "no command",
            state=LineState.REFUSED,
            notes=(row.reason,),
            hint=row.hint,
        )
        for row in refused
    ]
    return tuple(sorted(made, key=lambda line: line.line))


def halves_of_a_night(rows: Sequence[OldRow]) -> dict[int, str]:
    """Hints by id: a window over midnight had to be two rows there, and is one here."""
    late: dict[tuple[object, ...], OldRow] = {}
    hints: dict[int, str] = {}
    for row in rows:
        if row.start_s is not None and row.stop_s is None:
            late.setdefault((row.command, row.frequency, row.max_run_time), row)
    for row in rows:
        other = late.get((row.command, row.frequency, row.max_run_time))
        if other is None or other.start_s is None or row.start_s is not None:
            continue
        if row.stop_s is not None and 0 < row.stop_s < other.start_s:
            window = f"{_clock(other.start_s, up=True)}-{_clock(row.stop_s)}"
            text = f"rows {other.id} and {row.id} are one job with window: {window}"
            hints |= {row.id: text, other.id: text}
    return hints


def zone_of_table(said: str) -> ZoneInfo:
    """The zone of what a database calls its own: `+02:00` is Etc/GMT-2. Raises Invalid.

    Without a slash it is what a host calls its zone at the moment: EST is there in winter only,
    and as the name of a zone it means something else.
    """
    offset = re.fullmatch(r"([+-])(\d{2}):00", said)
    if offset is not None:
        hours = int(offset[2])
        said = f"Etc/GMT{'-' if offset[1] == '+' else '+'}{hours}" if hours else "UTC"
    known = "/" in said or said in {"UTC", "GMT"}
    try:
        return load_zone(said if known else "")
    except Invalid:
        raise Invalid(
            f"the database calls its zone '{said[:40]}', which does not say where it is",
            code="unknown_timezone",
            hint="write --timezone Europe/Berlin",
        ) from None


def source_of_table(host: str, port: int, database: str) -> str:
    """Where jobs of a table come from; the user who reads it makes no difference."""
    return f"distributed-cron:{host}:{port}/{database}"


def _window(row: OldRow) -> tuple[str | None, list[str]]:
    """The hours of a row; None is the whole day. Raises Invalid where there were none."""
    start_s = min(_DAY_S, max(0, row.start_s or 0))
    stop_s = _DAY_S if row.stop_s is None else min(_DAY_S, max(0, row.stop_s))
    opens, closes = _clock(start_s, up=True), _clock(stop_s)
    if (opens, closes) == ("00:00", "24:00"):
        return None, []
    if opens in {closes, "24:00"} or (opens, closes) == ("00:00", "00:00"):
        hours = f"{_spelled(row.start_s) or '00:00'} to {_spelled(row.stop_s) or '24:00'}"
        raise Invalid(f"it never ran: from {hours} is no time", hint="set its anchors in the table")
    window, notes = f"{opens}-{closes}", []
    if _never_ran(row):
        notes.append(
            f"it never ran, as {_spelled(row.stop_s)} is before {_spelled(row.start_s)}: "
            f"here {window} is one window over midnight; imported as disabled"
        )
    if start_s % 60 or stop_s % 60 not in {0, 59}:
        notes.append(f"windows are of whole minutes: it is {window}")
    return window, notes


def _never_ran(row: OldRow) -> bool:
    return row.start_s is not None and row.stop_s is not None and row.stop_s <= row.start_s


def _clock(second: int, *, up: bool = False) -> str:
    """The minute of a second of the day; 23:59:59 is what some write for 24:00."""
    minute = (second + 59) // 60 if up else (second + 1) // 60
    return f"{minute // 60:02}:{minute % 60:02}"


def _spelled(second: int | None) -> str:
    if second is None:
        return ""
    sign, rest = "-" if second < 0 else "", abs(second)
    clock = f"{sign}{rest // 3600:02}:{rest // 60 % 60:02}"
    return f"{clock}:{rest % 60:02}" if rest % 60 else clock


def _anchor(row: Mapping[str, Any], name: str, number: int) -> int | None:
    text = _text(row[name]).strip()
    if not text:
        return None
    found = _CLOCK.fullmatch(text)
    if found is None:
        raise _bad(f"row {number}: {name} is '{text[:40]}', and not a time of day")
    seconds = int(found[2]) * 3600 + int(found[3]) * 60 + int(found[4] or 0)
    return -seconds if found[1] else seconds


def _whole(row: Mapping[str, Any], name: str, number: object) -> int | None:
    value = row[name]
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError):
        text = f"row {number}: {name} is '{str(value)[:40]}', and not a number"
        raise _bad(text) from None


def _text(value: object) -> str:
    """MariaDB's binary columns come as bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def _description(row: OldRow) -> str:
    return "" if row.description == _NO_DESCRIPTION else row.description


def _unsupported(row: OldRow, reason: str, hint: str = "") -> Unsupported:
    return Unsupported(id=row.id, command=row.command, reason=reason, hint=hint)


def _bad(text: str) -> Invalid:
    return Invalid(text, code="bad_job_table", hint="is it the table of distributed-cron?")
