"""The contract `LockBook`: locks of the whole fleet, for what is outside cronherd."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LockHold:
    """One hold of one lock; instants by the database's clock, `fence` 0 for a shared one."""

    name: str
    token: str = field(repr=False)
    holder: str
    shared: bool
    fence: int
    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LockTry:
    """What an attempt found: the hold that is ours now, or None and who is in the way."""

    hold: LockHold | None
    others: Sequence[LockHold]
    now_us: int


class LockBook(Protocol):
    """Every hold has a token that only its holder knows; it alone renews and releases it.

    Each verb may be sent again: the same token is the same hold.
    """

    def acquire_lock(
        self, name: str, token: str, holder: str, *, shared: bool, expires_us: int
    ) -> LockTry:
        """Take it when nobody is in the way. Each exclusive hold has a larger fence."""
        ...

    def renew_lock(self, name: str, token: str, expires_us: int) -> bool:
        """Hold it for so long from now; False when it is not this token's any more."""
        ...

    def release_lock(self, name: str, token: str, gap_us: int = 0) -> bool:
        """Give it back, for others after a gap; False when it was not this token's any more."""
        ...

    def locks(self) -> Sequence[LockHold]:
        """All that are held now, by name."""
        ...

    def clear_lock(self, name: str, actor: str) -> Sequence[LockHold]:
        """Take it from whoever holds it: their next renewal fails. Those it was taken from.

        Raises NotFound when nobody holds it.
        """
        ...
