"""The runs of this host: those that wait to be spawned and those that were.

Everything is driven by the loop in `server`: it says that a descriptor is ready or that time has
passed, and each method does what can be done without waiting.
"""

import os
import select
import signal
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from cronherd.supervisor import outbox as reports
from cronherd.supervisor.child import DRAIN_READS, Child
from cronherd.supervisor.guard import Guard, Table
from cronherd.supervisor.order import Order
from cronherd.supervisor.outbox import Outbox
from cronherd.supervisor.spawn import Room, SpawnError, spawn
from cronherd.supervisor.spool import Key, Spool
from cronherd.supervisor.sweep import Strays
from cronherd.supervisor.timers import Fence, Timers

if TYPE_CHECKING:
    from cronherd.supervisor.base import Clock

SPAWNS_PER_TURN = 16
"""Between two looks at pipes and exits: a spawn suspends us for about 0.3 ms."""
FLUSH_US = 100_000
"""At most one flush of a running command's output in this time."""
FIRST_LOOK_US = 10_000
"""From the spawn until it is reported as started and its pipes are watched: of a short command
only the end is told, which saves a third of what it costs us. A pipe holds 64 KiB meanwhile."""
LINGER_US = 250_000
"""How long a pipe may outlive the command: a grandchild that keeps it open holds nothing."""
SPOOL_LIMIT = 1 << 30
"""Above it nothing is started: the agent does not take its reports any more."""

OUT, ERR, EXIT = 1, 2, 3


class Runs:
    """Spawns, captures, limits, kills and reaps."""

    def __init__(
        self, clock: "Clock", spool: Spool, outbox: Outbox, timers: Timers, epoll: select.epoll
    ) -> None:
        self._clock = clock
        self._spool = spool
        self._outbox = outbox
        self._timers = timers
        self._epoll = epoll
        self._queue: deque[Order] = deque()
        self._orders: dict[Key, Order] = {}
        self._children: dict[Key, Child] = {}
        self._ready: list[Child] = []
        self._closing = ""
        self._room = Room()
        self._fence = Fence()
        self.strays = Strays()
        self.guard: Guard | None = None
        self.table = Table()
        self.watched: dict[int, tuple[int, Child]] = {}
        """descriptor -> what it means (OUT, ERR, EXIT) and whose it is."""

    def __len__(self) -> int:
        return len(self._children) + len(self._queue)

    def live(self) -> list[tuple[str, int, str]]:
        """Run, attempt and token of all that is queued or has not reported its end."""
        known: list[Order | Child] = [*self._orders.values(), *self._children.values()]
        return [(each.run_id, each.attempt, each.token) for each in known]

    @property
    def unfenced(self) -> bool:
        """The fleet held when we last heard of it: no run is ended for want of a renewal."""
        return self._fence.held

    def waiting(self) -> bool:
        """There are orders to spawn."""
        return bool(self._queue)

    # Orders

    def accept(self, orders: list[Order]) -> None:
        """Write a batch ahead and queue it; or refuse all of it."""
        unique = {order.key: order for order in orders if not self._knows(order)}
        orders = list(unique.values())
        if not orders:
            return
        boot_us = self._clock.boot_us()
        for order in orders:
            order.arrived_us = boot_us
        if self._closing:
            for order in orders:
                self._withdraw(order, self._closing)
        elif self._spool.size() > SPOOL_LIMIT:
            self._refuse(orders, "the spool holds more than 1 GiB that no agent took")
        elif self._outbox.blocked or not self._spool.append_starts(
            (order.run_id, order.attempt, order.token) for order in orders
        ):
            self._refuse(orders, "the spool's disk is full")
        else:
            self._queue.extend(orders)
            self._orders.update(unique)

    def cancel(self, key: Key) -> None:
        """Withdraw the order, or TERM its group now and KILL it after its grace."""
        order = self._orders.pop(key, None)
        child = self._children.get(key)
        if order is not None:
            self._withdraw(order, "cancel")
        elif child is not None:
            self._terminate(child, "cancel")

    def renewed(self, began_us: int | None) -> None:
        """The lease was renewed by a call that began then, or nobody is fenced for a while."""
        if self._fence.renew(began_us, self._clock.boot_us()):
            for child in self._children.values():
                self._set_fence(child)

    def kill_all(self, reason: str) -> None:
        """SIGKILL every group at once, withdraw every order, take no other."""
        self._closing = reason
        for order in list(self._orders.values()):
            self._withdraw(order, reason)
        self._orders.clear()
        for child in self._children.values():
            if not child.reaped:
                child.killed_by = child.killed_by or reason
                self._signal(child, signal.SIGKILL)

    def spawn_some(self) -> None:
        """Spawn the next few orders."""
        queue = self._queue
        spawned = False
        for _ in range(min(SPAWNS_PER_TURN, len(queue))):
            order = queue.popleft()
            if not order.withdrawn:
                del self._orders[order.key]
                self._spawn(order)
                spawned = True
        if spawned:
            self._room.leave()

    def _knows(self, order: Order) -> bool:
        """A second start of what is queued or running is the echo of an answer that was lost."""
        return order.key in self._orders or order.key in self._children

    def _refuse(self, orders: list[Order], text: str) -> None:
        now_us = self._clock.now_us()
        for order in orders:
            message = reports.never(order, now_us, "", "spawn_failed", text)
            self._outbox.post_end(message, order.key)

    def _withdraw(self, order: Order, reason: str) -> None:
        order.withdrawn = True
        message = reports.never(order, self._clock.now_us(), reason, "", "")
        self._outbox.post_end(message, order.key)

    def _spawn(self, order: Order) -> None:
        try:
            self._check(order)
            self._room.make(len(self._children))
            spawned = spawn(order.argv, order.cwd, order.env, order.stdin, self._room)
        except SpawnError as error:
            now_us = self._clock.now_us()
            message = reports.never(order, now_us, "", error.code, error.text)
            self._outbox.post_end(message, order.key)
            return
        place = self.table.enter(spawned.pid)  # At once: from now on it dies with us.
        boot_us = self._clock.boot_us()
        child = Child(order, spawned, place, self._clock.now_us())
        self._children[order.key] = child
        self.watched[child.pidfd] = (EXIT, child)
        self._epoll.register(child.pidfd, select.EPOLLIN)
        self._timers.add(boot_us + FIRST_LOOK_US, self._listen, child)
        if order.timeout_us is not None:
            self._timers.add(boot_us + order.timeout_us, self._time_out, child)
            # Others count on it: after a suspend there is no grace beyond its own instant.
            self._timers.add(boot_us + order.timeout_us + order.grace_us, self._kill, child)
        self._set_fence(child)

    def _check(self, order: Order) -> None:
        """The last look before it is executed: a claim that grew stale is void."""
        if order.unknown:
            raise SpawnError(
                "spawn_failed",
                f"this supervisor is older than its agent and does not know '{order.unknown}': "
                "it is replaced when an agent starts here while nothing runs",
            )
        limit = order.valid_until_boot_us
        if limit is not None and self._clock.boot_us() > limit:
            raise SpawnError("void", "the start was not spawned in time and is void")
        if order.fence_us is not None and not self._fence.held:
            limit = self._fence.term_us(order, order.fence_us)
            if self._clock.boot_us() >= limit:
                raise SpawnError("void", "this node has not renewed its lease for too long")
        if self.guard is None:
            raise SpawnError("spawn_failed", "no guardian can be started")

    def _listen(self, child: Child, _boot_us: int) -> None:
        """Say that it runs, and watch its pipes from now on."""
        if not child.listening:
            child.listening = True
            self._outbox.post(reports.started(child))
            for kind, descriptor in ((OUT, child.out), (ERR, child.err)):
                if descriptor >= 0:
                    self.watched[descriptor] = (kind, child)
                    self._epoll.register(descriptor, select.EPOLLIN)

    # Output

    def read(self, kind: int, child: Child, boot_us: int, now_us: int) -> None:
        """A pipe has something, or its last writer closed it."""
        ended, news = child.drain(kind, now_us, 1)
        if ended:
            self._close(kind, child)
        if child.reaped:
            if child.out < 0 and child.err < 0:
                self._finish(child)
        elif news and not child.flush_armed and not self._outbox.blocked:
            child.flush_armed = True
            if boot_us >= child.quiet_until_us:
                self._ready.append(child)
            else:
                self._timers.add(child.quiet_until_us, self._flush_later, child)

    def flush(self, boot_us: int) -> None:
        """Post the output that is due. Held back while the disk is full: captures are bounded."""
        if not self._ready:
            return
        ready, self._ready = self._ready, []
        for child in ready:
            child.flush_armed = False
            if not child.done:
                child.quiet_until_us = boot_us + FLUSH_US
                self._post(child, child.capture.fresh())

    def _flush_later(self, child: Child, _boot_us: int) -> None:
        self._ready.append(child)

    def _post(self, child: Child, pieces: list[tuple[int, int, int, int, bytes]]) -> None:
        run_id, attempt, token = child.run_id, child.attempt, child.token
        for seq, stream, at_us, dropped, chunk in pieces:
            self._outbox.post_output(
                ("output", run_id, attempt, token, seq, stream, at_us, dropped, len(chunk)), chunk
            )

    def _close(self, kind: int, child: Child) -> None:
        """Unregister, THEN close.

        A sibling in the middle of its exec may still hold the file, and epoll would go on
        reporting a descriptor that is somebody else's by now.
        """
        descriptor = child.out if kind == OUT else child.err
        if child.listening:
            self._epoll.unregister(descriptor)
            del self.watched[descriptor]
        os.close(descriptor)
        if kind == OUT:
            child.out = -1
        else:
            child.err = -1

    # Ends

    def leave(self, child: Child, boot_us: int, now_us: int) -> None:
        """The command has ended: reap it and take what it wrote; do not wait for its pipes."""
        if child.killed_by:
            self._signal(child, signal.SIGKILL)  # What it left behind was to die as well.
        if child.fenced:
            self.strays.want(child.run_id, child.attempt, boot_us)
        self.table.leave(child.place)
        child.reap(now_us)
        self._epoll.unregister(child.pidfd)
        del self.watched[child.pidfd]
        os.close(child.pidfd)
        self._drain(child, now_us)
        if child.out < 0 and child.err < 0:
            self._finish(child)
        else:
            self._listen(child, boot_us)
            self._timers.add(boot_us + LINGER_US, self._stop_lingering, child)

    def _drain(self, child: Child, now_us: int) -> None:
        if child.out >= 0 and child.drain(OUT, now_us, DRAIN_READS)[0]:
            self._close(OUT, child)
        if child.err >= 0 and child.drain(ERR, now_us, DRAIN_READS)[0]:
            self._close(ERR, child)

    def _stop_lingering(self, child: Child, _boot_us: int) -> None:
        self._drain(child, self._clock.now_us())
        for kind, descriptor in ((OUT, child.out), (ERR, child.err)):
            if descriptor >= 0:
                self._close(kind, child)
        self._finish(child)

    def _finish(self, child: Child) -> None:
        child.done = True
        if self._outbox.overfull:
            child.capture.discard()
        self._post(child, child.capture.fresh())
        self._post(child, child.capture.rest())
        key = (child.run_id, child.attempt)
        self._outbox.post_end(reports.ended(child), key)
        del self._children[key]

    # Limits

    def _time_out(self, child: Child, _boot_us: int) -> None:
        self._terminate(child, "timeout")

    def _set_fence(self, child: Child) -> None:
        """See to a timer at its instant or before; a hold lets them lapse."""
        if child.fence_us is None or child.fenced or self._fence.held:
            return
        look_us = self._fence.term_us(child, child.fence_us)
        if child.fence_look_us is None or look_us < child.fence_look_us:
            child.fence_look_us = look_us
            self._timers.add(look_us, self._look_at_fence, child)

    def _look_at_fence(self, child: Child, boot_us: int) -> None:
        """Its instant as it was: it may have moved meanwhile."""
        if child.fence_look_us is None or boot_us < child.fence_look_us:
            return  # A timer that an earlier one made needless.
        child.fence_look_us = None
        if child.reaped or child.fence_us is None or self._fence.held:
            return
        if boot_us < self._fence.term_us(child, child.fence_us):
            self._set_fence(child)
            return
        child.fenced = True
        kill_us = self._fence.kill_us(child, child.fence_us)
        self._terminate(child, "fenced")
        self._timers.add(kill_us, self._kill, child)

    def _terminate(self, child: Child, reason: str) -> None:
        """Ask it to end; after its grace there is no asking. A stopped one must be woken."""
        if child.reaped or child.killed_by:
            return
        child.killed_by = reason
        self._signal(child, child.stop_signal)
        self._signal(child, signal.SIGCONT)
        self._timers.add(self._clock.boot_us() + child.grace_us, self._kill, child)

    def _kill(self, child: Child, _boot_us: int) -> None:
        if not child.reaped:
            self._signal(child, signal.SIGKILL)

    def _signal(self, child: Child, number: int) -> None:
        """To the group. Not reaped yet, so its number still belongs to it."""
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
