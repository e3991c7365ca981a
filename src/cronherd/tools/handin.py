"""The process of a run at a job server: hands the job in, waits, and ends as it did.

What the worker writes is this process's output, how far it is goes to descriptor 3, and the exit
code is that of the worker's command. A server that is lost is looked for again, and what it had
taken is handed in once more under the same unique id: a worker that asks the fleet starts it once.
"""

import json
import os
import re
import signal
import sys
from contextlib import suppress
from types import FrameType

from cronherd.domain.errors import CronherdError
from cronherd.domain.jobserver import read_servers
from cronherd.engine.clock import SystemClock
from cronherd.gearman.admin import Admin
from cronherd.gearman.client import Client, Fate, Priority, Request, Ticket
from cronherd.gearman.packet import Kind

TELLING = 3
FAILED = 1
TOO_LATE = 75
_CODE = re.compile(rb"exit code (\d{1,3})")
_ADMIN_S = 1.0
# Whichever the job has as its stop_signal.
_STOPPING = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip


class _Ended(BaseException):
    """A signal asked this process to end."""


def main() -> int:
    """The exit code."""
    order = json.load(sys.stdin)
    for number in _STOPPING:
        signal.signal(number, _end)
    clock = SystemClock()
    servers = read_servers(order["servers"])
    client = Client(servers, clock, say=_say, news=_hear, again=True)
    request = Request(
        function=order["function"].encode(),
        payload=order["payload"].encode(),
        unique=order["unique"].encode(),
        priority=Priority(order["priority"]),
    )
    ticket = None
    try:
        ticket = client.submit(request)
        if not _accepted(client, ticket, clock, order["until_us"]):
            _tell_error("no job server took it before its start_deadline")
            return TOO_LATE
        client.wait([ticket])
    except CronherdError as error:
        _tell_error(str(error))
        return FAILED
    except _Ended:
        if ticket is not None:
            _take_back(ticket)
        return 128 + signal.SIGTERM
    return _code(ticket)


def _accepted(client: Client, ticket: Ticket, clock: SystemClock, until_us: int | None) -> bool:
    """Wait until a server has it, or until it is too late for that."""
    while ticket.fate is None and not ticket.handle:
        left_us = None if until_us is None else until_us - clock.now_us()
        if left_us is not None and left_us <= 0:
            return False
        client.turn(None if left_us is None else clock.boot_us() + left_us)
    return True


def _code(ticket: Ticket) -> int:
    if ticket.fate is Fate.DONE:
        _write(1, ticket.result)
        return 0
    _tell_error(ticket.why.decode("utf-8", "replace") or "the worker says that it failed")
    found = _CODE.fullmatch(ticket.why)
    return (int(found[1]) if found else 0) or FAILED


def _take_back(ticket: Ticket) -> None:
    """A job that still waits at its server is taken out of the queue; what runs is the worker's."""
    if ticket.server is None or not ticket.handle:
        return
    with suppress(CronherdError):
        admin = Admin(ticket.server, _ADMIN_S)
        admin.cancel(ticket.handle.decode("ascii", "replace"))
        admin.close()


def _hear(ticket: Ticket, kind: int, piece: bytes) -> None:
    if kind == Kind.WORK_DATA:
        _write(1, piece)
    elif kind == Kind.WORK_WARNING and not _CODE.fullmatch(piece):
        _write(2, piece if piece.endswith(b"\n") else piece + b"\n")
    elif kind == Kind.WORK_STATUS and ticket.done is not None:
        _tell({"progress": [ticket.done, ticket.total]})


def _tell_error(text: str) -> None:
    _tell({"error": {"type": "", "message": text}})


def _tell(said: dict[str, object]) -> None:
    _write(TELLING, json.dumps(said).encode() + b"\n")


def _say(text: str) -> None:
    _write(2, f"cronherd: {text}\n".encode())


def _write(descriptor: int, piece: bytes) -> None:
    """All of it, where anybody reads."""
    with suppress(OSError):
        while piece:
            piece = piece[os.write(descriptor, piece) :]


def _end(_number: int, _frame: FrameType | None) -> None:
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)
    raise _Ended
