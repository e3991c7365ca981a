"""A process that does with a lock what its standard input says, one word a line.

    python -m tests.locks.holder WHERE EXPIRY_S

WHERE is as people write it, or `fleet:SOCKET!NAME` for a fleet that is served at a socket.
`acquire`, `wait`, `share`, `renew`, `release`, or `gap SECONDS`; each is answered with one line.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from cronherd.client import Client
from cronherd.domain.errors import Unavailable
from cronherd.engine.clock import SystemClock
from cronherd.locks.address import open_lock
from cronherd.locks.base import Held, Lock
from cronherd.locks.fleet import Book, Json


def open_at(where: str, expiry_s: float) -> Lock:
    expiry_us = round(expiry_s * 1_000_000)
    socket, mark, name = where.removeprefix("fleet:").rpartition("!")
    if not mark:
        return open_lock(where, SystemClock(), {}, expiry_us=expiry_us)
    client = Client.over_socket(Path(socket))

    def ask(question: Callable[[Book], Json]) -> Json:
        return question(client)

    return open_lock(name, SystemClock(), {}, expiry_us=expiry_us, fleet=ask)


def obey(words: list[str], lock: Lock, held: Held | None) -> tuple[str, Held | None]:
    match words:
        case ["acquire" | "share"]:
            held = lock.acquire(shared=words[0] == "share")
            return ("refused" if held is None else f"held {held.fence}"), held
        case ["wait"]:
            held = lock.acquire(wait_us=None)
            return "held", held
        case ["renew"]:
            assert held is not None
            return str(held.renew()), held
        case ["release"]:
            assert held is not None
            return str(held.release()), held
        case ["gap", seconds]:
            assert held is not None
            return str(held.release(gap_us=round(float(seconds) * 1_000_000))), held
    raise ValueError(words)


def main(where: str, expiry_s: str) -> None:
    lock = open_at(where, float(expiry_s))
    held: Held | None = None
    for line in sys.stdin:
        try:
            answer, held = obey(line.split(), lock, held)
        except Unavailable as error:
            answer = error.code
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
