"""What is to be done later, for a loop that sleeps until the next instant.

And until when a run may live: its time limit, an order, a node that cannot renew its lease.
"""

import os
import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from cronherd.supervisor.cgroup import Tree
from cronherd.supervisor.sweep import Hunt

if TYPE_CHECKING:
    from cronherd.supervisor.base import Clock
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


class Limits:
    """Ends runs: asks first, kills after a grace, and hunts until nothing is left."""

    __slots__ = ("_clock", "_timers", "fence", "hunt", "tree")

    def __init__(self, clock: "Clock", timers: Timers) -> None:
        self._clock = clock
        self._timers = timers
        self.fence = Fence()
        self.tree = Tree()
        self.hunt = Hunt(self.tree)

    def is_late(self, order: "Order", fence_us: int) -> bool:
        """It would be fenced at once."""
        fence = self.fence
        return not fence.held and self._clock.boot_us() >= fence.term_us(order, fence_us)

    def watch(self, child: "Child", timeout_us: int | None, boot_us: int) -> None:
        """It was spawned just now."""
        if timeout_us is not None:
            self._timers.add(boot_us + timeout_us, self._time_out, child)
            # Others count on it: after a suspend there is no grace beyond its own instant.
            self._timers.add(boot_us + timeout_us + child.grace_us, self.kill, child)
        self._set_fence(child)

    def renewed(self, began_us: int | None, children: "Iterable[Child]") -> None:
        """The lease was renewed by a call that began then, or nobody is fenced for a while."""
        if self.fence.renew(began_us, self._clock.boot_us()):
            for child in children:
                self._set_fence(child)

    def enclose(self, child: "Child", boot_us: int) -> None:
        """It lasts: give it a control group, together with others."""
        due_us = self.tree.may_enter_us(boot_us)
        if due_us > boot_us:
            self._timers.add(due_us, self.enclose, child)
        elif not child.reaped:
            self._enter(child, boot_us)

    def terminate(self, child: "Child", reason: str) -> None:
        """Ask it to end; after its grace there is no asking. A stopped one must be woken."""
        if child.reaped or child.killed_by:
            return
        child.killed_by = reason
        boot_us = self._clock.boot_us()
        self._enter(child, boot_us)  # While it is still the parent of what it has started.
        self._signal(child, child.stop_signal)
        self._signal(child, signal.SIGCONT)
        self._timers.add(boot_us + child.grace_us, self.kill, child)

    def kill(self, child: "Child", boot_us: int) -> None:
        """SIGKILL its control group, else its group, and hunt for what is in neither."""
        if child.reaped or self.hunt.has_ended(child):
            return
        if self.tree.kill(child.pid):
            child.how = "cgroup"
        else:
            child.how = "kill"
            self._signal(child, signal.SIGKILL)
        self.hunt.begin(child, boot_us, ended=False)

    def _time_out(self, child: "Child", _boot_us: int) -> None:
        self.terminate(child, "timeout")

    def _set_fence(self, child: "Child") -> None:
        """See to a timer at its instant or before; a hold lets them lapse."""
        if child.fence_us is None or child.fenced or self.fence.held:
            return
        look_us = self.fence.term_us(child, child.fence_us)
        if child.fence_look_us is None or look_us < child.fence_look_us:
            child.fence_look_us = look_us
            self._timers.add(look_us, self._look_at_fence, child)

    def _look_at_fence(self, child: "Child", boot_us: int) -> None:
        """Its instant as it was: it may have moved meanwhile."""
        if child.fence_look_us is None or boot_us < child.fence_look_us:
            return  # A timer that an earlier one made needless.
        child.fence_look_us = None
        if child.reaped or child.fence_us is None or self.fence.held:
            return
        if boot_us < self.fence.term_us(child, child.fence_us):
            self._set_fence(child)
            return
        child.fenced = True
        kill_us = self.fence.kill_us(child, child.fence_us)
        self.terminate(child, "fenced")
        self._timers.add(kill_us, self.kill, child)

    def _enter(self, child: "Child", boot_us: int) -> None:
        self.tree.enter(child.pid, f"{child.run_id}-{child.attempt}", boot_us)

    def _signal(self, child: "Child", number: int) -> None:
        """To the group. Not reaped yet, so its number still belongs to it."""
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
