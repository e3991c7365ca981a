"""Mailroom: the postmen of a node, one for each channel, and who cares for the outbox.

It belongs to the agent and not to one of its lives: a lost supervisor delays no mail.
"""

from collections.abc import Callable

from cronherd.domain.instant import SECOND_US
from cronherd.engine.clock import Clock
from cronherd.engine.loop import Ticker
from cronherd.engine.postman import Caretaker, Posting, Postman
from cronherd.engine.secrets import Reveal

# One that is in the midst of sending is not waited for any longer: what it sends is sent again
# when its lease is over, under the same id.
LAST_POST_S = 1.0


class Mailroom:
    """Threads of their own, which nothing that fires, claims or records ever waits for."""

    def __init__(
        self,
        posting: Posting,
        clock: Clock,
        *,
        new_id: Callable[[], str],
        chance: Callable[[], float],
        reveal: Reveal,
    ) -> None:
        self._clock = clock
        caretaker = Caretaker(posting, clock, posted=self.wake)
        self._postmen = [
            Ticker(
                channel.name.value,
                Postman(posting, channel, clock, new_id=new_id, chance=chance, reveal=reveal).tick,
                clock,
                chance,
            )
            for channel in posting.channels
        ]
        self._all = [*self._postmen, Ticker("outbox", caretaker.tick, clock, chance)]

    def start(self) -> None:
        """Begin to send."""
        for ticker in self._all:
            ticker.start()

    def wake(self) -> None:
        """Something was written that is to be sent."""
        for ticker in self._postmen:
            ticker.wake()

    def stop(self) -> None:
        """Send nothing more; what is left is sent by others, or by the next agent here."""
        for ticker in self._all:
            ticker.stop()
        until_us = self._clock.boot_us() + round(LAST_POST_S * SECOND_US)
        for ticker in self._all:
            ticker.join(max(0.0, (until_us - self._clock.boot_us()) / SECOND_US))


class NoMailroom:
    """For an engine that sends nothing."""

    def start(self) -> None: ...

    def wake(self) -> None: ...

    def stop(self) -> None: ...
