"""million: how fast slots fire with 1,000,000 jobs in the database, and what looking costs.

Firing is the store's own: due rows, definitions, permits, plans, runs, commit, batches of 1,000.
Each round fires jobs that were never fired before and whose definitions nobody has read.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench import held
from bench.plenty import Segment, daily, fill, first_day_us
from bench.report import BenchError, Report, Row, Target, median_row, tidy
from bench.servers import DatabaseServer
from bench.shifted import migrate
from bench.stage import Bench
from bench.workers import Json, ask_all, workers

GOALS = {"allow": 20_000.0, "skip": 12_000.0}
WORDS = {"allow": "no limit", "skip": "default"}
PROCESSES = (1, 2, 4)
MANY_ROUNDS = 2  # with more than one process
ROUND_JOBS = 20_000
SECOND_JOBS = 5_000
GOAL_SECOND_S = 0.5
GOAL_MEMORY_MB = 10.0
GOAL_SCAN_MS = 1.0
HELD = 3  # times as long as --seconds somebody's snapshot is open: a minute
HELD_PER_S = 1_000
EARLY_US = 1_000  # a round's clock begins this much after its slot
REST_S = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One firing of a segment."""

    segment: Segment
    processes: int
    profiled: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Which jobs are due when."""

    rounds: Sequence[Round]
    seconds: Sequence[Segment]
    stream: Segment
    rest: Sequence[Segment]

    def segments(self) -> list[Segment]:
        return [*(r.segment for r in self.rounds), *self.seconds, self.stream, *self.rest]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that was measured."""

    filled_s: float
    per_s: int
    rows: list[Row]
    seconds: list[Row]
    scans: list[Row]
    memory: list[Row]


def run(bench: Bench) -> Report:
    server = bench.need_server()
    report = Report(name="million")
    layout = lay_out(bench)
    url = server.fresh()
    bench.say(f"filling in {bench.jobs} jobs")
    filled_s = fill(server, url, layout.segments())
    server.checkpoint()
    bench.say(f"filled in {filled_s:.1f} s; a node at rest, with these jobs and with none")
    memory = _memory(bench, url)
    fresh = held.at_rest(url, layout.rounds[0].segment.due_us, f"{bench.jobs} jobs, fresh")
    rows = _fire(bench, server, url, layout.rounds)
    bench.say(f"{layout.seconds[0].count} slots in one second, by the scheduler")
    seconds: list[Row] = [
        {"jobs": WORDS[segment.overlap], **held.one_second(url, segment.due_us, segment.count)}
        for segment in layout.seconds
    ]
    held_s = HELD * bench.seconds
    bench.say(f"an old snapshot for {held_s} s, {layout.stream.each_s} firings a second")
    scans = held.with_snapshot(server, url, layout.stream, held_s)
    found = Found(
        filled_s=filled_s,
        per_s=layout.stream.each_s,
        rows=rows,
        seconds=seconds,
        scans=[fresh, *scans],
        memory=memory,
    )
    _write(report, bench, found)
    return report


def lay_out(bench: Bench) -> Layout:
    day_us = first_day_us()
    size = max(1, min(ROUND_JOBS, bench.jobs // 20))
    # In the order in which they are fired: a clock that has passed a slot fires it.
    wanted = [(overlap, 1, False) for _ in range(bench.rounds) for overlap in GOALS]
    wanted += [(overlap, 1, True) for overlap in GOALS if bench.profile]
    wanted += [
        (overlap, processes, False)
        for processes in PROCESSES[1:]
        for _ in range(MANY_ROUNDS)
        for overlap in GOALS
    ]
    size = min(size, bench.jobs * 6 // 10 // len(wanted))
    rounds = []
    for minute, (overlap, processes, profiled) in enumerate(wanted):
        rule, due_us = daily(minute, day_us)
        segment = Segment(
            name=f"round {minute}", count=size, overlap=overlap, schedule=rule, due_us=due_us
        )
        rounds.append(Round(segment=segment, processes=processes, profiled=profiled))
    seconds = []
    for minute, overlap in enumerate(GOALS, len(wanted)):
        rule, due_us = daily(minute, day_us)
        count = min(SECOND_JOBS, bench.jobs // 20)
        seconds.append(
            Segment(name="second", count=count, overlap=overlap, schedule=rule, due_us=due_us)
        )
    _, stream_us = daily(len(wanted) + 10, day_us)
    stream_s = HELD * bench.seconds + held.after_s(HELD * bench.seconds)
    per_s = max(1, min(HELD_PER_S, bench.jobs // 5 // stream_s))
    stream = Segment(
        name="stream",
        count=per_s * stream_s,
        overlap="skip",
        schedule="every 24h",
        due_us=stream_us,
        each_s=per_s,
    )
    used = sum(r.segment.count for r in rounds) + sum(s.count for s in seconds) + stream.count
    return Layout(
        rounds=rounds, seconds=seconds, stream=stream, rest=_rest(bench.jobs - used, day_us)
    )


def _rest(count: int, day_us: int) -> list[Segment]:
    """Daily jobs over twelve later hours, one segment each quarter of an hour."""
    parts = 48
    made = []
    for part in range(parts):
        rule, due_us = daily(300 + part * 15, day_us)
        share = count // parts + (part < count % parts)
        made.append(Segment(name="rest", count=share, overlap="skip", schedule=rule, due_us=due_us))
    return [segment for segment in made if segment.count]


def _fire(bench: Bench, server: DatabaseServer, url: str, rounds: Sequence[Round]) -> list[Row]:
    rows: list[Row] = []
    for processes in PROCESSES:
        chosen = [r for r in rounds if r.processes == processes]
        bench.say(f"firing with {processes} process{'es' * (processes > 1)}")
        with workers("bench.firing_worker", [[url]] * processes) as made:
            for each in chosen:
                segment, before = each.segment, server.cpu_us()
                now_us = segment.due_us + EARLY_US
                told = ask_all(made, {"now_us": now_us, "profile": each.profiled})
                row = _row(segment, told, server.cpu_us() - before)
                if not each.profiled:  # a profile costs more than what it looks at
                    rows.append(row)
                server.analyze(url)
        server.checkpoint()
    return rows


def _row(segment: Segment, told: Sequence[Json], server_us: float) -> Row:
    fired = sum(each["rows"] for each in told)
    if fired != segment.count:
        raise BenchError(f"{fired} of {segment.count} due jobs were fired")
    lasted = max(each["ended"] for each in told) - min(each["began"] for each in told)
    spent = {
        name: sum(each[f"{name}_s"] for each in told)
        for name in ("read", "plan", "write", "commit")
    }
    return {
        "jobs": WORDS[segment.overlap],
        "processes": len(told),
        "fired": fired,
        "firings/s": tidy(fired / lasted),
        "own us": tidy(1e6 * sum(each["cpu_s"] for each in told) / fired, 3),
        "server us": tidy(server_us / fired, 3),
        **{f"{name} us": tidy(1e6 * part / fired, 3) for name, part in spent.items()},
        "slowest ms": tidy(1e3 * max(each["slowest_s"] for each in told), 3),
        "look ms": tidy(max(each["look_ms"] for each in told), 3),
        "again": sum(each["contended"] for each in told),
        "MB": tidy(max(each["rss_mb"] for each in told), 3),
        "by then": max(each["so_far"] for each in told),
    }


def _memory(bench: Bench, url: str) -> list[Row]:
    """A whole node on this database, and one on an empty one."""
    rows: list[Row] = []
    none = bench.need_server().fresh()
    migrate(none)  # what a migration loads is no part of a node at rest
    for jobs, where in ((bench.jobs, url), (0, none)):
        with bench.fleet(url=where) as fleet:
            time.sleep(REST_S)
            memory = fleet.family().memory_mb()
        sizes = {name: sizes["resident"] for name, sizes in memory.items()}
        rows.append({"jobs": jobs, **sizes})
    return rows


def _write(report: Report, bench: Bench, found: Found) -> None:
    report.tables["firing in batches of 1,000, each round"] = found.rows
    medians: list[Row] = []
    for overlap, processes in ((o, p) for p in PROCESSES for o in GOALS):
        same = [
            row
            for row in found.rows
            if row["jobs"] == WORDS[overlap] and row["processes"] == processes
        ]
        medians.append(median_row(same))
    report.tables["medians"] = medians
    report.tables["slots of one second, fired by the scheduler"] = found.seconds
    report.tables["milliseconds of a look with nothing due"] = found.scans
    report.tables["resident MB at rest"] = found.memory
    for row in medians[: len(GOALS)]:
        overlap = next(key for key, word in WORDS.items() if word == row["jobs"])
        _aim(report, f"firings/s, {row['jobs']}, 1 process", row["firings/s"], GOALS[overlap], "/s")
    for row in found.seconds:
        _aim(report, f"{row['slots']} slots of a second, {row['jobs']}", row["all s"],
             GOAL_SECOND_S, "s")  # fmt: skip
    for row in found.scans:
        _aim(report, f"look, {row['when']}: p50", row["look p50"], GOAL_SCAN_MS, "ms")
        _aim(report, f"due statement, {row['when']}: p50", row["due p50"], GOAL_SCAN_MS, "ms")
    many, none = (row["agent+api"] for row in found.memory)
    _aim(report, "memory of a node more than with no jobs", round(many - none, 1),
         GOAL_MEMORY_MB, "MB")  # fmt: skip
    report.notes += [
        f"{bench.jobs} jobs were filled in within {found.filled_s:.1f} s",
        "us: microseconds for each firing: CPU of ours and of the server, then wall time by part:",
        "read: due rows, definitions, permits; plan: the domain; write: all statements of commit",
        "jobs fired together lie scattered over the tables; each definition is read once here",
        "MB: the firing process, after so many firings; 20,000 definitions are kept",
        "the first rounds fill empty tables, of which the server has no statistics; then it has",
        "look ms: the median of a few looks right after, before new statistics",
        "a look is the statement of an idle node; due the one of firing, here without any row",
        "from 0: the due statement without its low bound, as every 30 s",
        f"snapshot: a REPEATABLE READ transaction, open while {found.per_s} jobs a second fire",
    ]


def _aim(report: Report, what: str, value: float, goal: float, unit: str) -> None:
    report.targets.append(
        Target(what=what, value=value, goal=goal, unit=unit, at_least=unit == "/s")
    )
