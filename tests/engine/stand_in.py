"""An engine over a real store with a supervisor that only says what a test puts into its mouth."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from cronherd.domain.ident import make_id
from cronherd.domain.job import build_job
from cronherd.domain.node import Node
from cronherd.domain.run import Cause
from cronherd.engine.accounts import Account
from cronherd.engine.clock import FakeClock
from cronherd.engine.finisher import Finisher
from cronherd.engine.live import LiveRuns
from cronherd.engine.reaper import Reaper
from cronherd.engine.worker import Worker
from cronherd.store.base import Claim
from cronherd.store.database import Database
from cronherd.store.facts import JobWrite
from cronherd.store.sqlite import SqliteDialect
from cronherd.store.sqlstore import SqlStore
from cronherd.supervisor.base import Ended, Report, Start, Started, SupervisorGone
from tests.store.backends import migrated

LEASE_US = 3_600_000_000


class FakeSupervisor:
    """base.Supervisor from memory: what it was told, and what it is to say."""

    def __init__(self, clock: FakeClock, *, replay_until: int = 0) -> None:
        self.incarnation = "life"
        self.replay_until = replay_until
        self.live: frozenset[tuple[str, int, str]] = frozenset()
        self.unfenced = False
        self.started: list[Start] = []
        self.cancelled: list[tuple[str, int]] = []
        self.renewals: list[int | None] = []
        self.acked = 0
        self.spooled = 0
        self.refuses = ""
        self.lost = False
        self._clock = clock
        self._position = 0
        self._said: list[tuple[Report, int]] = []

    def say(self, report: Report, position: int) -> None:
        self._said.append((report, position))

    def start(self, starts: Sequence[Start]) -> None:
        if self.refuses and any(start.run_id == self.refuses for start in starts):
            raise ValueError("its stdin is too long")
        self.started += starts

    def cancel(self, run_id: str, attempt: int) -> None:
        self.cancelled.append((run_id, attempt))

    def renewed(self, boot_us: int | None) -> None:
        self.renewals.append(boot_us)

    def reports(self, timeout_s: float) -> tuple[list[Report], int]:
        if self._said:
            report, self._position = self._said.pop(0)
            return [report], self._position
        if self.lost:
            raise SupervisorGone("it died")
        self._clock.advance(timeout_s + 0.001)
        return [], self._position

    def ack(self, position: int) -> None:
        self.acked = position

    def spool_bytes(self) -> int:
        return self.spooled

    def close(self) -> None:
        self.lost = True

    def shutdown(self) -> None:
        self.lost = True


class Rig:
    """One node's store, clock, worker and finisher around such a supervisor.

    After the test `close_all` gives back the files of those that were made.
    """

    made: ClassVar[list["Rig"]] = []

    def __init__(self, folder: Path, capacity: int = 4, replay_until: int = 0) -> None:
        self.clock = FakeClock()
        self._ids = 0
        path = shutil.copyfile(migrated("UTC"), folder / "cronherd.db")
        db = Database(SqliteDialect(path, self.clock.now_us))
        self.store = SqlStore(db, self.new_id)
        self.made.append(self)
        self.node = Node(
            id=self.new_id(), name="one", incarnation="i", boot_id="b", capacity=capacity
        )
        self.store.register_node(self.node, LEASE_US)
        self.begin(replay_until)

    @classmethod
    def close_all(cls) -> None:
        while cls.made:
            cls.made.pop().store.close()

    def begin(self, replay_until: int = 0) -> None:
        """A new life: nothing of the last one but what is stored."""
        self.supervisor = FakeSupervisor(self.clock, replay_until=replay_until)
        self.live = LiveRuns(self.node.capacity)
        self.finisher = Finisher(
            self.store, self.clock, self.live, self.supervisor,
            chance=lambda: 0.5, freed=lambda: None,
        )  # fmt: skip
        self.worker = Worker(
            self.store, self.clock, self.node, self.live, self.supervisor,
            Account(user="me", home="/"), new_id=self.new_id, not_started=self.finisher.end,
        )  # fmt: skip
        self.reaper = Reaper(self.store, self.clock, self.live, self.supervisor, self.finisher)

    def new_id(self) -> str:
        self._ids += 1
        return make_id(self.clock.now_us(), self._ids.to_bytes(10, "big"))

    def request(self, name: str, **more: Any) -> str:
        """A new job of that name, and a run of it that somebody asked for."""
        job = build_job({"name": name, "command": "true", **more})
        job_id, run_id = self.new_id(), self.new_id()
        write = JobWrite(id=job_id, job=job, enabled=True, source="test")
        self.store.save_jobs([write], "test")
        self.store.request_run(job_id, run_id, f"m:{name}", Cause.MANUAL, force=False)
        return run_id

    def claim(self) -> Claim:
        """Claim one run as a life does that is killed before it hands it over."""
        (claim,) = self.store.claim(self.node, self.new_id(), 1)
        return claim

    def state(self, run_id: str) -> str:
        run = self.store.find_run(run_id)
        return run.outcome.value if run.outcome else run.state.value


def started(claim: Claim) -> Started:
    return Started(
        run_id=claim.run_id, attempt=claim.attempt, token=claim.token, pid=7, at_us=5_000_000
    )


def ended(claim: Claim, *, exit_code: int | None = 0, error: str = "") -> Ended:
    return Ended(
        run_id=claim.run_id, attempt=claim.attempt, token=claim.token,
        started_us=None if error else 5_000_000, ended_us=6_000_000,
        exit_code=None if error else exit_code, signal=None, killed_by="", error=error,
        error_text=error, dropped=0, cpu_us=0, peak_rss_bytes=0,
    )  # fmt: skip


def void(claim: Claim) -> Ended:
    return ended(claim, error="void")
