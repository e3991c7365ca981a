"""Postman: takes messages of the outbox and sends them, on a thread that nothing waits for.

One for each channel, so that a relay that hangs delays no ping. A message is claimed, sent, and
then marked as sent: a crash in between may send it twice, under the same id.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cronherd.alerts.base import Channel, Message, Part, SendFailed
from cronherd.domain.alert import ChannelName
from cronherd.domain.errors import CronherdError, NotFound
from cronherd.domain.instant import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from cronherd.engine.clock import Clock
from cronherd.engine.secrets import Reveal
from cronherd.store.postbox import Outbox, Post, Settled

log = logging.getLogger("cronherd")

MOST = 20
LEASE_US = 10 * MINUTE_US
# What was not begun in this part of the lease is given back.
SPENT_US = 4 * MINUTE_US
FIRST_RETRY_US = MINUTE_US
LONGEST_RETRY_US = HOUR_US
GIVE_UP_US = DAY_US
# A message of this node wakes its postman; those of others are found by looking.
LOOK_S = 10.0
SOON_S = 0.5
TIDY_S = 600.0
HURRY_S = 1.0
PIECES_MOST = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Posting:
    """What a node sends with: `heartbeat`, whom and how often; `digest_us` collects mail."""

    outbox: Outbox
    channels: tuple[Channel, ...] = ()
    digest_us: int = 0
    heartbeat: str = field(default="", repr=False)
    heartbeat_us: int = MINUTE_US


class Postman:
    """One tick: claim a few, send them one after the other, say what became of each."""

    def __init__(
        self,
        posting: Posting,
        channel: Channel,
        clock: Clock,
        *,
        new_id: Callable[[], str],
        chance: Callable[[], float],
        reveal: Reveal,
    ) -> None:
        self._outbox = posting.outbox
        self._channel = channel
        self._digest_us = posting.digest_us if channel.name is ChannelName.MAIL else 0
        self._clock = clock
        self._new_id = new_id
        self._chance = chance
        self._reveal = reveal
        # Sent, and the database did not take it yet: said before anything else is claimed.
        self._unsaid: list[tuple[str, list[Settled]]] = []
        self._trouble = ""

    def tick(self) -> float:
        """Seconds to sleep: none while there is more to send."""
        self._say()
        token = self._new_id()
        claimed = self._outbox.claim_posts(
            self._channel.name, token, lease_us=LEASE_US, limit=MOST, digest_us=self._digest_us
        )
        if not claimed.posts:
            return self._rest(claimed.next_us, claimed.now_us)
        began_us = self._clock.boot_us()
        waiting = _groups(claimed.posts)
        while waiting:
            group = waiting.pop(0)
            now_us = claimed.now_us + self._clock.boot_us() - began_us
            closed = self._deliver(token, group, now_us)
            spent_us = self._clock.boot_us() - began_us
            if closed or spent_us > SPENT_US:
                rest = [post for others in waiting for post in others]
                self._unsaid.append((token, self._put_back(rest, closed, now_us)))
                break
            self._say()
        self._say()
        return 0.0

    def _rest(self, next_us: int | None, now_us: int) -> float:
        if next_us is None:
            return LOOK_S
        return min(LOOK_S, max(SOON_S, (next_us - now_us) / SECOND_US))

    def _say(self) -> None:
        while self._unsaid:
            token, settled = self._unsaid[0]
            if settled:
                self._outbox.settle_posts(token, settled)
            self._unsaid.pop(0)

    def _deliver(self, token: str, group: Sequence[Post], now_us: int) -> str:
        """Send these together; why nothing else would get through, or nothing."""
        try:
            self._channel.send(self._message(group, now_us))
        except SendFailed as error:
            settled = [self._failed(post, str(error), now_us, final=error.final) for post in group]
            self._unsaid.append((token, settled))
            self._complain(str(error))
            return str(error) if error.everybody and self._digests else ""
        except Exception as error:  # one odd message is not to stop the others
            log.exception("a message could not be sent")
            text = f"{type(error).__name__}: {error}"
            settled = [self._failed(post, text, now_us) for post in group]
            self._unsaid.append((token, settled))
            return ""
        if self._trouble:
            log.info("%s: messages get through again", self._channel.name.value)
            self._trouble = ""
        self._unsaid.append((token, [Settled(id=post.id) for post in group]))
        return ""

    @property
    def _digests(self) -> bool:
        """Whether all of this channel goes one way, so that one failure tells of the others."""
        return self._channel.name is ChannelName.MAIL

    def _complain(self, text: str) -> None:
        if text != self._trouble:  # once: it is tried again and again
            log.warning("%s: %s", self._channel.name.value, text)
        self._trouble = text

    def _put_back(self, posts: Sequence[Post], why: str, now_us: int) -> list[Settled]:
        if why:
            return [self._failed(post, why, now_us) for post in posts]
        return [Settled(id=post.id, wait_us=0) for post in posts]

    def _failed(self, post: Post, text: str, now_us: int, *, final: bool = False) -> Settled:
        """Again later, ever more rarely; after a day, or when it is hopeless, never."""
        error = text or "it failed"
        wait_us = min(FIRST_RETRY_US << min(post.tries, 20), LONGEST_RETRY_US)
        if final or now_us + wait_us - post.created_us > GIVE_UP_US:
            return Settled(id=post.id, error=error)
        # Not all at once when the other side is back.
        return Settled(id=post.id, error=error, wait_us=round(wait_us * (1 - self._chance() / 10)))

    def _message(self, group: Sequence[Post], now_us: int) -> Message:
        first = group[0]
        parts = tuple(
            Part(payload=post.payload, created_us=post.created_us, output=self._output(post))
            for post in group
        )
        return Message(
            id=_message_id(first),
            target=first.target,
            parts=parts,
            now_us=now_us,
            secret=self._opened(str(first.payload.get("secret") or "")),
        )

    def _opened(self, name: str) -> str:
        if not name:
            return ""
        try:
            value = self._reveal([name])[name]
        except CronherdError as error:
            value = error
        if isinstance(value, CronherdError):
            raise SendFailed(f"the secret '{name}' cannot be opened here: {value}")
        return value

    def _output(self, post: Post) -> str:
        """What the run's last attempt wrote, for a mail; nothing when it was pruned meanwhile."""
        payload = post.payload
        if post.channel is not ChannelName.MAIL or "outcome" not in payload:
            return ""
        try:
            pieces = self._outbox.output(payload["run_id"], payload["attempt"], -1, PIECES_MOST)
        except NotFound:
            return ""
        told: list[bytes] = []
        for piece in pieces:
            if piece.stream in {1, 2}:
                if piece.dropped:
                    told.append(f"\n[… {piece.dropped} bytes were not kept …]\n".encode())
                told.append(piece.chunk)
        return b"".join(told).decode("utf-8", "replace")


class Caretaker:
    """One tick: the fleet's heartbeat of this period, and what is to be forgotten."""

    def __init__(self, posting: Posting, clock: Clock, *, posted: Callable[[], None]) -> None:
        self._posting = posting
        self._clock = clock
        self._posted = posted
        self._tidy_us = clock.boot_us()

    def tick(self) -> float:
        """Seconds to the next period, or to the next tidying."""
        posting = self._posting
        if self._clock.boot_us() >= self._tidy_us:
            posting.outbox.tidy_posts()
            self._tidy_us = self._clock.boot_us() + round(TIDY_S * SECOND_US)
        left_us = self._tidy_us - self._clock.boot_us()
        if posting.heartbeat:
            left_us = min(
                left_us, posting.outbox.beat_heart(posting.heartbeat, posting.heartbeat_us)
            )
            self._posted()
        return max(left_us / SECOND_US, HURRY_S / 10)


def _groups(posts: Sequence[Post]) -> list[list[Post]]:
    """Those of a batch together; in the order in which they were written."""
    groups: dict[str, list[Post]] = {}
    for post in sorted(posts, key=lambda one_of: (one_of.created_us, one_of.id)):
        groups.setdefault(f"{post.batch} {post.target}" if post.batch else post.id, []).append(post)
    return list(groups.values())


def _message_id(first: Post) -> str:
    """The same for each copy of it, so that a receiver can drop a second one."""
    return first.batch or first.id
