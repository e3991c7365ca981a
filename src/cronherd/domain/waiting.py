"""What a waiting run waits for, from the key on which it is parked."""

from dataclasses import dataclass
from enum import StrEnum

from cronherd.domain.place import shown_place
from cronherd.domain.pool import read_uses
from cronherd.domain.run import Run


class WaitsFor(StrEnum):
    """The kinds of things."""

    PERMIT = "permit"
    POOL = "pool"
    ROLLING = "rolling"
    NODE = "node"
    RATE = "rate"


WAITS_WORDS = {
    WaitsFor.PERMIT: "an end of the other runs of its job",
    WaitsFor.POOL: "permits of a pool",
    WaitsFor.ROLLING: "other nodes, of which only so many run the job at once",
    WaitsFor.NODE: "a node that fits",
    WaitsFor.RATE: "its turn: so many of the past start at a time",
}
_KINDS = {
    "p": WaitsFor.POOL,
    "r": WaitsFor.ROLLING,
    "@": WaitsFor.NODE,
    "~": WaitsFor.RATE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """`name`: of the pool, or what the node must have; `permits`: how many it wants of a pool."""

    kind: WaitsFor
    name: str = ""
    permits: int = 1

    @property
    def text(self) -> str:
        """In words for people."""
        if self.kind is WaitsFor.POOL:
            some = "a permit" if self.permits == 1 else f"{self.permits} permits"
            return f"{some} of the pool {self.name}"
        if self.kind is WaitsFor.NODE and self.name:
            return f"a node with {self.name}"
        return WAITS_WORDS[self.kind]


def waiting_for(run: Run) -> Waiting | None:
    """None for a run that is not parked on anything."""
    key = run.wait_key
    if key is None:
        return None
    kind = _KINDS.get(key[:1], WaitsFor.PERMIT)
    if kind is WaitsFor.POOL:
        permits = next((use.permits for use in read_uses(run.pools) if use.key == key), 1)
        return Waiting(kind=kind, name=key[1:], permits=permits)
    return Waiting(kind=kind, name=shown_place(key[1:]) if kind is WaitsFor.NODE else "")


def waits_for_others(run: Run) -> bool:
    """Whether it goes on when other runs have ended."""
    waiting = waiting_for(run)
    others = {WaitsFor.PERMIT, WaitsFor.POOL, WaitsFor.ROLLING}
    return waiting is not None and waiting.kind in others
