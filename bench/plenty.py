"""Many jobs at once, written straight into the tables by the server itself.

Rows are what the store would have written: the texts of definitions come from the one validator,
with a number in place of a mark. Jobs that are due together lie scattered over the tables.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.report import BenchError
from bench.servers import DatabaseServer
from bench.shifted import DAY_US, migrate
from cronherd.definition.jobs import read_job
from tests.servers.databases import Session

MARK = "4711471147"  # no other part of a definition has it
STRIDE = 611_953  # a prime: logical number = place in the tables times this
MINUTE_US = 60_000_000
EPOCH_MS = 1_790_000_000_000
HOUR = 3  # when the first segment is due


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """So many jobs of one shape; `each_s` of them are due at one instant, then a second later."""

    name: str
    count: int
    overlap: str
    schedule: str
    due_us: int
    each_s: int = 0

    def spec(self) -> str:
        """The definition's text as it is stored, with the mark in its name."""
        raw: dict[str, object] = {"name": f"job-{MARK}", "command": "true"}
        raw["schedule"] = self.schedule
        if self.overlap != "skip":
            raw["overlap"] = self.overlap
        spec = dict(read_job(raw, timezone="UTC").spec)
        spec.pop("enabled", None)
        return json.dumps(spec, ensure_ascii=False, sort_keys=True)


def first_day_us() -> int:
    """A midnight at least a day from now: nothing is due by the real clock meanwhile."""
    return (time.time_ns() // 1_000 // DAY_US + 2) * DAY_US


def daily(minute: int, day_us: int) -> tuple[str, int]:
    """A rule for a minute of the first hours, and its slot of that day."""
    hour, rest = HOUR + minute // 60, minute % 60
    return f"{rest} {hour} * * *", day_us + hour * 60 * MINUTE_US + rest * MINUTE_US


def fill(server: DatabaseServer, url: str, segments: Sequence[Segment]) -> float:
    """The schema and all jobs; seconds that the jobs took."""
    total = sum(segment.count for segment in segments)
    if total % STRIDE == 0:
        raise BenchError(f"{total} jobs cannot be scattered")
    migrate(url)
    session = server.open(url)
    try:
        began = time.monotonic()
        build = _postgresql if server.kind == "postgresql" else _mariadb
        build(session, segments, total)
        return time.monotonic() - began
    finally:
        session.close()


def _cases(segments: Sequence[Segment], values: Sequence[str]) -> str:
    """CASE by the logical number n."""
    words, end = [], 0
    for segment, value in zip(segments, values, strict=True):
        end += segment.count
        words.append(f"WHEN n < {end} THEN {value}")
    return f"CASE {' '.join(words)} END"


def _dues(segments: Sequence[Segment], whole: str) -> str:
    """The slot of job n; `whole` is the server's sign for a division without a rest."""
    values, begin = [], 0
    for segment in segments:
        step = f" + (n - {begin}) {whole} {segment.each_s} * 1000000" if segment.each_s else ""
        values.append(f"{segment.due_us}{step}")
        begin += segment.count
    return _cases(segments, values)


def _texts(segments: Sequence[Segment], number: str) -> str:
    """The definition of job n: the segment's text around its number."""
    quoted = [segment.spec().replace("'", "''").split(MARK) for segment in segments]
    return _cases(
        segments, [f"concat('{before}', {number}, '{after}')" for before, after in quoted]
    )


JOB = 'id, "key", name, spec, version, enabled, source, created_us, updated_us'
VERSION = 'job_id, version, spec, "by", at_us'
DUE = "job_id, next_us, slot_us, last_slot_us, version, seq"


def _inserts(ident: str, number: str, text: str, due: str, numbers: str) -> list[str]:
    """`numbers` yields p, the place in the tables, and n; rows go in by p."""
    now_us = EPOCH_MS * 1_000
    name = f"concat('job-', {number})"
    rows = {
        f"job ({JOB})": f"{ident}, {name}, {name}, {text}, 1, TRUE, 'bench', {now_us}, {now_us}",
        f"job_version ({VERSION})": f"{ident}, 1, {text}, 'bench', {now_us}",
        f"job_due ({DUE})": f"{ident}, {due}, {due}, {now_us}, 1, 0",
    }
    return [f"INSERT INTO {where} SELECT {what} FROM {numbers}" for where, what in rows.items()]


def _postgresql(session: Session, segments: Sequence[Segment], total: int) -> None:
    ident = (
        f"(lpad(to_hex({EPOCH_MS} + p / 10), 12, '0') || '7' || substr(md5(p::text), 1, 3)"
        " || '8' || substr(md5(p::text), 4, 15))::uuid"
    )
    number = "lpad(n::text, 7, '0')"
    numbers = (
        f"(SELECT p, p * {STRIDE} % {total} AS n FROM generate_series(0::bigint, {total - 1}) p) s"
    )
    text, due = _texts(segments, number), _dues(segments, "/")
    for statement in _inserts(ident, number, text, due, numbers):
        session.run(statement)
    session.run("VACUUM ANALYZE")


def _mariadb(session: Session, segments: Sequence[Segment], total: int) -> None:
    session.run("SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,STRICT_ALL_TABLES'")
    session.run("SET SESSION unique_checks = 0")
    session.run("SET SESSION foreign_key_checks = 0")
    ident = (
        f"UNHEX(concat(lpad(hex({EPOCH_MS} + p DIV 10), 12, '0'), '7', substr(md5(p), 1, 3),"
        " '8', substr(md5(p), 4, 15)))"
    )
    number = "lpad(n, 7, '0')"
    numbers = f"(SELECT seq AS p, seq * {STRIDE} % {total} AS n FROM seq_0_to_{total - 1}) s"
    text, due = _texts(segments, number), _dues(segments, "DIV")
    for statement in _inserts(ident, number, text, due, numbers):
        session.run(statement)
    session.run("ANALYZE TABLE job, job_version, job_due")
