"""What is to be done later, for a loop that sleeps until the next instant."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cronherd.supervisor.child import Child

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
