"""The contract `Outbox`: messages that are to be sent, each claimed by one node at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from cronherd.domain.alert import ChannelName, PostState
from cronherd.domain.run import OutputPiece


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One message of the outbox; `batch`: what it is sent together with, for good."""

    id: str
    key: str
    channel: ChannelName
    target: str
    payload: Mapping[str, Any] = field(repr=False)
    tries: int
    created_us: int
    batch: str = ""
    state: PostState = PostState.WAITING
    next_us: int = 0
    done_us: int | None = None
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """What a claim took; `next_us`: when the next one is due, None when nothing waits."""

    posts: tuple[Post, ...]
    now_us: int
    next_us: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """What became of a message: sent, to be tried again after `wait_us`, or given up."""

    id: str
    error: str = ""
    wait_us: int | None = None


class Outbox(Protocol):
    """What the postmen of all nodes share."""

    def claim_posts(
        self, channel: ChannelName, token: str, *, lease_us: int, limit: int, digest_us: int = 0
    ) -> Claimed:
        """Take what is due, for as long as the lease lasts; then it is due again.

        With `digest_us` a message waits that long for others to the same receiver, and they are
        of one `batch` from then on.
        """
        ...

    def settle_posts(self, token: str, settled: Sequence[Settled]) -> int:
        """What became of those that this token still holds; how many these were."""
        ...

    def beat_heart(self, url: str, every_us: int) -> int:
        """Write the heartbeat of this period unless it is there; microseconds to the next one."""
        ...

    def tidy_posts(self) -> None:
        """Give up what nobody could send, forget what was sent long ago."""
        ...

    def output(
        self, run_id: str, attempt: int | None, after_seq: int, limit: int
    ) -> list[OutputPiece]:
        """As `Catalog.output`."""
        ...
