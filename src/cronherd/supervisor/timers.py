"""What is to be done later, for a loop that sleeps until the next instant.

And until when a run may live whose node cannot renew its lease.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cronherd.supervisor.child import Child
    from cronherd.supervisor.order import Order

Action = Callable[["Child", int], None]

SPARE = 256
"""Timers of ended children that may wait before the heap is cleaned: with 1,500 runs a second
and a time limit of an hour there would otherwise be 5 million of them."""


class Timers:
    """Actions on children, by CLOCK_BOOTTIME. A child that is done is never acted on."""

    __slots__ = ("_clean_at", "_heap", "_serial")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Action, Child]] = []
        self._serial = 0
        self._clean_at = SPARE

    def add(self, due_us: int, action: Action, child: "Child") -> None:
        """Call `action(child, now_us)` at or after `due_us`, unless the child is done by then."""
        self._serial += 1
        heappush(self._heap, (due_us, self._serial, action, child))
        if len(self._heap) > self._clean_at:
            self._heap = [timer for timer in self._heap if not timer[3].done]
            heapify(self._heap)
            self._clean_at = 2 * len(self._heap) + SPARE

    def next_us(self) -> int | None:
        """When the loop must wake up."""
        heap = self._heap
        while heap and heap[0][3].done:
            heappop(heap)
        return heap[0][0] if heap else None

    def fire(self, now_us: int) -> None:
        """Do all that is due."""
        heap = self._heap
        while heap and heap[0][0] <= now_us:
            _, _, action, child = heappop(heap)
            if not child.done:
                action(child, now_us)
                heap = self._heap


class Fence:
    """Until when runs may live without another renewal, by CLOCK_BOOTTIME.

    One instant for all of them: a renewal moves it and touches no timer. A run's own timer, when
    it is due, asks here whether its instant has moved meanwhile.
    """

    __slots__ = ("_renewed_us", "held")

    def __init__(self) -> None:
        self._renewed_us: int | None = None
        self.held = False
        """The fleet holds: nothing is fenced."""

    def renew(self, began_us: int | None, now_us: int) -> bool:
        """Take a renewal or a hold. True: instants may be nearer than the timers, set them anew."""
        if began_us is None:
            self.held = True
            return False
        anew = self.held or self._renewed_us is None
        self.held = False
        began_us = min(began_us, now_us)  # No renewal began later than now.
        self._renewed_us = max(began_us, self._renewed_us or began_us)
        return anew

    def kill_us(self, run: "Child | Order", fence_us: int) -> int:
        """From this instant on nothing of the run may live."""
        since_us = run.arrived_us if self._renewed_us is None else self._renewed_us
        return since_us + fence_us

    def term_us(self, run: "Child | Order", fence_us: int) -> int:
        """When it is asked to end.

        A grace as long as the fence would have it end at once, however often the node renews: it
        gets half of the fence.
        """
        lead_us = run.grace_us if run.grace_us < fence_us else fence_us // 2
        return self.kill_us(run, fence_us) - lead_us
