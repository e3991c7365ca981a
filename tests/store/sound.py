"""What is true of the tables at every instant between two transactions, whatever was raced."""

from tests.store.stage import Stage

PERMITS = "SELECT gkey, n, run_id FROM permit"
HOLDERS = "SELECT excl_key, excl_n, id FROM run WHERE excl_key IS NOT NULL"
STARTED = {"claimed", "running"}


def assert_sound(stage: Stage, most: int | None = None) -> None:
    """No permit leaks, no run is twice, no slot is twice; `most` runs of each job are going."""
    assert sorted(stage.fetch(PERMITS)) == sorted(stage.fetch(HOLDERS)), "permits and holders"
    live = stage.fetch("SELECT id, job_id, dedup, state, wait_key, token, node_id, excl_n FROM run")
    past = stage.fetch("SELECT id, job_id, dedup FROM run_history")
    ids = [row[0] for row in (*live, *past)]
    assert len(ids) == len(set(ids)), "a run is live and finished"
    keys = [(row[1], row[2]) for row in (*live, *past)]
    assert len(keys) == len(set(keys)), "a slot or a request has two runs"
    going: dict[bytes, int] = {}
    for _, job_id, _, state, wait_key, token, node_id, permit in live:
        assert (wait_key is not None) == (state == "waiting"), (state, wait_key)
        assert (token is not None) == (node_id is not None) == (state in STARTED), state
        assert permit is None or state not in {"waiting", "held"}
        going[job_id] = going.get(job_id, 0) + (state in STARTED)
    if most is not None:
        assert max(going.values(), default=0) <= most
