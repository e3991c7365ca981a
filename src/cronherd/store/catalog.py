"""The contract `Catalog`: what people keep and look at, and what they do to it.

Atomicity, order and re-sending are as in the contract of the line, base.py.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from cronherd.domain.alert import ChannelName, PostState
from cronherd.domain.audit import Told
from cronherd.domain.event import Event, EventKind
from cronherd.domain.node import Node
from cronherd.domain.pulse import Pulse, Watched
from cronherd.domain.receipt import Delivered
from cronherd.domain.run import Attempt, Outcome, OutputPiece, Run
from cronherd.domain.search import JobSearch
from cronherd.domain.secret import Secret
from cronherd.domain.standing import Standing
from cronherd.store.base import Ending, Recorded
from cronherd.store.facts import (
    Application,
    Backfilled,
    Ended,
    EventFilter,
    JobPlan,
    JobRank,
    JobRow,
    JobWrite,
    Kept,
    LedgerFilter,
    LedgerRow,
    Mark,
    PoolRow,
    RunFilter,
    RunSpan,
)
from cronherd.store.lockbook import LockBook
from cronherd.store.people import People
from cronherd.store.postbox import Post


class Catalog(People, LockBook, Protocol):
    """What people keep and look at."""

    def one_view(self) -> AbstractContextManager[object]:
        """All that this thread reads within is as it was at one instant, and read faster so."""
        ...

    def save_jobs(self, writes: Sequence[JobWrite], actor: str) -> None:
        """All or nothing. Locks job_due, then the jobs' waiting runs, which are held and end.

        Raises Conflict when a version is no longer the one that was read or a name is taken.
        """
        ...

    def kept_jobs(self, source: str, keys: Sequence[str]) -> Kept:
        """All jobs of a source, and those of these keys, also deleted ones, at one instant."""
        ...

    def apply_jobs(self, application: Application, actor: str) -> list[str]:
        """Save, delete and settle, all or nothing; the runs of deleted jobs that were first.

        Raises Conflict `plan_outdated` when the source was applied since that turn, or one of the
        jobs is no longer as it was seen.
        """
        ...

    def set_enabled(self, job_id: str, actor: str, *, enabled: bool) -> list[str]:
        """Disable: nothing starts afterwards. Enable: the gap becomes one ledger row.

        The runs that were first: claimed or running when it was disabled.
        """
        ...

    def pause_job(self, job_id: str, until_us: int, actor: str) -> list[str]:
        """Nothing starts afterwards until then (FOREVER: until resumed); the runs that were first.

        Slots meanwhile become ledger rows; runs that have not started are held.
        """
        ...

    def resume_job(self, job_id: str, actor: str) -> None:
        """End a pause: the slots it swallowed become one ledger row, held runs go on."""
        ...

    def skip_next(self, job_id: str, count: int, actor: str) -> list[int]:
        """Skip so many more slots: they become ledger rows. All that are skipped now, in order.

        Raises Conflict when there are not so many, or no next slot is known.
        """
        ...

    def undo_skip(self, job_id: str, actor: str) -> None:
        """Let the slots run again that were to be skipped; nothing when there are none."""
        ...

    def backfill(
        self, job_id: str, runs: Sequence[tuple[str, int]], actor: str
    ) -> list[Backfilled]:
        """A run for each slot of the past, by (new run id, slot), that has none.

        They wait for their permits as all runs do. Raises Conflict for a slot still to come.
        """
        ...

    def delete_job(self, job_id: str, actor: str) -> list[str]:
        """A tombstone: the same name revives the same job and its watermark.

        The runs that were first: claimed or running when it was deleted.
        """
        ...

    def set_drained(self, node_id: str, actor: str, *, drained: bool) -> None:
        """A drained node starts nothing more; it learns so with its next beat. Raises NotFound."""
        ...

    def remove_node(self, node: Node, endings: Sequence[Ending], actor: str) -> Recorded:
        """Forget a node that is not alive and end the runs it held, on a person's word.

        Raises Conflict while its lease runs or when it moved since it was read, and when it
        holds a run that `endings` does not name.
        """
        ...

    def set_hold(self, actor: str, *, hold: bool) -> None:
        """Maintenance of the whole fleet: while it holds nothing fires and nobody is judged."""
        ...

    def find_job(self, name: str, *, deleted: bool = False) -> JobRow:
        """By name in any case, or by id. Raises NotFound with close names as its hint.

        `deleted`: one that was deleted counts too, since its runs are kept.
        """
        ...

    def jobs_by_key(self, keys: Sequence[str]) -> dict[str, JobRow]:
        """Those of the named jobs that exist."""
        ...

    def jobs(self, after: str | None = None, limit: int = 500) -> list[JobRow]:
        """In the order of their keys, after this key."""
        ...

    def job_names(self, standing: Standing, limit: int) -> list[str]:
        """Of the jobs that stand so the first so many, in the order of their keys."""
        ...

    def job_page(
        self, search: JobSearch, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        """In the order of their keys, after this key; and the key to go on after, or None.

        `search.node` is not looked at. A page may hold fewer than asked for and not be the last.
        """
        ...

    def job_ranks(self, search: JobSearch, most: int) -> list[JobRank] | None:
        """What all these jobs are put in order by; None when there may be more than so many."""
        ...

    def next_jobs(self, limit: int, after: tuple[int, str] | None = None) -> list[JobRow]:
        """Those with a next slot, the nearest first, after one of this instant and this id."""
        ...

    def job_plans(self, limit: int) -> list[JobPlan]:
        """The first of `next_jobs`, with what their next slots depend on."""
        ...

    def creation(self, job_id: str, request: str) -> str | None:
        """The id of the write (JobWrite) that made this job by this request, if one did."""
        ...

    def versions(self, job_id: str) -> list[tuple[int, Mapping[str, object], str, int]]:
        """(version, spec, by, at_us), newest first."""
        ...

    def find_run(self, prefix: str) -> Run:
        """By any unique prefix of its id, six digits or more. Raises NotFound."""
        ...

    def runs(self, which: RunFilter) -> list[Run]:
        """Live and finished runs, newest first."""
        ...

    def run_page(self, which: RunFilter) -> tuple[list[Run], str | None]:
        """As `runs`, and the id to go on before, or None.

        A page may hold fewer than asked for and not be the last. `search.job` is not looked at,
        `search.silent` neither.
        """
        ...

    def last_ended(self, job_ids: Sequence[str], count: int) -> list[Ended]:
        """The last finished runs of each of these jobs, at most so many of each."""
        ...

    def ended_since(
        self, from_us: int, step_us: int, limit: int
    ) -> tuple[list[tuple[int, Outcome, int]], int | None]:
        """How runs that were made since then ended: (begin of a step, outcome, how many).

        Steps are whole multiples of `step_us`. Of the newest so many; the instant is when the
        oldest of them was made, None when there were fewer.
        """
        ...

    def run_spans(
        self, job_id: str | None, before_us: int, limit: int, *, running: bool = False
    ) -> list[RunSpan]:
        """Live and finished runs made before an instant, newest first; or only those that run."""
        ...

    def attempts(self, run_id: str) -> list[Attempt]:
        """The attempts of a run that have ended, in order."""
        ...

    def output(
        self, run_id: str, attempt: int | None, after_seq: int, limit: int
    ) -> list[OutputPiece]:
        """Chunks in order after (attempt, seq); attempt None: of every attempt."""
        ...

    def told(self, run_id: str, attempt: int) -> bytes:
        """What is kept of what a task told of itself (domain/telling.py), in order."""
        ...

    def ledger(self, job_id: str | None, limit: int) -> list[LedgerRow]:
        """Newest first."""
        ...

    def ledger_page(self, which: LedgerFilter) -> tuple[list[LedgerRow], Mark | None]:
        """Newest first; and where to go on, or None."""
        ...

    def account(self, job_id: str, after_us: int, until_us: int) -> tuple[list[int], list[Told]]:
        """The slots in (after, until] that became runs, and the ledger rows that touch it.

        Backfilled runs are left out: their slots had an outcome before.
        """
        ...

    def events(self, limit: int, after_us: int = 0) -> list[Event]:
        """Newest first."""
        ...

    def event_page(self, which: EventFilter) -> tuple[list[Event], Mark | None]:
        """Newest first; and where to go on, or None."""
        ...

    def last_pause(self, job_name: str) -> Event | None:
        """The event of the newest pause of a job of that name; None when it was pruned."""
        ...

    def slot_runs(self, job_id: str, from_us: int, to_us: int, limit: int) -> list[Run]:
        """The runs of the slots from one instant to another, both included, in their order."""
        ...

    def slot_ledger(self, job_id: str, from_us: int, to_us: int, limit: int) -> list[LedgerRow]:
        """The rows that cover any instant from one to another, recorded last first."""
        ...

    def last_slot(self, job_id: str) -> int | None:
        """The newest slot that became a run or stands in the ledger."""
        ...

    def ended_last(self, job_id: str, after_us: int, until_us: int) -> Run | None:
        """The run of this job that ended last within (after, until]."""
        ...

    def event_before(
        self, subjects: Sequence[str], kinds: Sequence[EventKind], at_us: int
    ) -> Event | None:
        """The newest of these kinds about any of these, at that instant or before."""
        ...

    def nodes(self) -> list[Node]:
        """All registered nodes, by name."""
        ...

    def secrets(self) -> list[Secret]:
        """By name, without their values."""
        ...

    def sealed(self, names: Sequence[str] | None = None) -> dict[str, bytes]:
        """Those of these names that exist, or all, as they were sealed; one statement."""
        ...

    def set_secret(self, name: str, sealed: bytes, actor: str) -> Secret:
        """Make it, or put this into its place; whoever was last counts."""
        ...

    def remove_secret(self, name: str, actor: str) -> None:
        """Forget it, whoever uses it. Raises NotFound."""
        ...

    def reseal_secrets(self, changed: Mapping[str, tuple[bytes, bytes]], actor: str) -> int:
        """By name what was read and what it becomes: how many were still as they were read.

        Who set them and when stays.
        """
        ...

    def secret_users(self, name: str) -> list[str]:
        """The names of the jobs whose definition asks for it, deleted ones left out."""
        ...

    def pools(self) -> list[PoolRow]:
        """By name, with what is held and who waits, in numbers."""
        ...

    def holders(self, key: str) -> list[tuple[Run, int]]:
        """The runs that hold permits of this gate, each with how many."""
        ...

    def pool_users(self, name: str) -> list[str]:
        """The names of the jobs that ask for it, deleted ones left out."""
        ...

    def set_pool(self, name: str, capacity: int, actor: str) -> None:
        """Make it, or change how many permits it has; whoever holds some keeps them."""
        ...

    def remove_pool(self, name: str, actor: str) -> None:
        """Forget it. Raises NotFound; Conflict while a job asks for it or a live run does."""
        ...

    def posts(self, states: Sequence[PostState], limit: int) -> list[Post]:
        """Messages of the outbox of these states, or of all, newest first."""
        ...

    def post_page(
        self, states: Sequence[PostState], limit: int, mark: Mark | None
    ) -> tuple[list[Post], Mark | None]:
        """The same from a mark on; and where to go on, or None."""
        ...

    def post_counts(self) -> Mapping[str, int]:
        """How many messages there are, by state."""
        ...

    def add_test(self, channel: ChannelName, target: str, mark: str) -> Post:
        """A message that only says that messages arrive; `mark` is a new id."""
        ...

    def retry_posts(self) -> int:
        """What was given up, or waits for its next try, is due now; how many these are."""
        ...

    def deliver(self, run_id: str, attempt: int, token: str, worker: str) -> Delivered:
        """Take an attempt that a job server delivered: once, for whoever holds this token."""
        ...

    def delivered(self, run_id: str, attempt: int, token: str, code: int | None) -> bool:
        """The worker with this token lives, or its command ended; False: nobody wants it now."""
        ...

    def ended_counts(self) -> Mapping[str, int]:
        """How many of the newest finished runs ended how, as `runs_OUTCOME`; of each so many."""
        ...

    def standings(self) -> Mapping[str, int]:
        """How many jobs stand how (domain/standing.py), and `jobs`: how many there are."""
        ...

    def pulse(self) -> Pulse:
        """So little that it may be read every second."""
        ...

    def runs_by_id(self, ids: Sequence[str]) -> list[Run]:
        """Those of these runs that there are, in any order."""
        ...

    def fresh_output(self, watched: Sequence[Watched]) -> set[str]:
        """The runs that have written more than was read of them."""
        ...

    def meta(self) -> Mapping[str, str]:
        """Schema version, fleet time zone, the database's own incarnation."""
        ...
