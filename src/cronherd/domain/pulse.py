"""The pulse of a fleet: so little of it that it may be read every second, and what has changed."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What a look saw. Rows of runs are compared and never read.

    `live` and `past` hold the newest runs by id: (job id, what may change of it).
    """

    live: Mapping[str, tuple[str, object]]
    past: Mapping[str, tuple[str, object]]
    event: str | None
    nodes: frozenset[tuple[object, ...]]
    hold: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is not as it was: ids of runs and of their jobs."""

    runs: frozenset[str] = frozenset()
    jobs: frozenset[str] = frozenset()
    events: bool = False
    nodes: bool = False

    def __bool__(self) -> bool:
        return bool(self.runs) or self.events or self.nodes


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """How far somebody has read the output of a run."""

    run_id: str
    attempt: int = 1
    after: int = -1


def change_between(old: Pulse | None, new: Pulse) -> Change:
    """What changed from one look to the next; nothing is known of runs before the first."""
    if old is None:
        return Change(events=True, nodes=True)
    known = {**old.past, **old.live}
    runs = {run_id for run_id in old.live if run_id not in new.live}
    runs |= {run_id for run_id, row in new.live.items() if old.live.get(run_id) != row}
    oldest = min(map(_age, old.past), default="")
    # One that left the newest by others that came is not news, one older than they are neither.
    runs |= {
        run_id
        for run_id, row in new.past.items()
        if known.get(run_id) != row and (run_id in known or _age(run_id) > oldest)
    }
    rows = {**known, **new.past, **new.live}
    return Change(
        runs=frozenset(runs),
        jobs=frozenset(rows[run_id][0] for run_id in runs),
        events=old.event != new.event,
        nodes=(old.nodes, old.hold) != (new.nodes, new.hold),
    )


def _age(shown: str) -> str:
    """What orders ids by the instant they were made at: they are shown with the end first."""
    return shown[8:]
