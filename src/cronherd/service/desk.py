"""What every desk of the service works with, and the bounds that all of them keep."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from cronherd.domain.errors import Invalid
from cronherd.domain.run import Run, RunState
from cronherd.store.base import RunFilter, Store
from cronherd.store.catalog import Catalog
from cronherd.views import Json, run_view

PAGE_SIZE = 50
PAGE_LIMIT = 1_000  # more in one answer helps nobody and holds memory


class Waiter(Protocol):
    """Waits a little for something new; False when the service is closing."""

    def __call__(self) -> bool: ...


class Seals(Protocol):
    """Seals secrets where they are set, so that nobody below ever sees a value."""

    def begin(self) -> str | None:
        """Before the first secret of all: where a key was made, if one had to be."""
        ...

    def seal(self, name: str, value: str) -> bytes:
        """The value as it may be kept. Raises Unavailable without a key."""
        ...

    def reseal(self, name: str, sealed: bytes) -> bytes:
        """The same by the newest key. Raises Invalid when no key here opens it."""
        ...


class Desk:
    """The contracts below, and what only a process can do.

    `wake` tells the engine of this process, if there is one, that there is something to do;
    `new_id` makes ids; `pause` waits between two looks at a growing output.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        *,
        new_id: Callable[[], str],
        wake: Callable[[], None],
        pause: Waiter,
        timezone: str,
        defaults: Mapping[str, object] | None = None,
        seals: Seals | None = None,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._new_id = new_id
        self._wake = wake
        self._pause = pause
        self._timezone = timezone
        self._defaults = defaults or {}
        self._seals = seals

    def _run_views(self, runs: Sequence[Run]) -> list[Json]:
        """The runs as documents; nodes are looked at only when one of them is silent."""
        if not any(run.suspected for run in runs):
            return [run_view(run) for run in runs]
        now_us = self._store.now_us()
        leases = {node.name: node.lease_us for node in self._catalog.nodes()}
        return [run_view(run, leases.get(run.node or ""), now_us) for run in runs]

    def _running(self, which: RunFilter) -> Iterator[Json]:
        """All running ones among the runs, newest first; there is no state for silence."""
        which = replace(which, state=RunState.RUNNING, limit=PAGE_LIMIT)
        while True:
            runs = self._catalog.runs(which)
            yield from self._run_views(runs)
            if len(runs) < PAGE_LIMIT:
                return
            which = replace(which, before=runs[-1].id)

    def _run_view(self, run: Run) -> Json:
        return self._run_views([run])[0]


def checked_limit(limit: int) -> int:
    """The limit itself. Raises Invalid for one out of range."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise Invalid(f"a limit is between 1 and {PAGE_LIMIT}", code="bad_limit")
    return limit
