"""A client: hands jobs to the first job server that answers, and hears what becomes of them."""

import select
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from cronherd.domain.errors import Invalid
from cronherd.domain.jobserver import FUNCTION_BYTES, UNIQUE_BYTES, Server
from cronherd.gearman.link import Clock, Link
from cronherd.gearman.packet import Kind, Packet, encode

_LONGEST_MS = 60_000


class Priority(StrEnum):
    """Before or behind others in the queue of a job server."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Fate(StrEnum):
    """What became of a job, as far as this client will ever know."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    LOST = "lost"


_SUBMIT = {
    (Priority.HIGH, False): Kind.SUBMIT_JOB_HIGH,
    (Priority.HIGH, True): Kind.SUBMIT_JOB_HIGH_BG,
    (Priority.NORMAL, False): Kind.SUBMIT_JOB,
    (Priority.NORMAL, True): Kind.SUBMIT_JOB_BG,
    (Priority.LOW, False): Kind.SUBMIT_JOB_LOW,
    (Priority.LOW, True): Kind.SUBMIT_JOB_LOW_BG,
}
# gearmand forgets a job at its exception; others send WORK_FAIL behind it, which is nobody's then.
_ENDS = {Kind.WORK_COMPLETE, Kind.WORK_FAIL, Kind.WORK_EXCEPTION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A job to hand in. `unique`: a server keeps one of a name and an id at a time."""

    function: bytes
    payload: bytes = b""
    unique: bytes = b""
    priority: Priority = Priority.NORMAL
    background: bool = False

    def packet(self) -> bytes:
        return encode(
            _SUBMIT[self.priority, self.background], self.function, self.unique, self.payload
        )


@dataclass(slots=True, eq=False)
class Ticket:
    """A job that was handed in. `result` is what its worker gave; `why`, what it complained of."""

    request: Request
    server: Server | None = None
    handle: bytes = b""
    fate: Fate | None = None
    result: bytes = b""
    why: bytes = b""
    done: int | None = None
    total: int | None = None
    known: bool | None = None
    """What a server last said to GET_STATUS: whether it has the job, and whether it runs."""
    running: bool | None = None
    handed_in: int = 0
    """How often."""


News = Callable[[Ticket, int, bytes], None]


def check_request(request: Request) -> None:
    """Raises Invalid for what no server keeps as it is."""
    for what, name, most in (
        ("function", request.function, FUNCTION_BYTES),
        ("unique id", request.unique, UNIQUE_BYTES),
    ):
        if len(name) > most or (what == "function" and not name):
            raise Invalid(f"the {what} must have 1 to {most} bytes", code="bad_gearman_name")
        if any(byte < 0x20 or byte == 0x7F for byte in name):
            raise Invalid(
                f"the {what} must not contain control characters", code="bad_gearman_name"
            )


@dataclass(slots=True)
class _Side:
    """What is on its way with one server, in one life of its connection."""

    link: Link
    life: int = 0
    unanswered: deque[Ticket | None] = field(default_factory=deque)
    accepted: dict[bytes, list[Ticket]] = field(default_factory=dict)


class Client:
    """For one thread. `again`: what a lost server had taken is handed in once more.

    Without `again` such a job is LOST: nobody knows whether a worker runs it.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        clock: Clock,
        *,
        say: Callable[[str], None] = lambda _: None,
        news: News = lambda _ticket, _kind, _piece: None,
        again: bool = False,
    ) -> None:
        self._clock = clock
        self._again = again
        self._news = news
        self._sides = [_Side(Link(server, clock, say)) for server in servers]
        self._waiting: deque[Ticket] = deque()

    def submit(self, request: Request) -> Ticket:
        """Hand it in as soon as a server is there. Raises Invalid."""
        check_request(request)
        ticket = Ticket(request)
        self._waiting.append(ticket)
        return ticket

    def forget(self, ticket: Ticket) -> None:
        """Nobody waits for it any more; a server that took it keeps it."""
        if ticket in self._waiting:
            self._waiting.remove(ticket)

    def ask_status(self, ticket: Ticket) -> None:
        """Its server's answer comes into `known`, `running`, `done` and `total`."""
        for side in self._sides:
            if side.link.up and ticket in side.accepted.get(ticket.handle, ()):
                side.link.send(encode(Kind.GET_STATUS, ticket.handle))

    def wait(self, tickets: Iterable[Ticket], until_us: int | None = None) -> bool:
        """Until all of them have their fate: True; False at that instant of the boot clock."""
        pending = [ticket for ticket in tickets if ticket.fate is None]
        while pending:
            if until_us is not None and self._clock.boot_us() >= until_us:
                return False
            self.turn(until_us)
            while pending and pending[-1].fate is not None:
                pending.pop()
        return True

    def turn(self, until_us: int | None, also: Sequence[int] = ()) -> list[int]:
        """Wait for what happens next, and take it in: those of `also` that are ready."""
        self._hand_in()
        poll = select.poll()
        for side in self._sides:
            side.link.flush()
            if side.link.descriptor >= 0:
                poll.register(side.link.descriptor, side.link.events)
        for descriptor in also:
            poll.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(self._pause_ms(until_us))}
        now_us = self._clock.boot_us()
        for side in self._sides:
            link = side.link
            due = link.due_us is not None and link.due_us <= now_us
            if due or link.descriptor in ready:
                for packet in link.turn():
                    self._take(side, packet)
            self._notice(side)
        return [descriptor for descriptor in also if descriptor in ready]

    def close(self) -> None:
        for side in self._sides:
            side.link.close()

    def _pause_ms(self, until_us: int | None) -> int:
        dues = [until_us, *(side.link.due_us for side in self._sides)]
        known = [due_us for due_us in dues if due_us is not None]
        left_us = min(known, default=1 << 60) - self._clock.boot_us()
        return max(0, min(_LONGEST_MS, -(-left_us // 1_000)))

    def _notice(self, side: _Side) -> None:
        """A connection was made, or lost with all that was on its way."""
        link = side.link
        if link.up and link.life == side.life:
            return
        if side.unanswered or side.accepted:
            lost = [ticket for ticket in side.unanswered if ticket is not None]
            lost += [ticket for tickets in side.accepted.values() for ticket in tickets]
            side.unanswered.clear()
            side.accepted.clear()
            for ticket in lost:
                ticket.handle = b""
                if self._again:
                    self._waiting.append(ticket)
                else:
                    ticket.why = f"the job server {link.server} was lost with it".encode()
                    ticket.fate = Fate.LOST
        if link.up:
            side.life = link.life
            # First and by itself, so that its answer is no other's.
            side.unanswered.append(None)
            link.send(encode(Kind.OPTION_REQ, b"exceptions"))

    def _hand_in(self) -> None:
        while self._waiting:
            side = self._first_up()
            if side is None:
                return
            ticket = self._waiting.popleft()
            ticket.server = side.link.server
            ticket.handed_in += 1
            side.unanswered.append(ticket)
            side.link.send(ticket.request.packet())

    def _first_up(self) -> _Side | None:
        """The first that is there; one that was not tried yet is waited for."""
        for side in self._sides:
            if side.link.up and side.life == side.link.life:
                return side
            if not side.link.failed:
                return None
        return None

    def _take(self, side: _Side, packet: Packet) -> None:
        kind, arguments = packet
        if kind == Kind.JOB_CREATED:
            self._created(side, arguments[0])
        elif kind == Kind.OPTION_RES or (kind == Kind.ERROR and _is_option(side)):
            side.unanswered.popleft()
        elif kind == Kind.ERROR:
            text = b": ".join(arguments)
            ticket = side.unanswered.popleft() if side.unanswered else None
            if ticket is not None:
                ticket.why, ticket.fate = text, Fate.REFUSED
        elif kind == Kind.STATUS_RES:
            for ticket in side.accepted.get(arguments[0], ()):
                ticket.known, ticket.running = (part == b"1" for part in arguments[1:3])
                ticket.done, ticket.total = (_number(part) for part in arguments[3:])
        elif arguments and arguments[0] in side.accepted:
            self._tell(side, kind, arguments)

    def _created(self, side: _Side, handle: bytes) -> None:
        ticket = side.unanswered.popleft() if side.unanswered else None
        if ticket is None:
            side.link.lose("it answered what nobody asked")
            return
        ticket.handle = handle
        if ticket.request.background:
            ticket.fate = Fate.DONE
            return
        side.accepted.setdefault(handle, []).append(ticket)

    def _tell(self, side: _Side, kind: int, arguments: Sequence[bytes]) -> None:
        """Two that share a unique id share the job; the server tells each of them."""
        handle, *rest = arguments
        tickets = side.accepted[handle]
        ticket, piece = tickets[0], rest[0] if rest else b""
        if kind in _ENDS:
            tickets.pop(0)
            if not tickets:
                del side.accepted[handle]
            done = kind == Kind.WORK_COMPLETE
            ticket.fate = Fate.DONE if done else Fate.FAILED
            ticket.result = piece if done else b""
            ticket.why = piece if kind == Kind.WORK_EXCEPTION else ticket.why
        elif kind == Kind.WORK_STATUS:
            ticket.done, ticket.total = _number(rest[0]), _number(rest[1])
        elif kind == Kind.WORK_WARNING:
            ticket.why = piece
        self._news(ticket, kind, piece)


def _is_option(side: _Side) -> bool:
    return bool(side.unanswered) and side.unanswered[0] is None


def _number(text: bytes) -> int | None:
    """A worker may have written anything here."""
    return int(text) if len(text) <= 18 and text.isdigit() else None
