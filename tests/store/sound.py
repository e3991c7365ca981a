"""What is true of the tables at every instant between two transactions, whatever was raced."""

from collections import Counter
from typing import Any

from cronherd.domain.pool import is_pool_key, read_uses
from tests.store.stage import Stage

PERMITS = "SELECT gkey, n, run_id FROM permit WHERE until_us IS NULL"
HOLDERS = "SELECT excl_key, excl_n, id FROM run WHERE excl_key IS NOT NULL"
RESTING = "SELECT run_id FROM permit WHERE until_us IS NOT NULL"
LIVE = """
SELECT id, job_id, dedup, state, wait_key, token, node_id, excl_n, pools FROM run
"""
GATES = "SELECT gkey, capacity FROM gate"
STARTED = {"claimed", "running"}
PAST_POOLS = {"ready", *STARTED}


def assert_sound(
    stage: Stage, most: int | None = None, *, over: Counter[str] | None = None
) -> Counter[str]:
    """No permit leaks, no run is twice, no slot is twice; `most` runs of each job are going.

    `over`: what was held of each gate before, where a capacity may have been lowered since: that
    runs out, and never grows. How many are held of each gate now.
    """
    permits = stage.fetch(PERMITS)
    own = [row for row in permits if row[0].startswith("j")]
    assert sorted(own) == sorted(stage.fetch(HOLDERS)), "permits and holders"
    live = stage.fetch(LIVE)
    past = stage.fetch("SELECT id, job_id, dedup FROM run_history")
    ids = [row[0] for row in (*live, *past)]
    assert len(ids) == len(set(ids)), "a run is live and finished"
    keys = [(row[1], row[2]) for row in (*live, *past)]
    assert len(keys) == len(set(keys)), "a slot or a request has two runs"
    assert not {row[0] for row in stage.fetch(RESTING)} & {row[0] for row in live}
    going: dict[bytes, int] = {}
    for _, job_id, _, state, wait_key, token, node_id, permit, _ in live:
        assert (wait_key is not None) == (state == "waiting"), (state, wait_key)
        assert (token is not None) == (node_id is not None) == (state in STARTED), state
        assert permit is None or state not in {"waiting", "held"} or is_pool_key(wait_key)
        going[job_id] = going.get(job_id, 0) + (state in STARTED)
    if most is not None:
        assert max(going.values(), default=0) <= most
    _all_or_nothing(live, [row for row in permits if not row[0].startswith("j")])
    return _within_capacity(stage, permits, over)


def _all_or_nothing(live: list[tuple[Any, ...]], permits: list[tuple[str, int, bytes]]) -> None:
    """Who may start has all that it asks for, who waits has nothing, and nobody else has any."""
    held = {(run_id, key): 0 for key, _, run_id in permits}
    for key, _, run_id in permits:
        held[run_id, key] += 1
    wanted = {
        (row[0], use.key): use.permits
        for row in live
        if row[3] in PAST_POOLS
        for use in read_uses(row[8])
    }
    assert held == wanted, "permits of pools"
    for row in live:
        if is_pool_key(row[4]):
            assert row[4] in {use.key for use in read_uses(row[8])}, "it waits elsewhere"


def _within_capacity(
    stage: Stage, permits: list[tuple[str, int, bytes]], over: Counter[str] | None
) -> Counter[str]:
    held = Counter(row[0] for row in permits if not row[0].startswith("j"))
    capacity = dict(stage.fetch(GATES))
    for key, count in held.items():
        assert count <= max(capacity.get(key, 0), (over or held)[key] if over else 0), key
    return held
