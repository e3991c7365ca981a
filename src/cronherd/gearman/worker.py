"""A worker: takes jobs from several job servers at once, as many as there is room for."""

import select
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cronherd.domain.jobserver import Server
from cronherd.gearman.link import Clock, Link
from cronherd.gearman.packet import Kind, Packet, encode

_GRAB = encode(Kind.GRAB_JOB_UNIQ)
_SLEEP = encode(Kind.PRE_SLEEP)
_REST_US = 1_000_000
_LONGEST_REST_US = 30_000_000


class Room:
    """How many jobs may be here at once, from all servers together."""

    __slots__ = ("most", "used")

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0


@dataclass(slots=True, eq=False)
class _Side:
    """One server as this worker sees it. `asking`: a GRAB is unanswered; `awake`: one may pay."""

    link: Link
    life: int = 0
    asking: bool = False
    awake: bool = False
    jobs: int = 0
    here: Counter[bytes] = field(default_factory=Counter)
    """Of these jobs, how many each function has."""
    leaving: set[bytes] = field(default_factory=set)
    retired: bool = False
    gave_back: int = 0


@dataclass(slots=True, eq=False)
class Job:
    """One delivery. What is said of it is lost when its connection is: the server delivers anew."""

    handle: bytes
    function: bytes
    unique: bytes
    payload: bytes
    side: _Side = field(repr=False)
    life: int = 0
    open: bool = True

    @property
    def server(self) -> Server:
        return self.side.link.server

    @property
    def lost(self) -> bool:
        """Nobody hears what is said of it."""
        return not (self.side.link.up and self.side.link.life == self.life)

    @property
    def backlog(self) -> int:
        """Bytes said that its server has not taken yet; whoever says more waits a little."""
        return self.side.link.backlog

    def say(self, kind: int, *arguments: bytes) -> None:
        if not self.lost:
            self.side.link.send(encode(kind, self.handle, *arguments))

    def output(self, piece: bytes) -> None:
        self.say(Kind.WORK_DATA, piece)

    def warn(self, text: bytes) -> None:
        self.say(Kind.WORK_WARNING, text)

    def progress(self, done: int, total: int) -> None:
        self.say(Kind.WORK_STATUS, b"%d" % done, b"%d" % total)


class Take(Protocol):
    """Gets each job; its end is said by `Worker.complete`, `fail` or `give_back`."""

    def __call__(self, job: Job) -> None: ...


class Worker:
    """Whoever has it polls `interests`, calls `turn` with what is ready, and `flush` at the end.

    `each`: so many jobs at a time of one server; None: as many as there is room.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        functions: Iterable[bytes],
        clock: Clock,
        take: Take,
        *,
        room: Room,
        name: bytes = b"",
        each: int | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.functions = list(dict.fromkeys(functions))
        self._clock = clock
        self._take = take
        self._room = room
        self._name = name
        self._each = each
        self._say = say
        self.sides = [_Side(Link(server, clock, say)) for server in servers]
        self._next = 0
        self.ending = False

    @property
    def due_us(self) -> int | None:
        """When `turn` is to be called at the latest."""
        dues = [side.link.due_us for side in self.sides]
        return min((due_us for due_us in dues if due_us is not None), default=None)

    def interests(self) -> dict[int, int]:
        """Descriptors, and for which events."""
        links = [side.link for side in self.sides]
        return {link.descriptor: link.events for link in links if link.descriptor >= 0}

    def turn(self, ready: Iterable[int]) -> None:
        """Take in what came on these descriptors, and do what is due."""
        waiting, now_us = set(ready), self._clock.boot_us()
        for side in list(self.sides):
            link = side.link
            due = link.due_us is not None and link.due_us <= now_us
            if due or link.descriptor in waiting:
                for packet in link.turn():
                    if link.up:  # what was given back meanwhile, comes again
                        self._hear(side, packet)
            self._notice(side)
        self.ask()

    def flush(self) -> None:
        for side in self.sides:
            side.link.flush()
            self._notice(side)

    def serve(self, functions: Iterable[bytes], servers: Sequence[Server]) -> None:
        """From now on these functions, and these servers."""
        before, self.functions = set(self.functions), list(dict.fromkeys(functions))
        for side in self.sides:
            side.leaving = (side.leaving | before).difference(self.functions)
            if side.link.up:
                # Nobody is woken for jobs that were there before the function was offered.
                side.awake = True
                self._offer(side, [f for f in self.functions if f not in before])
                self._retract(side)
        there = {side.link.server for side in self.sides}
        for side in self.sides:
            side.retired = side.link.server not in servers
        for server in servers:
            if server not in there:
                self.sides.append(_Side(Link(server, self._clock, self._say)))
        self._let_go()

    def end(self) -> None:
        """Take no more; what is here may still be told of, so nothing is retracted."""
        self.ending = True

    def close(self) -> None:
        for side in self.sides:
            side.link.close()

    def complete(self, job: Job, result: bytes = b"") -> None:
        job.side.gave_back = 0
        job.say(Kind.WORK_COMPLETE, result)
        self._over(job)

    def fail(self, job: Job, why: bytes = b"") -> None:
        """`why` reaches each client as a warning.

        No exception: gearmand 1.1 tells clients that did not ask for exceptions of such an end
        with a spoilt handle, so the `gearman` command would wait for ever.
        """
        job.side.gave_back = 0
        if why:
            job.warn(why)
        job.say(Kind.WORK_FAIL)
        self._over(job)

    def drop(self, job: Job) -> None:
        """It is gone from here without a word: its server is lost, or is about to be left."""
        self._over(job)

    def give_back(self, job: Job) -> None:
        """Leave it to another worker: a server delivers anew what its worker left.

        There is no word for it, so the connection is closed. It comes back after a rest that
        grows while nothing else comes, so that others are asked first.
        """
        side, lost = job.side, job.lost
        self._over(job)
        if not lost:
            rest_us = min(_LONGEST_REST_US, _REST_US << min(side.gave_back, 10))
            side.gave_back += 1
            side.link.lose("", rest_us)

    def ask(self) -> None:
        """Ask those that may have something, in turn, while there is room."""
        count = len(self.sides)
        for step in range(count):
            side = self.sides[(self._next + step) % count]
            if self._room.used >= self._room.most or self.ending:
                return
            full = self._each is not None and side.jobs >= self._each
            if side.awake and not side.asking and not full and not side.retired:
                side.asking, side.awake = True, False
                self._room.used += 1
                side.link.send(_GRAB)
                self._next = (self._next + step + 1) % count

    def _over(self, job: Job) -> None:
        if not job.open:
            return
        job.open = False
        self._room.used -= 1
        job.side.jobs -= 1
        job.side.here[job.function] -= 1
        self._retract(job.side)
        self._let_go()

    def _let_go(self) -> None:
        """Servers that are no longer ours, once nothing of them is here."""
        for side in [side for side in self.sides if side.retired and not side.jobs]:
            if side.asking:
                self._room.used -= 1
            side.link.close()
            self.sides.remove(side)

    def _notice(self, side: _Side) -> None:
        link = side.link
        if link.up and link.life == side.life:
            return
        if side.asking:
            side.asking = False
            self._room.used -= 1
        side.awake = False
        if link.up:
            side.life = link.life
            if self._name:
                link.send(encode(Kind.SET_CLIENT_ID, self._name))
            if not (self.ending or side.retired):
                side.leaving.clear()
                self._offer(side, self.functions)
                side.awake = True

    def _offer(self, side: _Side, new: Iterable[bytes]) -> None:
        for function in new:
            side.link.send(encode(Kind.CAN_DO, function))

    def _retract(self, side: _Side) -> None:
        """Say which functions are no longer offered.

        Not while a job of theirs is here: gearmand would take it away and deliver it anew.
        """
        for function in [each for each in side.leaving if not side.here[each]]:
            side.leaving.discard(function)
            if side.link.up:
                side.link.send(encode(Kind.CANT_DO, function))

    def _hear(self, side: _Side, packet: Packet) -> None:
        kind, arguments = packet
        if kind == Kind.JOB_ASSIGN_UNIQ:
            handle, function, unique, payload = arguments
            if not side.asking:
                self._room.used += 1
            side.asking = False
            side.jobs += 1
            side.here[function] += 1
            side.awake = True
            self._take(Job(handle, function, unique, payload, side, side.link.life))
        elif kind == Kind.NO_JOB:
            if side.asking:
                side.asking = False
                self._room.used -= 1
            side.awake = False
            side.link.send(_SLEEP)
        elif kind == Kind.NOOP:
            side.awake = True
        elif kind == Kind.ERROR:
            self._say(f"the job server {side.link.server} says {b': '.join(arguments)!r}")


def work(worker: Worker, until: Callable[[], bool]) -> None:
    """The plainest loop around a worker, for functions that return at once."""
    while not until():
        worker.flush()
        poll = select.poll()
        for descriptor, events in worker.interests().items():
            poll.register(descriptor, events)
        worker.turn(descriptor for descriptor, _ in poll.poll(100))
