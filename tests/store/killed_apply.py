"""Applies 300 jobs, a rename and a deletion, and is killed where the COMMIT would be."""

import os
import signal
import sys
from collections import Counter
from pathlib import Path

from cronherd.domain.ident import make_id
from cronherd.engine.clock import SystemClock
from cronherd.service import Service
from cronherd.store.database import Connection, Database, Dialect
from cronherd.store.mysql import MysqlDialect
from cronherd.store.postgres import PostgresDialect
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore

CLOCK = SystemClock()


def dialect_of(kind: str, target: str) -> Dialect:
    if kind == "sqlite":
        return SqliteDialect(Path(target), CLOCK.now_us)
    if kind == "postgresql":
        return PostgresDialect(target, CLOCK.boot_us)
    return MysqlDialect(target, CLOCK.boot_us)


def new_id() -> str:
    return make_id(CLOCK.now_us(), os.urandom(10))


def die(connection: Connection) -> None:
    del connection
    os.kill(os.getpid(), signal.SIGKILL)


def main(kind: str, target: str, source: str) -> None:
    dialect = dialect_of(kind, target)
    store = SqlStore(Database(dialect), new_id)
    service = Service(
        store, store, new_id=new_id, wake=lambda: None, pause=lambda: False, timezone="UTC"
    )
    jobs = [
        {"name": f"job {n}", "command": f"echo {n}", "schedule": "every 60s"} for n in range(300)
    ]
    jobs.append({"name": "newer", "command": "echo renamed", "schedule": "every 60s"})
    looked = service.apply_jobs(jobs, source, "ci", dry_run=True, prune=True)
    counts = Counter(change["change"] for change in looked["changes"])
    sys.stdout.write(" ".join(f"{count} {change}" for change, count in counts.items()))
    sys.stdout.flush()
    dialect.commit = die  # type: ignore[method-assign]
    service.apply_jobs(jobs, source, "ci", dry_run=False, prune=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
