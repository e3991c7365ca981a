"""`gearman submit`: tasks handed in at job servers, in turn or at once, and what became of them."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from cronherd.domain.errors import Unavailable
from cronherd.domain.gearmanconf import LEGACY, Conf
from cronherd.gearman.admin import Admin
from cronherd.gearman.client import Client, Fate, Priority, Request, Ticket, check_request
from cronherd.gearman.packet import Kind
from cronherd.tools.crew import Clock

FAILED = 1
NOTICE_US = 3_000_000
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """`timeout_us`: for each task; None: as long as it takes. `legacy`: for workers of old."""

    tasks: tuple[str, ...]
    payload: bytes = b""
    parallel: bool = False
    background: bool = False
    legacy: bool = False
    timeout_us: int | None = None
    priority: str = "normal"
    unique: str = ""


def submit(conf: Conf, wishes: Wishes, *, clock: Clock, say: Say) -> int:
    """0: all are done, or accepted where they go to the background; 1: some failed.

    Raises Invalid for a name that cannot be a task.
    """
    requests = [_request(task, wishes) for task in wishes.tasks]
    for request in requests:
        check_request(request)
    client = Client(conf.servers, clock, say=say, news=_hear)
    batches = [requests] if wishes.parallel else [[request] for request in requests]
    names, failed = iter(wishes.tasks), 0
    for batch in batches:
        until_us = None if wishes.timeout_us is None else clock.boot_us() + wishes.timeout_us
        tickets = [client.submit(request) for request in batch]
        _wait(client, tickets, until_us, clock, say)
        failed += sum(_failed(ticket, next(names), client, say) for ticket in tickets)
    client.close()
    return FAILED if failed else 0


def _wait(
    client: Client, tickets: list[Ticket], until_us: int | None, clock: Clock, say: Say
) -> None:
    """Until all have ended or it is over. Whoever waits for nobody is told so: it may be a slip."""
    notice_us = clock.boot_us() + NOTICE_US
    if until_us is None or notice_us < until_us:
        if client.wait(tickets, notice_us):
            return
        for ticket in tickets:
            if _is_left_alone(ticket):
                name = ticket.request.function.decode("utf-8", "replace")
                say(f"no worker of {ticket.server} has the function '{name}': the task waits there")
    client.wait(tickets, until_us)


def _is_left_alone(ticket: Ticket) -> bool:
    """Whether its job server has it, and no worker that could take it."""
    if ticket.fate is not None or not ticket.handle or ticket.server is None:
        return False
    name = ticket.request.function.decode("utf-8", "replace")
    try:
        admin = Admin(ticket.server)
        try:
            rows = [row for row in admin.status() if row.function == name]
        finally:
            admin.close()
    except Unavailable:
        return False
    return bool(rows) and not rows[0].workers


def _request(task: str, wishes: Wishes) -> Request:
    name = task.encode(errors="surrogateescape")
    return Request(
        function=LEGACY.encode() if wishes.legacy else name,
        payload=name if wishes.legacy else wishes.payload,
        unique=wishes.unique.encode(errors="surrogateescape"),
        priority=Priority(wishes.priority),
        background=wishes.background,
    )


def _failed(ticket: Ticket, task: str, client: Client, say: Say) -> bool:
    if ticket.fate is Fate.DONE:
        _write(1, ticket.result)
        return False
    alone = _is_left_alone(ticket)
    client.forget(ticket)
    words = ticket.why.decode("utf-8", "replace")
    if ticket.fate is Fate.FAILED:
        say(f"{task} failed: {words}" if words else f"{task} failed")
    elif ticket.fate is not None:
        say(f"{task} was not done: {words}")
    elif ticket.handle:
        why = "no worker has its function" if alone else "its job server still has it"
        say(f"{task} is not done in time; {why}")
    else:
        say(f"{task} was not handed in: no job server took it in time")
    return True


def _hear(_ticket: Ticket, kind: int, piece: bytes) -> None:
    """What its worker writes is shown as it comes; why it failed is said at the end."""
    if kind == Kind.WORK_DATA:
        _write(1, piece)


def _write(descriptor: int, piece: bytes) -> None:
    with suppress(OSError):  # nobody reads
        while piece:
            piece = piece[os.write(descriptor, piece) :]
