"""Crontabs as text: every line is a job, a setting, a comment, blank, or refused with the reason.

The reference is Debian's cron 3.0pl1. Where a job means something else here, its notes say so.
"""

import re

from cronherd.domain.anacrontab import AnacronReader
from cronherd.domain.cronline import WELL_KNOWN_USER, ask_for_user
from cronherd.domain.crontab_lines import (
    Crontab,
    CrontabBlank,
    CrontabComment,
    CrontabEntry,
    CrontabLine,
    CrontabRefusal,
    CrontabSetting,
    Kind,
)
from cronherd.domain.crontab_names import LONGEST_NAME, with_names
from cronherd.domain.crontab_reader import LONGEST_DESCRIPTION, LONGEST_LINE, MOST_LINES, Reader

__all__ = [
    "LONGEST_DESCRIPTION",
    "LONGEST_LINE",
    "LONGEST_NAME",
    "MOST_LINES",
    "Crontab",
    "CrontabBlank",
    "CrontabComment",
    "CrontabEntry",
    "CrontabLine",
    "CrontabRefusal",
    "CrontabSetting",
    "Kind",
    "guess_kind",
    "parse_crontab",
]

_USER_HEADER = re.compile(r"(?im)^#.*\bdow\s+user(name)?\s+(command|cmd)\b")


def guess_kind(path: str, text: str) -> Kind:
    """System for /etc/crontab and /etc/cron.d, or where a header names the user column."""
    if re.search(r"(^|/)etc/anacrontab$", path):
        return Kind.ANACRON
    if re.search(r"(^|/)etc/(crontab|cron\.d/[^/]+)$", path) or _USER_HEADER.search(text):
        return Kind.SYSTEM
    return Kind.USER


def parse_crontab(text: str, kind: Kind, *, commented: bool = False) -> Crontab:
    """Read any text; `commented` also offers commented-out jobs, as disabled entries."""
    notes: list[str] = []
    reader = (AnacronReader if kind is Kind.ANACRON else Reader)(kind=kind, commented=commented)
    lines = [reader.read(number, raw) for number, raw in enumerate(_split(text, notes), start=1)]
    entries = [line for line in lines if isinstance(line, CrontabEntry)]
    own = {entry.line for entry in entries}
    # A line keeps its name when its neighbour is taken over.
    counted = with_names(sorted([*entries, *reader.taken], key=lambda entry: entry.line))
    named = {entry.line: entry for entry in counted if entry.line in own}
    users = [entry for entry in entries if WELL_KNOWN_USER.match(entry.command)]
    if len(users) < len(entries):  # `mail` may be a command, root never is
        users = [entry for entry in users if entry.command.startswith("root")]
    if kind is Kind.USER and users:
        notes.append(f"line {users[0].line}: {ask_for_user(users[0].command)}")
    return Crontab(
        kind=kind, lines=tuple(named.get(line.line, line) for line in lines), notes=tuple(notes)
    )


def _split(text: str, notes: list[str]) -> list[str]:
    if text.startswith("\ufeff"):
        notes.append("the byte order mark at the start was left out")
        text = text[1:]
    raw_lines = text.split("\n")
    if raw_lines[-1]:
        notes.append("the last line has no newline at its end: Debian's cron refuses that")
    else:
        raw_lines.pop()
    if any(raw.endswith("\r") for raw in raw_lines):
        notes.append("lines end with CR LF: Debian's cron would add the CR to each command")
    return [raw.removesuffix("\r") for raw in raw_lines]
