"""Lines of a crontab that were taken over: commented out with a mark, and put back.

All of it works on bytes: whatever a file is written in, each of its other bytes stays.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cronherd.domain.errors import Conflict

OURS = "#cronherd# "  # what begins like this is ours; for every cron it is a comment
_JOB = "job "
_DESCRIPTION = "description "
_TAKEN = re.compile(
    rb"#cronherd# (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) '((?:[^'\\\n]|\\')*)': ([^\n]*)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Taken:
    """A line that was taken over: its number, its job, what stood there."""

    line: int
    job: str
    original: bytes


@dataclass(frozen=True, slots=True)
class PutBack:
    """A file without our marks; `missing` are taken lines that somebody removed since."""

    raw: bytes
    lines: tuple[int, ...]
    missing: tuple[Taken, ...]


def said_name(line: str) -> str | None:
    """The name that a line written by export gives the next job."""
    return _said(line, _JOB)


def said_description(line: str) -> str | None:
    """The description that a line written by export gives the next job."""
    return _said(line, _DESCRIPTION)


def say_name(name: str) -> str:
    return f"{OURS}{_JOB}{name}"


def say_description(text: str) -> str:
    return f"{OURS}{_DESCRIPTION}{text}"


def _said(line: str, what: str) -> str | None:
    start = OURS + what
    return line.removeprefix(start).strip() or None if line.startswith(start) else None


def comment_out(raw: bytes, jobs: Mapping[int, str], at: str) -> bytes:
    """The file with the lines of these jobs (by their number from 1) commented out.

    `at` is an instant as 2026-11-21T10:00:00Z.
    """
    lines = raw.split(b"\n")
    for number, job in jobs.items():
        shown = job.replace("'", r"\'")  # no name has a backslash of its own
        lines[number - 1] = f"{OURS}{at} '{shown}': ".encode() + lines[number - 1]
    return b"\n".join(lines)


def taken_lines(raw: bytes) -> tuple[Taken, ...]:
    """What was taken over in this file and stands there still."""
    found = []
    for number, line in enumerate(raw.split(b"\n"), start=1):
        taken = _TAKEN.fullmatch(line)
        if taken:
            found.append(Taken(number, _name(taken[2]), taken[3]))
    return tuple(found)


def taken_text(line: str) -> str | None:
    """What stood in a line that was taken over; None for any other line."""
    found = taken_lines(line.encode("utf-8", "surrogatepass"))
    return found[0].original.decode("utf-8", "surrogatepass") if found else None


def put_back(raw: bytes, taken: tuple[Taken, ...], at: str, path: str) -> PutBack:
    """The file with the taken lines as they were, whatever else was edited meanwhile.

    `taken` is what one takeover did, at the instant `at`. A line that is gone is in `missing`.
    Raises Conflict where a marked line says something else than was taken: nobody could tell
    which of the two is meant.
    """
    left = list(taken)
    done, lines = [], raw.split(b"\n")
    for index, line in enumerate(lines):
        marked = _TAKEN.fullmatch(line)
        if marked is None or marked[1].decode() != at:
            continue
        job = _name(marked[2])
        known = next((t for t in left if (t.job, t.original) == (job, marked[3])), None)
        if known is None:
            raise Conflict(
                f"line {index + 1} was taken over for '{job}' and changed since",
                code="line_changed",
                hint="put it back by hand, without the mark, then repeat this",
                where=path,
            )
        left.remove(known)
        lines[index] = marked[3]
        done.append(index + 1)
    return PutBack(b"\n".join(lines), tuple(done), tuple(left))


def _name(raw: bytes) -> str:
    return raw.decode("utf-8", "replace").replace(r"\'", "'")
