"""The runs this node holds right now, and so its free capacity."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager

from cronherd.domain.place import parse_place
from cronherd.store.base import Claim

Key = tuple[str, int]  # run id, attempt


class LiveRuns:
    """Claims by (run, attempt). Each takes a place, which the supervisor's last word frees.

    Scheduler and worker both ask the database for runs; each keeps the places it asks for, so
    that the two together never take more than the capacity.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        # A drained node takes nothing more; what it holds goes on.
        self.drained = False
        self._claims: dict[Key, Claim] = {}
        self._reserved = 0
        self._moves = 0
        self._changed = threading.Condition()

    def free(self) -> int:
        """How many more runs this node may take."""
        with self._changed:
            return self._free()

    @contextmanager
    def reserve(self, most: int) -> Iterator[int]:
        """Keep at most so many free places while runs are claimed and added inside."""
        with self._changed:
            room = min(most, self._free())
            self._reserved += room
            self._moves += 1
        try:
            yield room
        finally:
            with self._changed:
                self._reserved -= room

    def _free(self) -> int:
        if self.drained:
            return 0
        return max(0, self.capacity - len(self._claims) - self._reserved)

    def moves(self) -> int | None:
        """Counts whatever is done here; None while something is held or about to be."""
        with self._changed:
            return None if self._claims or self._reserved else self._moves

    def add(self, claims: Iterable[Claim]) -> None:
        """These runs are ours now."""
        with self._changed:
            self._moves += 1
            for claim in claims:
                self._claims[claim.run_id, claim.attempt] = claim

    def get(self, run_id: str, attempt: int) -> Claim | None:
        """The claim a report speaks of; None when the run is not (any more) ours."""
        return self._claims.get((run_id, attempt))  # one look at a dict needs no lock

    def remove(self, keys: Iterable[Key]) -> None:
        """Their ends are known."""
        with self._changed:
            for key in keys:
                self._claims.pop(key, None)
            self._changed.notify_all()

    def all(self) -> list[Claim]:
        """Everything we hold."""
        with self._changed:
            return list(self._claims.values())

    def capped(self) -> Mapping[str, int]:
        """Of jobs that limit how many of their runs a node has: how many are here."""
        with self._changed:
            places = [parse_place(c.job.place) for c in self._claims.values() if c.job.place]
        return Counter(place.capped for place in places if place.capped)

    def wait_empty(self, timeout_s: float) -> bool:
        """Wait until nothing is held; False when time is up."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._claims, timeout_s)


def count_runs(count: int) -> str:
    """A number of runs in a sentence."""
    return f"{count} run{'s' * (count != 1)}"
