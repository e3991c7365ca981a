"""Runs the product with one known bug in it: `python plant.py BUG <arguments of cronherd>`.

The product has no hooks for this: its own functions are replaced here, before its main is called.
A bug that no longer fits what it replaces raises at once, so that it cannot rot into a pass.
"""

import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any


def no_cas() -> None:
    """Due rows are neither locked nor advanced by compare-and-set.

    The unique keys of runs and of the ledger still stand, and turn most of it into aborts. So
    nodes take their time between the look at due rows and the look at permits: what one of them
    has fired meanwhile the next one skips.
    """
    from cronherd.store import mysql, postgres  # noqa: PLC0415

    _rewrite(postgres, "DUE", "FOR UPDATE SKIP LOCKED", "")
    _rewrite(mysql, "DUE", "FOR UPDATE SKIP LOCKED", "")
    _rewrite(
        postgres,
        "ADVANCE",
        "AND d.next_us = v.seen_us AND d.version = v.version\nAND v.last_us > d.last_slot_us",
        "",
    )
    _rewrite(
        mysql,
        "ADVANCE",
        "WHERE d.next_us = v.seen_us AND d.version = v.version AND v.last_us > d.last_slot_us",
        "",
    )
    _hesitate(HESITATE_S)


HESITATE_S = 0.12


def _hesitate(seconds: float) -> None:
    """At most so long between the look at due rows and the look at permits."""
    from cronherd.store import permits  # noqa: PLC0415

    plain: Callable[..., Any] = permits.read_gates

    def read_gates(*arguments: Any) -> Any:
        threading.Event().wait(random.uniform(0, seconds))
        return plain(*arguments)

    _replace(permits, "read_gates", read_gates)


def blind_retry() -> None:
    """A batch whose COMMIT got no answer is simply inserted once more, with new ids."""
    from cronherd.domain.errors import Unavailable  # noqa: PLC0415
    from cronherd.store import firing, sqlstore  # noqa: PLC0415

    plain, plain_row = firing.fire, firing.run_row

    def run_row(*arguments: Any) -> tuple[object, ...]:
        row = plain_row(*arguments)
        return (*row[:3], f"{row[3]}:{random.getrandbits(40):x}", *row[4:])

    @contextmanager
    def fire(db: Any, *arguments: Any) -> Iterator[Any]:
        told: list[Any] = []
        with ExitStack() as stack:
            batch: Any = stack.enter_context(plain(db, *arguments))
            commit = batch.commit

            def noted(plans: Any, offer: Any) -> Any:
                told.extend(plans)
                return commit(plans, offer)

            batch.commit = noted
            yield batch
            try:
                stack.close()
            except Unavailable:
                with db.write() as connection:
                    batch._connection = connection
                    batch._insert_runs(told, None)
                raise

    _replace(firing, "run_row", run_row)
    _replace(sqlstore, "fire", fire)


def node_clock() -> None:
    """The node's own wall clock decides what is due."""
    from cronherd.store import mysql, postgres  # noqa: PLC0415

    for connection in (postgres.PostgresConnection, mysql.MysqlConnection):
        _clock_of_the_node(connection)


def _clock_of_the_node(connection: type) -> None:
    plain: Callable[[Any, str], str] = connection._text  # type: ignore[attr-defined]

    def text(link: Any, sql: str) -> str:
        return plain(link, sql.replace("now_us()", f"({time.time_ns() // 1000})"))

    _replace(connection, "_text", text)


def no_fence() -> None:
    """A report counts whatever token it carries."""
    from cronherd.store import recording  # noqa: PLC0415
    from cronherd.store.database import fetch  # noqa: PLC0415

    def lock(
        self: Any, connection: Any, told: dict[Any, set[str]], endings: Sequence[Any]
    ) -> dict[Any, Any]:
        del self
        recording.lock_dues(connection, endings)
        rows = fetch(connection, recording.LIVE, (sorted(told),))
        return {row[0]: (row[0], min(told[row[0]]), *row[2:]) for row in rows}

    _replace(recording.RecordRows, "lock", lock)


def eternal_lease() -> None:
    """A silent node keeps for ever what it holds."""
    _replace_verb("take_over", lambda node, endings, *, judged: None)


def no_gate() -> None:
    """Permits are taken without a look at who holds them, and without the lock's order."""
    from cronherd.domain.admission import Gate  # noqa: PLC0415
    from cronherd.store import permits  # noqa: PLC0415

    plain = permits.take

    def read_gates(connection: Any, jobs: Any, now_us: int) -> dict[str, Gate]:
        return {job_id: Gate() for job_id in jobs}

    def take(connection: Any, rows: Sequence[Any]) -> None:
        # Any number: the primary key would turn an honest mistake into an abort.
        plain(connection, [(row[0], random.getrandbits(30), row[2]) for row in rows])

    _replace(permits, "read_gates", read_gates)
    _replace(permits, "take", take)


def no_pool_lock() -> None:
    """Permits of pools are taken without a lock, and without a look at who holds them."""
    from cronherd.store import permits, pools  # noqa: PLC0415

    _rewrite(pools, "LOCK_GATES", "/*lock*/", "")
    _rewrite(pools, "TAKEN", "WHERE gkey IN ?", "WHERE gkey IN ? AND 1 = 0")
    plain = permits.take

    def take(connection: Any, rows: Sequence[Any]) -> None:
        # Any number, as above, and only of pools.
        wild = [
            row if str(row[0]).startswith("j") else (row[0], random.getrandbits(30), row[2])
            for row in rows
        ]
        plain(connection, wild)

    _replace(permits, "take", take)


def freed_twice() -> None:
    """What a run holds of pools is given back when it starts, and at its end once more."""
    from cronherd.store import permits, recording  # noqa: PLC0415

    plain = recording.RecordRows._add_starts

    def add_starts(self: Any, connection: Any, *arguments: Any) -> None:
        plain(self, connection, *arguments)
        live = arguments[2]
        permits.free_pools(connection, sorted(live))

    _replace(recording.RecordRows, "_add_starts", add_starts)


def reaper_keeps() -> None:
    """Who takes over the runs of a silent node leaves their permits of pools where they are."""
    from cronherd.store import permits, takeover  # noqa: PLC0415

    plain, plain_end = permits.free, takeover.TakeoverRows._end
    reaping = threading.local()

    def free(connection: Any, run_ids: Any) -> None:
        if getattr(reaping, "now", False):
            from cronherd.store.database import one  # noqa: PLC0415

            one(connection, permits.FREE_OWN, (list(run_ids),))
        else:
            plain(connection, run_ids)

    def end(self: Any, connection: Any, endings: Sequence[Any]) -> Any:
        reaping.now = True
        try:
            return plain_end(self, connection, endings)
        finally:
            reaping.now = False

    _replace(permits, "free", free)
    _replace(takeover.TakeoverRows, "_end", end)


def no_sweep() -> None:
    """Nobody looks for what was missed, or for attempts whose time has come."""
    _replace_verb("sweep", list)


BUGS = {
    bug.__name__: bug
    for bug in (
        no_cas,
        blind_retry,
        node_clock,
        no_fence,
        eternal_lease,
        no_gate,
        no_pool_lock,
        freed_twice,
        reaper_keeps,
        no_sweep,
    )
}


def _replace_verb(name: str, verb: object) -> None:
    """One verb of the contract, in every store that is made."""
    from cronherd.store.sqlstore import SqlStore  # noqa: PLC0415

    plain = SqlStore.__init__

    def init(store: Any, *arguments: Any) -> None:
        plain(store, *arguments)
        _replace(store, name, verb)

    _replace(SqlStore, "__init__", init)


def _replace(owner: Any, name: str, value: object) -> None:
    if not hasattr(owner, name):
        raise LookupError(f"{owner} has no {name} any more: plant this bug anew")
    setattr(owner, name, value)


def _rewrite(module: Any, name: str, old: str, new: str) -> None:
    text: str = getattr(module, name)
    if old not in text:
        raise LookupError(f"{module.__name__}.{name} reads otherwise now: plant this bug anew")
    setattr(module, name, text.replace(old, new))


def main() -> None:
    BUGS[sys.argv.pop(1)]()
    from cronherd.__main__ import main as run  # noqa: PLC0415

    run()


if __name__ == "__main__":
    # The torture's own folder must not lend its modules to the product.
    del sys.path[0]
    main()
