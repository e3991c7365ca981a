"""The hot statements of SQLite go by an index, whatever the size of the tables."""

import re

import pytest

from cronherd.store import (
    claims,
    events,
    history,
    permits,
    pools,
    promotion,
    pruning,
    recording,
    slots,
    sqlite,
)
from cronherd.store.database import fetch
from tests.store.only import sqlite_only
from tests.store.stage import Stage

pytestmark = sqlite_only


def past(where: str) -> str:
    return history.PAST.format(where)


# Each with the columns that an index or the primary key must bound.
STATEMENTS = {
    "due": (sqlite.DUE, "(next_us>? AND next_us<?)"),
    "advance": (sqlite.ADVANCE, "(job_id=?)"),
    "ready": (sqlite.READY, "(state=? AND place=?)"),
    "look": (claims.LOOK, "(next_us>? AND next_us<?)"),
    "keys": (promotion.KEYS, "(wait_key>?)"),
    "ready places": (claims.READY_PLACES, "(state=? AND place>?)"),
    "unclaimed": (promotion.UNCLAIMED, "state"),
    "cancels": (claims.CANCELS, "(node_id=?"),
    "by token": (claims.BY_TOKEN, "(node_id=?"),
    "by node": (claims.BY_NODE, "(node_id=?"),
    "by ids": (claims.BY_IDS, "(id=?)"),
    "upcoming": (claims.UPCOMING, "(next_us>? AND next_us<?)"),
    "live of told": (recording.LIVE, "(id=?)"),
    "waited for": (recording.WAITED_FOR, "(wait_key=?"),
    "waiters": (promotion.WAITERS, "(wait_key=?"),
    "free of a gate": (pools.FREE, "(gkey=?)"),
    "gates": (pools.LOCK_GATES, "(gkey=?)"),
    "taken of gates": (pools.TAKEN, "(gkey=?)"),
    "line": (pools.LINE, "(wait_key=?)"),
    "line but": (pools.LINE_BUT, "(wait_key=?)"),
    "lock line": (pools.LOCK_LINE, "(id=?)"),
    "pools of": (permits.FREE_POOLS, "(run_id=?)"),
    "delayed": (promotion.DELAYED, "ready_us<?"),
    "expired": (promotion.EXPIRED, "(deadline_us<?"),
    "held permits": (permits.HELD, "(gkey=?)"),
    "waiting by key": (permits.WAITING, "(wait_key=?"),
    "free permits": (permits.FREE, "(run_id=?)"),
    "past by job": (past("h.job_id = ?"), "(job_id=?)"),
    "past by job before": (past("h.job_id = ? AND h.id < ?"), "(job_id=? AND id<?)"),
    "past by short": (past("h.short BETWEEN ? AND ?"), "(short>? AND short<?)"),
    "old runs": (pruning.OLD_RUNS, "(job_id=? AND id<?)"),
    "output": (history.OUTPUT.format("attempt = ?"), "(run_id=? AND attempt=?"),
    "past by slot": (past(slots.BY_SLOT.format("h")), "(job_id=?)"),
    "ledger by slot": (events.LEDGER.format(slots.COVERING), "(job_id=? AND from_us<?)"),
    "old ledger": (pruning.DROP_LEDGER, "(at_us<?)"),
    "old events": (pruning.DROP_EVENTS, "(at_us<?)"),
}
# A whole table is read in the order of an index and cut off by LIMIT: a page, not a scan.
PAGES = {"newest past": (past("1 = 1"), "run_history")}


def explained(stage: Stage, sql: str, listed: int = 2) -> list[str]:
    """The steps of a plan; `listed`: so many values stand in each list."""
    numbered = [int(number) for number in re.findall(r"\?(\d+)", sql)]
    marks = re.findall(r"IN \?|\?", sql)
    values: list[object] = [[1] * listed if mark == "IN ?" else 1 for mark in marks]
    if numbered:
        values = [1] * max(numbered)
    with stage.store.db.write() as connection:
        rows = fetch(connection, f"EXPLAIN QUERY PLAN {sql}", values)
    return [row[3] for row in rows]


def scans(steps: list[str]) -> list[str]:
    """Steps that read all rows of a big table, by its rows or by all of an index."""
    own = ("CONSTANT", "SCAN found")  # the few rows that a recursion has found itself
    return [s for s in steps if re.match(r"SCAN \w+", s) and not any(word in s for word in own)]


def fill(stage: Stage) -> None:
    """Enough rows, and statistics, that the planner has a choice to make."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
    columns = "id, short, job_id, dedup, cause, version, outcome, created_us, ended_us, attempt"
    stage.write(
        f"INSERT INTO run_history ({columns}, fence, error_text, dropped) {numbers} SELECT "  # noqa: S608
        "randomblob(16), i, CAST(printf('%016d', i % 20) AS BLOB), 'm:' || i, 'manual', 1, "
        "'failed', i, i, 1, 1, '', 0 FROM n"
    )
    columns = "id, short, job_id, dedup, cause, version, state, place, prio, ready_us, created_us"
    stage.write(
        f"INSERT INTO run ({columns}, attempt, epoch, fence, cancel) {numbers} SELECT "  # noqa: S608
        "randomblob(16), i, randomblob(16), 'm:' || i, 'manual', 1, 'ready', '', 0, i, i, 1, 0, "
        "0, 0 FROM n"
    )
    stage.write(
        f"INSERT INTO job_due (job_id, next_us, slot_us, last_slot_us, version, seq) {numbers} "  # noqa: S608
        "SELECT randomblob(16), i, i, 0, 1, 0 FROM n"
    )


@pytest.mark.parametrize("filled", [False, True], ids=["empty", "filled"])
def test_the_hot_statements_use_their_index_and_scan_nothing(stage: Stage, *, filled: bool):
    if filled:
        fill(stage)
        stage.write("ANALYZE")
    for name, (sql, bounds) in STATEMENTS.items():
        steps = explained(stage, sql)
        assert any(bounds in step for step in steps), f"{name}: {steps}"
        assert scans(steps) == [], f"{name}: {steps}"


def test_a_page_of_history_is_read_in_order_and_not_sorted(stage: Stage):
    fill(stage)
    for sql, _ in (*PAGES.values(), (past("h.job_id = ?"), "")):
        assert not any("B-TREE" in step for step in explained(stage, sql)), sql


def test_a_claim_of_one_place_is_not_sorted(stage: Stage):
    assert not any("B-TREE" in step for step in explained(stage, sqlite.READY, 1))


def test_a_line_in_front_of_a_pool_is_not_sorted(stage: Stage):
    fill(stage)
    assert not any("B-TREE" in step for step in explained(stage, pools.LINE))


def test_the_check_of_plans_can_fail(stage: Stage):
    stage.write("DROP INDEX run_wait")
    assert scans(explained(stage, promotion.WAITERS)) != []
