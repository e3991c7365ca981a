"""The hot statements of the servers go by an index and sort nothing that is large."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from cronherd.domain.ident import to_stored
from cronherd.engine.clock import FakeClock
from cronherd.store import (
    claims,
    duerows,
    endings,
    history,
    jobpages,
    jobtexts,
    mysql,
    permits,
    pools,
    postgres,
    promotion,
    pruning,
    recording,
    textsearch,
)
from cronherd.store.database import Connection, Database, Dialect, fetch, many, one
from cronherd.store.migrate import upgrade_schema
from tests.store.backends import Backend, MysqlOnClock, PostgresOnClock
from tests.store.only import mariadb_only, postgresql_only

ROWS = 4000
PLACES = 3
# Ten thousand rows are as good as a million: what is chosen here is chosen there.
RUN = """
INSERT INTO run (id, short, job_id, dedup, slot_us, cause, version, state, place, prio, ready_us,
deadline_us, created_us, attempt, epoch, fence, token, node_id, wait_key, cancel)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
PAST = """
INSERT INTO run_history (id, short, job_id, dedup, slot_us, cause, version, outcome, created_us,
ended_us, attempt, fence, error_text, dropped) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
DUE = """
INSERT INTO job_due (job_id, next_us, slot_us, last_slot_us, version, seq) VALUES (?, ?, ?, ?, ?, ?)
"""
GATE = "INSERT INTO gate (gkey, capacity, seq) VALUES (?, ?, 0)"
PERMIT = "INSERT INTO permit (gkey, n, run_id) VALUES (?, ?, ?)"
LEDGER = """
INSERT INTO ledger (job_id, from_us, to_us, "count", reason, at_us) VALUES (?, ?, ?, ?, ?, ?)
"""
EVENT = "INSERT INTO event (id, at_us, kind, subject, actor, text) VALUES (?, ?, ?, ?, ?, ?)"
JOB = """
INSERT INTO job (id, "key", name, spec, version, enabled, source, created_us, updated_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
STATES = ("ready", "waiting", "delayed", "running", "claimed")
IDS = [to_stored(f"{n:032x}") for n in range(ROWS)]
NODE = IDS[7]


def fill(connection: Connection) -> None:
    """Enough rows, and statistics, that the planner has a choice to make."""
    runs, past = [], []
    for n, stored in enumerate(IDS):
        state = STATES[n % len(STATES)]
        node = IDS[n % 20] if state in {"running", "claimed"} else None
        wait_key = f"j{n % 4}" if state == "waiting" else None
        head = (stored, n, IDS[n % 300], f"m:{n}", n, "schedule", 1, state, f"zone={n % PLACES}")
        deadline = n if n % 100 == 0 else None
        token = f"t{n}" if node else None
        runs.append((*head, n % 3, n, deadline, n, 1, 0, n, token, node, wait_key, n % 500 == 3))
        outcome = "failed" if n % 50 == 0 else "succeeded"
        past.append((*head[:2], IDS[n % 100], *head[3:7], outcome, n, n, 1, n, "", 0))
    many(connection, RUN, runs)
    many(connection, PAST, past)
    many(connection, JOB, [(i, str(n), str(n), "{}", 1, True, "", 0, 0) for n, i in enumerate(IDS)])
    many(connection, DUE, [(i, n * 1000, n, 0, 1, 0) for n, i in enumerate(IDS)])
    many(connection, PERMIT, [(f"j{n}", 0, i) for n, i in enumerate(IDS)])
    many(connection, GATE, [(f"p{n}", 3) for n in range(ROWS)])
    many(connection, LEDGER, [(i, n, n, 1, "paused", n * 1000) for n, i in enumerate(IDS)])
    many(connection, EVENT, [(i, n * 1000, "job_changed", "", "", "") for n, i in enumerate(IDS)])


def past(where: str) -> str:
    return history.PAST.format(where)


# Each with values, and the index it must go by. "~": it may sort, since what it sorts is small.
STATEMENTS: dict[str, tuple[str, Sequence[object], str]] = {
    "look's next": (
        "SELECT min(next_us) FROM job_due WHERE next_us BETWEEN ? AND now_us() + ?",
        (5000, 5000),
        "job_due_next",
    ),
    "cancels": (claims.CANCELS, (NODE,), "run_node"),
    "by token": (claims.BY_TOKEN, (NODE, "t7"), "run_node"),
    "by node": (claims.BY_NODE, (NODE,), "run_node"),
    "upcoming": (claims.UPCOMING, (6000, 10), "job_due_next"),
    "ready places": (claims.READY_PLACES, (), "run_ready"),
    "look's waiting": ("SELECT min(wait_key) FROM run WHERE wait_key > ''", (), "run_wait"),
    "waiters": (promotion.WAITERS, ("j2", 10), "run_wait"),
    "waited for": (recording.WAITED_FOR, (["j2", "j3"],), "run_wait ~"),
    "waiting by key": (permits.WAITING, (["j2", "j3"],), "run_wait ~"),
    "delayed": (promotion.DELAYED, (50,), "run_delayed"),
    "expired": (promotion.EXPIRED, (50,), "run_deadline"),
    "live of told": (recording.LIVE, ([IDS[3], IDS[4]],), "PRIMARY ~"),
    "lock due": (duerows.LOCK_DUE, ([IDS[3], IDS[4]],), "PRIMARY ~"),
    "lock waiters": (promotion.LOCK_WAITERS, ([IDS[3], IDS[4]], "j2"), "PRIMARY ~"),
    "states": (endings.STATES, ([IDS[3], IDS[4]],), "PRIMARY ~"),
    "free permits": (permits.FREE, ([IDS[3], IDS[4]],), "permit_run"),
    "held permits": (permits.HELD, (["j3", "j4"],), "PRIMARY"),
    "free of a gate": (pools.FREE, ("p3",), "PRIMARY"),
    "lock gates": (pools.LOCK_GATES, (["p3", "p4"],), "PRIMARY ~"),
    "taken of gates": (pools.TAKEN, (["j3", "j4"],), "PRIMARY"),
    "line": (pools.LINE, ("j2", 22), "run_wait"),
    "line but": (pools.LINE_BUT, ("j2", ["pdb:3", "pgpu"], 22), "run_wait ~"),
    "lock line": (pools.LOCK_LINE, ([IDS[3], IDS[4]], "j2"), "PRIMARY ~"),
    "expire permit": (permits.EXPIRE, ("j3", 0), "PRIMARY"),
    "pools of": (permits.FREE_POOLS, ([IDS[3], IDS[4]],), "permit_run"),
    "newest past": (past("1 = 1"), (50,), "PRIMARY"),
    "past by job": (past("h.job_id = ?"), (IDS[3], 5), "run_history_job"),
    "past by job before": (
        past("h.job_id = ? AND h.id < ?"),
        (IDS[3], IDS[3000], 5),
        "run_history",
    ),
    "past by short": (past("h.short BETWEEN ? AND ?"), (7, 9, 50), "run_history_short ~"),
    "past by outcome": (past("h.outcome = 'failed'"), (5,), "run_history_outcome"),
    "old ledger": (pruning.DROP_LEDGER, (9000,), "ledger_at"),
    "old events": (pruning.DROP_EVENTS, (9000,), "event_at"),
}
PG_ONLY = {
    "due": (postgres.DUE, (1000, 9000, 5), "job_due_next"),
    "keys": (promotion.KEYS, ("", 1000), "run_wait"),
    "claim": (postgres.CLAIM_ONE, ("zone=1", 1 << 62, 5, "t", NODE), "run_ready"),
}
MARIADB_ONLY = {
    "keys": (promotion.KEYS_BY_GROUP, ("", 1000), "run_wait"),
    "candidates": (mysql.CANDIDATES, (1000, 9000, 20), "job_due_next"),
    "due": (mysql.DUE, ([IDS[3], IDS[4]], 9000), "PRIMARY"),
    "ready": (mysql.READY, (["zone=1"], 1 << 62, 5), "run_ready"),
    "lock ready": (mysql.LOCK_READY, ([IDS[3], IDS[4]],), "PRIMARY"),
    "take": (mysql.TAKE, ("t", NODE, [IDS[3], IDS[4]]), "PRIMARY"),
}
SMALL = ("node", "meta")
DIALECTS: dict[str, Callable[[str, FakeClock], Dialect]] = {
    "postgresql": PostgresOnClock,
    "mariadb": MysqlOnClock,
}


@pytest.fixture
def connection(backend: Backend, empty_database: Callable[[str], str]) -> Iterator[Connection]:
    """A database of its own: what is deleted from it would still be in the way of others."""
    clock = FakeClock(5000)  # the rows of `fill` lie around this instant
    database = Database(DIALECTS[backend.name](empty_database(backend.name), clock))
    upgrade_schema(database, timezone="UTC", incarnation="x")
    with database.change() as taken:
        one(taken, "BEGIN")
        fill(taken)
        one(taken, "COMMIT")
        yield taken
    database.close()


Check = Callable[[Connection, str, Sequence[object]], tuple[set[str], list[str]]]


def faults(connection: Connection, check: Check, table: Any) -> list[str]:
    found: list[str] = []
    for name, (sql, values, wanted) in table.items():
        index, _, sorts = wanted.partition(" ")
        used, bad = check(connection, sql, values)
        if not any(key.startswith(index) for key in used):
            found.append(f"{name}: it went by {sorted(used)}, not by {index}")
        found += [f"{name}: {word}" for word in bad if not (sorts and "sort" in word.lower())]
    return found


# ---------------------------------------------------------------- PostgreSQL


def explain_postgresql(
    connection: Connection, sql: str, values: Sequence[object]
) -> tuple[set[str], list[str]]:
    """The indexes of a plan, and what is wrong with it."""
    (answer,) = fetch(connection, f"EXPLAIN (FORMAT JSON) {sql}", values)
    return read_plan(answer)


def read_plan(answer: Any) -> tuple[set[str], list[str]]:
    used: set[str] = set()
    bad: list[str] = []

    def walk(step: dict[str, Any]) -> None:
        kind, table = step["Node Type"], step.get("Relation Name")
        used.add(re.sub(r"\w+_pkey", "PRIMARY", step.get("Index Name", "")))
        if kind == "Seq Scan" and table not in SMALL:
            bad.append(f"all of {table} is read")
        if "Sort" in kind:
            bad.append(kind)
        for part in step.get("Plans", ()):
            walk(part)

    document = answer[0] if isinstance(answer[0], list) else json.loads(answer[0])
    walk(document[0]["Plan"])
    return used - {""}, bad


@postgresql_only
def test_the_hot_statements_of_postgresql_use_their_index_and_sort_nothing(connection: Connection):
    one(connection, "ANALYZE")
    found = faults(connection, explain_postgresql, {**STATEMENTS, **PG_ONLY})
    assert not found, "; ".join(found)


@postgresql_only
def test_a_page_is_planned_without_workers(connection: Connection):
    """To start some takes longer than the few rows of any page, however many rows there are."""
    (row,) = fetch(connection, "SELECT current_setting('max_parallel_workers_per_gather')")
    assert row[0] == "0"


# A prepared statement is planned once for all values, so this is what a server does all day.
GENERIC = {
    "runs that begin so": (history.SHORT_IDS.format("run_history"), "int, int, int",
                           "1, 2, 1000", "run_history_short"),
    "names of a window": (jobpages.JOB_EDGE, "text, int", "'0', 100", "job_key_key"),
    "paused": (f"{jobpages.PAUSED} LIMIT ?", "bigint, int", "5, 100", "job_due_paused"),
    # As `JobPages` asks for a page when there are too many to name them all.
    "overdue": (history.JOBS.format(f'{history.ALIVE}{jobpages.OVERDUE_ONE} AND j."key" > ? '
                                    'ORDER BY j."key" LIMIT 5'),
                "bigint, bigint, text", "5, 5, '0'", "job_key_key"),
    "jobs of a tag": (textsearch.BY_TAG.format('g.tag = ? AND g."key" > ?'), "text, text, int",
                      "'t', '0', 100", "PRIMARY"),
    "jobs without texts": (jobtexts.UNTOLD_IDS, "int", "1000", "job_untold"),
    "enabled": ("SELECT count(*) FROM job WHERE enabled = TRUE", "", "", "job_enabled"),
}  # fmt: skip


@postgresql_only
def test_what_pages_ask_goes_by_its_index_whatever_the_values(connection: Connection):
    one(connection, "VACUUM ANALYZE")
    for place, (name, (sql, kinds, values, index)) in enumerate(GENERIC.items()):
        for number in range(1, sql.count("?") + 1):
            sql = sql.replace("?", f"${number}", 1)  # noqa: PLW2901 - as PREPARE numbers them
        one(connection, f"PREPARE asked{place}{f' ({kinds})' if kinds else ''} AS {sql}")
        asked = f"asked{place}({values})" if values else f"asked{place}"
        (answer,) = fetch(connection, f"EXPLAIN (FORMAT JSON) EXECUTE {asked}")
        used, bad = read_plan(answer)
        assert index in used, (name, used)
        assert not bad, (name, bad)


@postgresql_only
def test_the_check_of_postgresql_can_fail(connection: Connection):
    one(connection, "ANALYZE")
    assert faults(connection, explain_postgresql, {"x": (promotion.WAITERS, ("j2", 9), "run_x")})
    sql = "SELECT id FROM run WHERE version = ? ORDER BY prio"
    (_, first, second) = faults(connection, explain_postgresql, {"x": (sql, (1,), "run")})
    assert (first, second) == ("x: Sort", "x: all of run is read")


# ---------------------------------------------------------------- MariaDB


def explain_mariadb(
    connection: Connection, sql: str, values: Sequence[object]
) -> tuple[set[str], list[str]]:
    used: set[str] = set()
    bad: list[str] = []
    for row in fetch(connection, f"EXPLAIN {sql}", values):
        table, kind, key, extra = row[2], row[3], row[5], row[-1] or ""
        used.add(key or "")
        if "Select tables optimized away" in extra:
            used |= {"job_due_next", "run_wait"}  # the end of an index was read while planning
        if kind in {"ALL", "index"} and not str(table).startswith("<") and table not in SMALL:
            limited = kind == "index" and " LIMIT " in sql and "filesort" not in extra
            bad += [] if limited else [f"all of {table} is read"]
        if "filesort" in extra:
            bad.append(f"sort of {table}")
    return used - {""}, bad


@mariadb_only
def test_the_hot_statements_of_mariadb_use_their_index_and_sort_nothing(connection: Connection):
    fetch(connection, "ANALYZE TABLE run, run_history, job_due, permit, gate, ledger, event, job")
    found = faults(connection, explain_mariadb, {**STATEMENTS, **MARIADB_ONLY})
    assert not found, "; ".join(found)


@mariadb_only
def test_mariadb_steps_over_a_long_line_and_does_not_read_it(connection: Connection):
    """What each node asks about once a second costs the same however many wait."""
    one(connection, "UPDATE run SET wait_key = 'pbusy' WHERE wait_key IS NOT NULL")
    fetch(connection, "ANALYZE TABLE run")
    assert "wait_key > '')" in claims.LOOK
    for sql, values in (
        ("SELECT min(wait_key) FROM run WHERE wait_key > ''", ()),
        (promotion.KEYS_BY_GROUP, ("", 1000)),
    ):
        (row,) = fetch(connection, f"EXPLAIN {sql}", values)
        assert "optimized away" in row[-1] or "index for group-by" in row[-1], row


@mariadb_only
def test_mariadb_begins_with_the_runs_however_few_jobs_there_are(connection: Connection):
    """Else all of history is joined and sorted for one page of it."""
    one(connection, "DELETE FROM job WHERE version = 1 AND name > '30'")
    fetch(connection, "ANALYZE TABLE run, run_history, job")
    for sql, first in ((past("1 = 1"), "h"), (history.LIVE.format("1 = 1"), "r")):
        tables = [row[2] for row in fetch(connection, f"EXPLAIN {sql}", (50,))]
        assert tables[0] == first, tables


@mariadb_only
def test_the_check_of_mariadb_can_fail(connection: Connection):
    assert faults(connection, explain_mariadb, {"x": (promotion.WAITERS, ("j2", 9), "run_x")})
    sql = "SELECT id FROM run WHERE version = ? ORDER BY prio"
    assert faults(connection, explain_mariadb, {"x": (sql, (1,), "run")})[1:] == [
        "x: all of run is read",
        "x: sort of run",
    ]
