"""The runs of this host: those that wait to be spawned and those that were.

Everything is driven by the loop in `server`: it says that a descriptor is ready or that time has
passed, and each method does what can be done without waiting.
"""

import os
import select
from collections import deque
from typing import TYPE_CHECKING

from cronherd.supervisor import outbox as reports
from cronherd.supervisor.child import DRAIN_READS, Child
from cronherd.supervisor.guard import Guard, Table
from cronherd.supervisor.launch import Means, begin
from cronherd.supervisor.order import Order
from cronherd.supervisor.outbox import Outbox
from cronherd.supervisor.spawn import Room, SpawnError
from cronherd.supervisor.spool import Key, Spool
from cronherd.supervisor.sweep import HELD, count_left
from cronherd.supervisor.timers import Limits, Timers
from cronherd.supervisor.wire import Message

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
LASTING_US = 500_000
"""From the first look until a run gets a control group: those at full seconds are not disturbed."""
SPOOL_LIMIT = 1 << 30
"""Above it nothing is started: the agent does not take its reports any more."""

EXIT = 4
"""What a watched descriptor means, beside the pipes by their streams."""


class Runs:
    """Spawns, captures, limits, kills and reaps."""

    def __init__(
        self,
        clock: "Clock",
        spool: Spool,
        outbox: Outbox,
        timers: Timers,
        epoll: select.epoll,
        means: Means,
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
        self._means = means
        self.limits = Limits(clock, timers)
        self.guard: Guard | None = None
        self.table = Table()
        self.watched: dict[int, tuple[int, Child]] = {}
        """descriptor -> what it means (a stream, or EXIT) and whose it is."""

    def __len__(self) -> int:
        return len(self._children) + len(self._queue)

    def live(self) -> list[tuple[str, int, str]]:
        """Run, attempt and token of all that is queued or whose end is not in the spool."""
        known: list[Order | Child] = [*self._orders.values(), *self._children.values()]
        return [
            *((each.run_id, each.attempt, each.token) for each in known),
            *self._outbox.untold(),
        ]

    @property
    def unfenced(self) -> bool:
        """The fleet held when we last heard of it: no run is ended for want of a renewal."""
        return self.limits.fence.held

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
            self.limits.terminate(child, "cancel")

    def renewed(self, began_us: int | None) -> None:
        """The lease was renewed by a call that began then, or nobody is fenced for a while."""
        self.limits.renewed(began_us, self._children.values())

    def kill_all(self, reason: str) -> None:
        """Kill every run at once, withdraw every order, take no other."""
        self._closing = reason
        for order in list(self._orders.values()):
            self._withdraw(order, reason)
        self._orders.clear()
        for child in self._children.values():
            if not child.reaped:
                child.killed_by = child.killed_by or reason
                self.limits.kill(child, self._clock.boot_us())

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
            self._outbox.post_end(message)

    def _withdraw(self, order: Order, reason: str) -> None:
        order.withdrawn = True
        message = reports.never(order, self._clock.now_us(), reason, "", "")
        self._outbox.post_end(message)

    def _spawn(self, order: Order) -> None:
        try:
            self._check(order)
            self._room.make(len(self._children))
            spawned = begin(order, self._room, self._means)
        except SpawnError as error:
            now_us = self._clock.now_us()
            message = reports.never(order, now_us, "", error.code, error.text)
            self._outbox.post_end(message)
            return
        place = self.table.enter(spawned.pid)  # At once: from now on it dies with us.
        boot_us = self._clock.boot_us()
        child = Child(order, spawned, place, self._clock.now_us())
        self._children[order.key] = child
        self.watched[child.pidfd] = (EXIT, child)
        self._epoll.register(child.pidfd, select.EPOLLIN)
        self._timers.add(boot_us + FIRST_LOOK_US, self._listen, child)
        self.limits.watch(child, order.timeout_us, boot_us)

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
        if order.fence_us is not None and self.limits.is_late(order, order.fence_us):
            raise SpawnError("void", "this node has not renewed its lease for too long")
        if self.guard is None:
            raise SpawnError("spawn_failed", "no guardian can be started")

    def _listen(self, child: Child, boot_us: int) -> None:
        """Say that it runs, and watch its pipes from now on."""
        if child.listening:
            return
        if not child.is_decided():
            self._timers.add(boot_us + FIRST_LOOK_US, self._listen, child)
            return
        child.listening = True
        if child.refusal() is None:
            self._outbox.post(reports.started(child))
        for stream, descriptor in child.pipes():
            self.watched[descriptor] = (stream, child)
            self._epoll.register(descriptor, select.EPOLLIN)
        if self.limits.tree.path and not child.reaped:
            self._timers.add(boot_us + LASTING_US, self.limits.enclose, child)

    # Output

    def read(self, kind: int, child: Child, boot_us: int, now_us: int) -> None:
        """A pipe has something, or its last writer closed it."""
        ended, news = child.drain(kind, now_us, 1)
        if ended:
            self._close(kind, child)
        if child.reaped:
            if child.is_silent():
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

    def _close(self, stream: int, child: Child) -> None:
        """Unregister, THEN close.

        A sibling in the middle of its exec may still hold the file, and epoll would go on
        reporting a descriptor that is somebody else's by now.
        """
        descriptor = child.forget(stream)
        if child.listening:
            self._epoll.unregister(descriptor)
            del self.watched[descriptor]
        os.close(descriptor)

    # Ends

    def leave(self, child: Child, boot_us: int, now_us: int) -> None:
        """The command has ended. If it was killed, what it left behind is to die as well."""
        self._epoll.unregister(child.pidfd)
        del self.watched[child.pidfd]
        if (child.killed_by or child.is_orphaned()) and not child.done:
            self.limits.hunt.begin(child, boot_us, ended=True)
        else:
            self._bury(child, boot_us, now_us)

    def hunt_on(self, boot_us: int, now_us: int) -> None:
        """Kill what is left of those that are killed; those of which nothing is have ended."""
        for child, ended in self.limits.hunt.look(boot_us):
            if ended:
                child.how = child.how or "term"
                self._bury(child, boot_us, now_us)
            else:
                self._give_up(child, now_us)

    def _bury(self, child: Child, boot_us: int, now_us: int) -> None:
        """Reap it, take what it wrote, count what it left; do not wait for its pipes."""
        self.table.leave(child.place)
        child.reap(now_us)
        os.close(child.pidfd)
        left = self.limits.tree.leave(child.pid)
        if child.done:
            return  # Its end was told long ago, by `_give_up`.
        if not child.killed_by:
            child.leaked = count_left(child.pid) if left is None else left
        self._drain(child, now_us)
        if child.is_silent():
            self._finish(child)
        else:
            self._listen(child, boot_us)
            self._timers.add(boot_us + LINGER_US, self._stop_lingering, child)

    def _drain(self, child: Child, now_us: int) -> None:
        for stream, _ in child.pipes():
            if child.drain(stream, now_us, DRAIN_READS)[0]:
                self._close(stream, child)

    def _stop_lingering(self, child: Child, _boot_us: int) -> None:
        self._drain(child, self._clock.now_us())
        for stream, _ in child.pipes():
            self._close(stream, child)
        self._finish(child)

    def _finish(self, child: Child) -> None:
        child.done = True
        child.leave_nothing()
        refusal = child.refusal()
        if refusal is not None:
            self._say_never(child, refusal)
        else:
            self._tell(child, reports.ended(child))

    def _give_up(self, child: Child, now_us: int) -> None:
        """The kernel holds it: tell an end that nobody saw. It is reaped if it ever comes."""
        for stream, _ in child.pipes():
            self._close(stream, child)
        child.done = True
        child.ended_us = now_us
        child.leave_nothing()
        message = list(reports.ended(child))
        message[6:8] = None, None  # neither an exit code nor a signal
        message[10] = HELD
        self._tell(child, message)

    def _tell(self, child: Child, message: Message) -> None:
        if self._outbox.overfull:
            child.capture.discard()
        self._post(child, child.capture.fresh())
        self._post(child, child.capture.rest())
        self._outbox.post_end(message)
        del self._children[child.run_id, child.attempt]

    def _say_never(self, child: Child, refusal: SpawnError) -> None:
        """Its launcher could not become the command, or was killed before."""
        code, text = ("", "") if child.killed_by else (refusal.code, refusal.text)
        message = reports.never(child, child.ended_us, child.killed_by, code, text)
        self._outbox.post_end(message)
        del self._children[child.run_id, child.attempt]
