"""Pools: named permits that runs of any job share, and the line in front of them.

Pure: the caller has read who holds what under the locks of the gates, and writes the answer in the
same transaction. A run gets all that it asks for or nothing. Whoever comes first goes first: a run
behind does not pass one that wants more than is free at the moment.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from cronherd.domain.errors import Invalid, NotFound

NAME = re.compile(r"[a-z0-9](?:[a-z0-9_.-]{0,34}[a-z0-9])?")
MOST_POOLS = 8
MOST_PERMITS = 10_000

Who = TypeVar("Who")


@dataclass(frozen=True, slots=True, order=True)
class PoolUse:
    """What a run asks of one gate: the gate's key and how many of its permits."""

    key: str
    permits: int = 1

    @property
    def name(self) -> str:
        """The name of the pool, as people wrote it."""
        return self.key[1:]


@dataclass(slots=True, kw_only=True)
class Room:
    """A gate as it is under its lock: the numbers of its permits that are held."""

    capacity: int
    used: set[int] = field(default_factory=set)

    @property
    def free(self) -> int:
        """How many are free; a lowered capacity lets those beyond it run out."""
        return max(0, self.capacity - len(self.used))

    def take(self, count: int) -> list[int]:
        """The smallest free numbers, now taken."""
        numbers = [n for n in range(self.capacity) if n not in self.used][:count]
        self.used.update(numbers)
        return numbers


@dataclass(slots=True)
class Admitted(Generic[Who]):
    """Who goes on with which permits (key, number), and who waits for another gate instead.

    `never`: who asks for more than there is, or of what there is not; it stays where it is.
    """

    taken: list[tuple[Who, list[tuple[str, int]]]] = field(default_factory=list)
    moved: list[tuple[Who, str]] = field(default_factory=list)
    never: list[Who] = field(default_factory=list)


def pool_key(name: str) -> str:
    """The key of a pool's gate."""
    return f"p{name}"


def rolling_key(job_id: str) -> str:
    """The key of the gate that limits on how many nodes a job runs at once."""
    return f"r{job_id}"


def is_pool_key(key: str | None) -> bool:
    """Whether a run that waits on this key has passed its job's own limit."""
    return key is not None and key[:1] in {"p", "r"}


def let_in(
    key: str, line: Sequence[tuple[Who, Sequence[PoolUse]]], rooms: Mapping[str, Room]
) -> Admitted[Who]:
    """Who of the line in front of `key` goes on, in its order.

    One that asks for more than there ever is, or for a gate that does not exist, stays where it
    is and stops nobody. One that lacks another gate's permits waits there, holding nothing here.
    """
    answer: Admitted[Who] = Admitted()
    for who, uses in line:
        if any(use.key not in rooms or use.permits > rooms[use.key].capacity for use in uses):
            answer.never.append(who)
            continue
        lacking = [use.key for use in uses if use.permits > rooms[use.key].free]
        if key in lacking:
            break
        if lacking:
            answer.moved.append((who, lacking[0]))
            continue
        held = [(use.key, n) for use in uses for n in rooms[use.key].take(use.permits)]
        answer.taken.append((who, held))
    return answer


def spell_uses(uses: Sequence[PoolUse]) -> str | None:
    """As a run's row has them; None for a run that asks for nothing."""
    return " ".join(use.key + f":{use.permits}" * (use.permits > 1) for use in uses) or None


def read_uses(text: str | None) -> tuple[PoolUse, ...]:
    """What `spell_uses` spelled."""
    pairs = (part.partition(":") for part in (text or "").split())
    return tuple(PoolUse(key, int(permits or 1)) for key, _, permits in pairs)


def read_pool_name(name: str) -> str:
    """The name of a pool in small letters. Raises Invalid."""
    if not NAME.fullmatch(name.lower()):
        raise Invalid(
            f"'{name[:60]}' cannot be a pool's name",
            code="bad_pool",
            hint="up to 36 letters, digits and _ . - between them",
        )
    return name.lower()


def check_permits(permits: int) -> int:
    """How many permits a pool has. Raises Invalid."""
    if not 0 <= permits <= MOST_PERMITS:
        text = f"a pool has 0 to {MOST_PERMITS} permits"
        raise Invalid(text, code="bad_pool", hint="0 closes it: nothing that needs it starts")
    return permits


def no_such_pool(name: str) -> NotFound:
    """The error for a name that no pool has."""
    hint = "'cronherd pool list' shows them all"
    return NotFound(f"there is no pool '{name[:60]}'", code="no_such_pool", hint=hint)
