"""nodes: 1, 2, 4, 8 processes take the ready runs of one database and record their ends.

Real nodes are bound by starting processes; here each only claims a capacity's worth, records the
ends, and again. Every run must be taken by exactly one of them.
"""

from collections.abc import Sequence

from bench.plenty import Segment, daily, fill, first_day_us
from bench.report import BenchError, Report, Row, Target, tidy
from bench.servers import DatabaseServer
from bench.shifted import fire_all, opened
from bench.stage import Bench
from bench.workers import Json, ask_all, workers
from tests.servers.databases import Session

COUNTS = (1, 2, 4, 8)
GOAL_SPREAD = 20.0
# On two processors that the server uses too, more nodes cannot do more: at least not less.
GOAL_KEPT = 0.95
EMPTIED = ("run", "run_history", "attempt")


def run(bench: Bench) -> Report:
    server = bench.need_server()
    report = Report(name="nodes")
    url = server.fresh()
    rule, due_us = daily(0, first_day_us())
    segment = Segment(name="all", count=bench.jobs, overlap="allow", schedule=rule, due_us=due_us)
    bench.say(f"making {bench.jobs} ready runs")
    fill(server, url, [segment])
    with opened(url, due_us) as shifted:
        fire_all(shifted)
    session = server.open(url)
    try:
        session.run("CREATE TABLE ready_run AS SELECT * FROM run")
        rows = [_round(bench, server, session, url, count) for count in COUNTS]
    finally:
        session.close()
    report.tables[f"{bench.jobs} ready runs, claimed and recorded by so many processes"] = rows
    best = 0.0
    kept = []
    for row in rows:
        if best:
            kept.append(row["claims/s"] / best)
        best = max(best, row["claims/s"])
    report.targets += [
        Target(what="the least share of the best rate that more nodes keep",
               value=tidy(min(kept), 3), goal=GOAL_KEPT, unit="x", at_least=True),
        Target(what="the largest spread between nodes", value=max(r["spread %"] for r in rows),
               goal=GOAL_SPREAD, unit="%", at_least=False),
        Target(what="runs taken twice or never", value=sum(r["wrong"] for r in rows),
               goal=0, unit="runs", at_least=False),
    ]  # fmt: skip
    report.notes += [
        f"{bench.capacity} runs in a claim, their ends in one record; no process is started",
        "spread: the most taken by a node less the least, by the mean",
        "all nodes and the server share the processors of this machine",
    ]
    return report


def _round(bench: Bench, server: DatabaseServer, session: Session, url: str, count: int) -> Row:
    bench.say(f"{count} process{'es' * (count > 1)}")
    for table in EMPTIED:
        session.run(f"TRUNCATE TABLE {table}")
    session.run("INSERT INTO run SELECT * FROM ready_run")
    session.run("VACUUM ANALYZE" if server.kind == "postgresql" else "ANALYZE TABLE run")
    server.checkpoint()
    with workers("bench.claim_worker", [[url]] * count) as made:
        before = server.cpu_us()
        told = ask_all(made, {"limit": bench.capacity})
        spent = server.cpu_us() - before
    taken = [each["taken"] for each in told]
    lasted = max(each["ended"] for each in told) - min(each["began"] for each in told)
    return {
        "nodes": count,
        "claims/s": tidy(sum(taken) / lasted),
        "least": min(taken),
        "most": max(taken),
        "spread %": tidy(100 * (max(taken) - min(taken)) * count / sum(taken), 3),
        "own us": tidy(1e6 * sum(each["cpu_s"] for each in told) / sum(taken), 3),
        "server us": tidy(spent / sum(taken), 3),
        "claim p50 ms": tidy(max(each["claim_p50_ms"] for each in told), 3),
        "p99 ms": tidy(max(each["claim_p99_ms"] for each in told), 3),
        "record p50 ms": tidy(max(each["record_p50_ms"] for each in told), 3),
        "record p99 ms": tidy(max(each["record_p99_ms"] for each in told), 3),
        "wrong": _wrong(bench, session, told),
    }


def _wrong(bench: Bench, session: Session, told: Sequence[Json]) -> int:
    """Runs that two of them took, that nobody took, or that were not recorded."""
    seen: set[str] = set()
    twice = 0
    for each in told:
        for run_id in each["ids"]:
            twice += run_id in seen
            seen.add(run_id)
    recorded = int(session.run("SELECT count(*) FROM run_history")[0][0])
    left = int(session.run("SELECT count(*) FROM run")[0][0])
    if not seen:
        raise BenchError("nobody took a run")
    return twice + abs(bench.jobs - len(seen)) + abs(bench.jobs - recorded) + left
