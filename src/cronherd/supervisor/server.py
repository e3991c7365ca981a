# ruff: noqa: PTH103 -- pathlib would cost this process 5 ms of its birth
"""The supervisor process: one thread, one epoll loop, no waiting anywhere else.

A turn of the loop: look at what is ready, do what is due, spawn a few, then spool and send all
that was reported, as one frame.
"""

import os
import select
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from cronherd import __version__
from cronherd.supervisor import wire
from cronherd.supervisor.allow import ALLOW
from cronherd.supervisor.door import Connection, Door
from cronherd.supervisor.guard import LOCK_NAME, Guard, GuardianError, home_of, take
from cronherd.supervisor.launch import Means
from cronherd.supervisor.order import Order
from cronherd.supervisor.outbox import Outbox
from cronherd.supervisor.runs import EXIT, Runs
from cronherd.supervisor.spool import Spool
from cronherd.supervisor.sweep import sweep
from cronherd.supervisor.timers import Timers

if TYPE_CHECKING:
    from cronherd.supervisor.base import Clock

LOCK_WAIT_S = 15.0
"""The predecessor kills, reaps and reports for at most LEAVE_US; its guardian kills in no time."""
BIRTH_US = 10_000_000
"""An agent that died between launching us and connecting never comes."""
ALONE_US = 2_000_000
"""Without an agent and without a run: whoever comes later starts a supervisor of its own."""
LEAVE_US = 10_000_000
"""From the order to leave: a process that SIGKILL does not end must not keep us for ever."""
FAREWELL_US = 500_000
"""When all is reaped and spooled: what the agent has not read or acked by then is replayed."""
RETRY_US = 500_000
"""Between two tries to spool on a full disk, or to start a guardian."""
STRANGERS = 8
"""Connections that have not said hello yet; the oldest goes when more come."""
SLEEP_US = 3_600_000_000
"""epoll cannot wait for as long as a time limit may be."""
EVENTS = 256
UNDEAD = "a process of an earlier life cannot be killed (state D in ps?)"


class Refusal(Exception):
    """The supervisor cannot live; one sentence says why."""


class Server:
    """Everything the process owns, and its loop."""

    def __init__(self, state: str, socket_path: str, clock: "Clock", allow: str = ALLOW) -> None:
        """Take the place of the supervisor of `state`. Raises Refusal."""
        self._clock = clock
        self._state = state
        self.incarnation = os.urandom(16).hex()
        self._lock = self._take_place()
        self._home = home_of(f"{state}/{LOCK_NAME}")
        guardian_lock = self._take_guardian_lock()
        self._spool = Spool(f"{state}/spool")
        self._epoll = select.epoll()
        self._timers = Timers()
        self._alarm = _signals()  # Before the first look at what a child would inherit.
        self._outbox = Outbox(self._spool)
        means = Means(socket_path, allow)
        self._runs = Runs(clock, self._spool, self._outbox, self._timers, self._epoll, means)
        self._plant_tree()
        self._start_guardian(guardian_lock)
        self._door = Door(socket_path)
        self._epoll.register(self._door, select.EPOLLIN)
        self._epoll.register(self._alarm, select.EPOLLIN)
        self._agent: Connection | None = None
        self._strangers: dict[int, Connection] = {}
        self._retry_us: int | None = None
        self._give_up_us: int | None = None
        self._alone_us: int | None = clock.boot_us() + BIRTH_US
        self._leaving = ""
        self._running = True
        self._report_gone()

    def run(self) -> None:
        """Turn until it is time to leave."""
        epoll = self._epoll
        clock = self._clock
        runs = self._runs
        watched = runs.watched
        while self._running:
            events = epoll.poll(self._sleep_s(), EVENTS)
            if not events:  # Stopped meanwhile, we may have been told what moves what is due.
                events = epoll.poll(0, EVENTS)
            boot_us = clock.boot_us()
            now_us = clock.now_us()
            for descriptor, _ in events:
                watch = watched.get(descriptor)
                if watch is None:
                    self._serve(descriptor)
                elif watch[0] == EXIT:
                    runs.leave(watch[1], boot_us, now_us)
                else:
                    runs.read(watch[0], watch[1], boot_us, now_us)
            self._timers.fire(boot_us)
            runs.spawn_some()
            runs.flush(boot_us)
            runs.hunt_on(boot_us, now_us)
            self._outbox.flush(self._agent)
            self._look_after(boot_us)
        self._close()

    # Birth

    def _take_place(self) -> int:
        os.makedirs(self._state, mode=0o700, exist_ok=True)
        try:
            return take(f"{self._state}/{LOCK_NAME}", LOCK_WAIT_S)
        except TimeoutError:
            raise Refusal(
                f"another supervisor holds {self._state}/{LOCK_NAME}: "
                "stop it, or give this node a state directory of its own"
            ) from None

    def _take_guardian_lock(self) -> int:
        """The lock of the earlier guardian: with it in hand, nothing of that life runs any more."""
        try:
            return take(f"{self._state}/guardian.lock", LOCK_WAIT_S)
        except TimeoutError:
            raise Refusal(
                f"the guardian of an earlier supervisor still holds {self._state}/guardian.lock: "
                "a process of its runs cannot be killed (state D in ps?)"
            ) from None

    def _plant_tree(self) -> None:
        """Control groups for the runs, where we may make them."""
        if not self._runs.limits.tree.plant(self._home.replace(":", "-"), f"{self._state}/cgroup"):
            raise Refusal(UNDEAD)

    def _start_guardian(self, lock: int) -> None:
        self._runs.guard = guard = Guard(lock, self._runs.table, self._runs.limits.tree.path)
        self._epoll.register(guard.pidfd, select.EPOLLIN)

    def _report_gone(self) -> None:
        """Say of what an earlier life left open that it is dead, once it is."""
        now_open = list(self._spool.open.items())
        if not sweep({run_id for (run_id, _), _ in now_open}):
            raise Refusal(UNDEAD)
        for (run_id, attempt), token in now_open:
            self._outbox.post_end(("gone", run_id, attempt, token))
        self._outbox.flush(None)

    # Connections

    def _serve(self, descriptor: int) -> None:
        agent = self._agent
        guard = self._runs.guard
        if agent is not None and descriptor == agent.fd:
            self._hear(agent)
        elif descriptor == self._door.fileno():
            self._welcome()
        elif descriptor in self._strangers:
            self._meet(self._strangers[descriptor])
        elif guard is not None and descriptor == guard.pidfd:
            self._replace_guardian()
        elif descriptor == self._alarm:
            os.read(self._alarm, 64)
            self._leave("shutdown")

    def _welcome(self) -> None:
        stranger = self._door.accept()
        if stranger is None:
            return
        if len(self._strangers) >= STRANGERS:
            self._part(next(iter(self._strangers.values())))
        self._strangers[stranger.fd] = stranger
        self._epoll.register(stranger.fd, select.EPOLLIN)

    def _meet(self, stranger: Connection) -> None:
        """The first frame of a connection decides whether it is the agent."""
        try:
            frames = stranger.receive()
            if frames is None:
                self._part(stranger)
                return
            if not frames:
                return
            wire.greeted(frames[0][0])
        except wire.WireError as error:
            stranger.send(wire.pack([["refused", wire.code_of(error), str(error)]]))
            self._part(stranger)
            return
        if self._leaving:
            self._part(stranger)
            return
        self._hear_out()
        del self._strangers[stranger.fd]
        self._agent = stranger
        facts = {
            "incarnation": self.incarnation,
            "pid": os.getpid(),
            "version": __version__,
            "home": self._home,
            "replay_until": self._spool.replay_until,
            "live": self._runs.live(),
            "unfenced": self._runs.unfenced,
            "cgroups": self._runs.limits.tree.fact,
        }
        stranger.send(wire.greeting(**facts))
        self._outbox.rewind()
        self._outbox.pump(stranger)
        self._obey_all(frames[1:])

    def _part(self, stranger: Connection) -> None:
        self._epoll.unregister(stranger.fd)
        del self._strangers[stranger.fd]
        stranger.close()

    def _hear_out(self) -> None:
        """Whoever says hello holds the agent's lock, so the one before is dead.

        What that one had ordered lies in its socket, and comes first.
        """
        while (agent := self._agent) is not None:
            before = agent.heard
            self._hear(agent)
            if self._agent is not None and agent.heard == before:
                self._lose_agent(agent)

    def _hear(self, agent: Connection) -> None:
        """What the agent wants. If it breaks the protocol it is as good as gone."""
        if agent.is_waiting():
            agent.push()
            self._outbox.pump(agent)
        try:
            frames = agent.receive()
            if frames is None:
                self._lose_agent(agent)
            else:
                self._obey_all(frames)
        except wire.WireError as error:
            agent.send(wire.pack([["refused", "protocol", str(error)]]))
            self._lose_agent(agent)

    def _obey_all(self, frames: list[wire.Frame]) -> None:
        for messages, blob in frames:
            try:
                self._obey(messages, blob)
            except (IndexError, TypeError, ValueError) as error:
                raise wire.WireError(f"a message with wrong fields: {error}") from None

    def _obey(self, messages: list[list[Any]], blob: bytes) -> None:
        runs = self._runs
        orders: list[Order] = []
        at = 0
        for message in messages:
            kind = message[0]
            if kind == "start":
                size = message[-1]
                if type(size) is not int or not 0 <= size <= len(blob) - at:
                    raise wire.WireError("a start whose stdin is not in its frame")
                orders.append(Order(message, blob[at : at + size]))
                at += size
                continue
            runs.accept(orders)
            orders = []
            if kind == "cancel":
                runs.cancel((str(message[1]), int(message[2])))
            elif kind == "renewed":
                runs.renewed(None if message[1] is None else int(message[1]))
            elif kind == "ack":
                self._spool.ack(int(message[1]))
            elif kind == "shutdown":
                self._leave("shutdown")
            else:
                raise wire.WireError(f"no message is called {kind[:40]!r}")
        runs.accept(orders)

    def _lose_agent(self, agent: Connection) -> None:
        """Runs outlive their agent: the next one finds them here, and their ends in the spool."""
        self._agent = None
        self._epoll.unregister(agent.fd)
        agent.close()

    # Care of what may fail, and the end

    def _look_after(self, boot_us: int) -> None:
        """What is not urgent: a slow agent, a full disk, a lost guardian, leaving."""
        agent = self._agent
        if agent is not None:
            self._epoll.modify(
                agent.fd, select.EPOLLIN | (select.EPOLLOUT if agent.is_waiting() else 0)
            )
        if self._retry_us is not None and boot_us >= self._retry_us:
            self._retry_us = None
            self._outbox.retry(agent)
            if self._runs.guard is None:
                self._replace_guardian()
        if self._retry_us is None and (self._outbox.blocked or self._runs.guard is None):
            self._retry_us = boot_us + RETRY_US
        if self._agent is not None or len(self._runs):
            self._alone_us = None
        elif self._alone_us is None:
            self._alone_us = boot_us + ALONE_US
        elif boot_us >= self._alone_us and not self._strangers:
            self._running = False
        if self._give_up_us is not None and boot_us >= self._give_up_us:
            self._running = False
        elif self._leaving:
            self._try_to_leave(boot_us)

    def _replace_guardian(self) -> None:
        runs = self._runs
        if runs.guard is not None:
            self._epoll.unregister(runs.guard.pidfd)
            runs.guard.bury()
            runs.guard = None
        # While there is none, nothing is spawned; it is tried again.
        with suppress(GuardianError, OSError, TimeoutError):
            self._start_guardian(take(f"{self._state}/guardian.lock", 1.0))

    def _leave(self, reason: str) -> None:
        """Kill everything; the loop ends when all of it is reaped, spooled and told."""
        if not self._leaving:
            self._leaving = reason
            self._give_up_us = self._clock.boot_us() + LEAVE_US
        self._runs.kill_all(self._leaving)

    def _try_to_leave(self, boot_us: int) -> None:
        if len(self._runs):
            return
        agent = self._agent
        if agent is None:
            self._running = self._outbox.blocked
        elif self._outbox.is_delivered() and not agent.is_waiting() and self._spool.is_acked():
            self._running = False
        farewell_us = boot_us + FAREWELL_US
        self._give_up_us = min(self._give_up_us or farewell_us, farewell_us)

    def _sleep_s(self) -> float:
        if self._runs.waiting():
            return 0
        hunt_us = self._runs.limits.hunt.next_us
        ends_us = (self._alone_us, self._give_up_us)
        dues = (self._timers.next_us(), hunt_us, self._retry_us, *ends_us)
        due_us = min((due for due in dues if due is not None), default=None)
        if due_us is None:
            return -1
        return min(max(0, due_us - self._clock.boot_us()), SLEEP_US) / 1_000_000

    def _close(self) -> None:
        """Nothing of ours is left; what SIGKILL did not end in time is the guardian's."""
        self._runs.limits.tree.uproot()
        self._door.close()
        if self._agent is not None:
            self._agent.close()


def _signals() -> int:
    """SIGTERM and SIGINT as a readable descriptor; the terminal's end is not ours."""
    read_end, write_end = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(write_end)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    return read_end
