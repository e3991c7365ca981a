"""A lock of the whole fleet, kept in its database and asked for by the words of a fleet.

How the fleet is reached is decided anew for each question: an agent that is started again in
between is not noticed, as long as the lock does not expire meanwhile.
"""

import os
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from cronherd.domain.errors import Conflict, CronherdError, Unavailable
from cronherd.domain.lock import EXPIRY_US, check_expiry, check_name
from cronherd.locks.base import Clock, Hold, Holder, await_turn, owner_name

Json = dict[str, Any]
T = TypeVar("T")

LOOK_S = 0.5
"""Between two looks while others hold it: each is a transaction."""
BUSY_US = 5_000_000
"""How long a database that a neighbour has open for the moment is asked again."""
_PAUSE_S = 0.05


class Book(Protocol):
    """The words of a fleet that locks take (client/fleet.py)."""

    def list_locks(self) -> Json: ...
    def acquire_lock(
        self, name: str, token: str, holder: str, *, shared: bool, expires: str | float
    ) -> Json: ...
    def renew_lock(self, name: str, token: str, *, expires: str | float) -> Json: ...
    def release_lock(self, name: str, token: str, *, gap: str | float = 0) -> Json: ...
    def clear_lock(self, name: str, actor: str) -> Json: ...


Ask = Callable[[Callable[[Book], Json]], Json]
"""Reach the fleet, put one question, and let it go."""


class FleetHeld:
    def __init__(self, lock: "FleetLock", token: str, *, shared: bool, fence: int | None) -> None:
        self._lock = lock
        self._token = token
        self.shared = shared
        self.fence = fence

    def renew(self) -> bool:
        name, token, expires = self._lock.name, self._token, self._lock.expires
        answer = self._lock.ask(lambda fleet: fleet.renew_lock(name, token, expires=expires))
        return bool(answer["held"])

    def release(self, *, gap_us: int = 0) -> bool:
        name, token, gap = self._lock.name, self._token, gap_us / 1_000_000
        answer = self._lock.ask(lambda fleet: fleet.release_lock(name, token, gap=gap))
        return bool(answer["released"])


class FleetLock:
    """`name` in the database of the fleet that `ask` reaches; its clock is the one that counts."""

    def __init__(
        self, name: str, ask: Ask, clock: Clock, *, expiry_us: int = EXPIRY_US, who: str = ""
    ) -> None:
        check_expiry(expiry_us)
        self.name = check_name(name)
        self.expiry_us = expiry_us
        self.expires = expiry_us / 1_000_000
        self._ask = ask
        self._clock = clock
        self._who = who or owner_name()

    def acquire(self, *, wait_us: int | None = 0, shared: bool = False) -> FleetHeld | None:
        token = os.urandom(16).hex()

        def attempt() -> FleetHeld | None:
            answer = self.ask(
                lambda fleet: fleet.acquire_lock(
                    self.name, token, self._who, shared=shared, expires=self.expires
                )
            )
            if not answer["held"]:
                return None
            return FleetHeld(self, token, shared=shared, fence=answer["lock"]["fence"])

        try:
            return await_turn(attempt, self._clock, wait_us, LOOK_S)
        except BaseException:
            self._undo(token)
            raise

    def holder(self) -> Holder | None:
        for hold in self.holds():
            if hold.who and not hold.shared:
                return Holder(who=hold.who, held_us=hold.held_us or 0)
        return None

    def holds(self) -> list[Hold]:
        items = self.ask(lambda fleet: fleet.list_locks())["items"]
        return [hold_of(item) for item in items if item["name"] == self.name]

    def clear(self, actor: str) -> list[Hold]:
        answer = self.ask(lambda fleet: fleet.clear_lock(self.name, actor))
        return [hold_of(item) for item in answer["holders"]]

    def close(self) -> None:
        """There is no connection between two questions."""

    def ask(self, question: Callable[[Book], Json]) -> Json:
        """The answer, asked for once more if need be: the same token is the same hold.

        Raises Unavailable.
        """
        try:
            return self._patiently(question)
        except Unavailable:
            self._clock.wait(threading.Event(), _PAUSE_S)
        try:
            return self._patiently(question)
        except Unavailable as error:
            raise self._away(error) from None

    def _patiently(self, question: Callable[[Book], Json]) -> Json:
        until_us = self._clock.boot_us() + BUSY_US
        while True:
            try:
                return self._ask(question)
            except Conflict as error:  # an agent is about to answer, or a neighbour asks as we do
                if self._clock.boot_us() >= until_us:
                    raise self._away(error) from None
            self._clock.wait(threading.Event(), _PAUSE_S)

    def _away(self, error: CronherdError) -> Unavailable:
        return Unavailable(
            f"the fleet cannot be asked for the lock '{self.name}': {error.text}",
            code="lock_unavailable",
            hint=error.hint,
        )

    def _undo(self, token: str) -> None:
        """The answer may have been lost on its way, or we were ended before it was read."""
        try:
            self._ask(lambda fleet: fleet.release_lock(self.name, token))
        except CronherdError:
            return  # it expires


def hold_of(item: Json) -> Hold:
    """A hold as the fleet tells it."""
    return Hold(
        who=item["holder"],
        shared=item["mode"] == "shared",
        held_us=round(item["held_s"] * 1_000_000),
        left_us=round(item["left_s"] * 1_000_000),
        fence=item["fence"],
    )
