"""The contract `Catalog`: what people keep and look at, and what they do to it.

Atomicity, order and re-sending are as in the contract of the line, base.py.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from cronherd.domain.event import Event
from cronherd.domain.node import Node
from cronherd.domain.run import Attempt, OutputPiece, Run
from cronherd.domain.secret import Secret
from cronherd.store.base import (
    Ending,
    JobRow,
    JobWrite,
    LedgerRow,
    Recorded,
    RunFilter,
)


class Catalog(Protocol):
    """What people keep and look at."""

    def save_jobs(self, writes: Sequence[JobWrite], actor: str) -> None:
        """All or nothing. Locks job_due, then the jobs' waiting runs, which are held and end.

        Raises Conflict when a version is no longer the one that was read or a name is taken.
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

    def next_jobs(self, limit: int) -> list[JobRow]:
        """Those with a next slot, the nearest first."""
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

    def events(self, limit: int, after_us: int = 0) -> list[Event]:
        """Newest first."""
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

    def counts(self) -> Mapping[str, int]:
        """Jobs (enabled, disabled), runs by state, for `status`."""
        ...

    def meta(self) -> Mapping[str, str]:
        """Schema version, fleet time zone, the database's own incarnation."""
        ...
