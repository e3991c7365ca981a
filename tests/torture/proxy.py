"""The network between nodes and their database, as bad as wanted.

    python -m tests.torture.proxy KIND HOST:PORT NODES SEED LISTEN

A process of its own. It says the port of each node's door on its first line; then each line of its
input is a JSON object {"door": 0, "mode": "delay", "ms": 50, "jitter": 20}. Modes:

    pass       nothing
    delay      each piece both ways `ms` ± `jitter` late
    cut        connections are reset, new ones too
    blackhole  what comes is accepted and swallowed, both ways
    mute       requests pass, answers are swallowed
    forget     with `share`, the answer to a COMMIT is swallowed and the connection reset

Lives until its input ends.
"""

import asyncio
import json
import random
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.torture.wire import reader_for

PIECE = 1 << 16
ROOT = Path(__file__).resolve().parents[2]


@dataclass(slots=True)
class Mode:
    """What a door does at the moment; `swallowed` counts answers to COMMIT that were dropped."""

    name: str = "pass"
    ms: float = 0.0
    jitter: float = 0.0
    share: float = 1.0


@dataclass(slots=True, eq=False)
class Pair:
    """One connection through a door. `late`: the next answer is to a COMMIT and gets lost."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    late: bool = False

    def reset(self) -> None:
        for writer in (self.client, self.server):
            raw = writer.get_extra_info("socket")
            # Linger of 0: the close becomes a reset, as when a firewall forgets a connection.
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()


@dataclass(slots=True, eq=False)
class Door:
    """One node's way to the database."""

    kind: str
    host: str
    port: int
    chance: random.Random
    mode: Mode = field(default_factory=Mode)
    pairs: set[Pair] = field(default_factory=set)
    swallowed: int = 0

    def set_mode(self, mode: Mode) -> None:
        self.mode = mode
        if mode.name == "cut":
            for pair in list(self.pairs):
                pair.reset()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            server_reader, server_writer = await asyncio.open_connection(self.host, self.port)
        except OSError:
            writer.transport.abort()
            return
        pair = Pair(writer, server_writer)
        if self.mode.name == "cut":
            pair.reset()
            return
        self.pairs.add(pair)
        ways = [
            asyncio.create_task(self._requests(reader, server_writer, pair)),
            asyncio.create_task(self._answers(server_reader, writer, pair)),
        ]
        try:
            # One side has ended: so does the other.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self.pairs.discard(pair)
            writer.close()
            server_writer.close()

    async def _requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: Pair
    ) -> None:
        seen = reader_for(self.kind)
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                await self._wait()
                if self.mode.name == "blackhole":
                    continue
                is_commit = seen.feed(piece)
                forgets = self.mode.name == "forget"
                if is_commit and forgets and self.chance.random() < self.mode.share:
                    pair.late = True
                writer.write(piece)
                await writer.drain()

    async def _answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pair: Pair
    ) -> None:
        with suppress(OSError):
            while piece := await reader.read(PIECE):
                await self._wait()
                if pair.late:
                    self.swallowed += 1
                    pair.reset()
                    return
                if self.mode.name in {"blackhole", "mute"}:
                    continue
                writer.write(piece)
                await writer.drain()

    async def _wait(self) -> None:
        if self.mode.name == "delay":
            spread = self.chance.uniform(-self.mode.jitter, self.mode.jitter)
            await asyncio.sleep(max(0.0, self.mode.ms + spread) / 1000)


async def serve(kind: str, target: str, nodes: int, seed: int, listen: str) -> None:
    host, _, port = target.rpartition(":")
    chance = random.Random(seed)
    doors = [Door(kind, host, int(port), random.Random(chance.random())) for _ in range(nodes)]
    servers = [await asyncio.start_server(door.serve, listen, 0) for door in doors]
    _answer([server.sockets[0].getsockname()[1] for server in servers])
    loop = asyncio.get_running_loop()
    orders = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    while line := await orders.readline():
        order = json.loads(line)
        door = doors[order.pop("door")]
        if order:
            order["name"] = order.pop("mode")
            door.set_mode(Mode(**order))
        _answer({"swallowed": door.swallowed})
    for door in doors:
        for pair in list(door.pairs):
            pair.reset()


def _answer(document: object) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


class Network:
    """The torture's side: starts the process and tells it what to do."""

    def __init__(
        self, kind: str, target: str, nodes: int, seed: int, listen: str = "127.0.0.1"
    ) -> None:
        words = [kind, target, str(nodes), str(seed), listen]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.proxy", *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the torture, which then ends this in order
        )
        assert self._process.stdout is not None
        self.ports: list[int] = json.loads(self._process.stdout.readline())

    def order(self, door: int, mode: str, **how: float) -> int:
        """Set a door's mode; how many answers to COMMIT it has swallowed so far."""
        return self._ask({"door": door, "mode": mode, **how})

    def swallowed(self, door: int) -> int:
        return self._ask({"door": door})

    def _ask(self, order: dict[str, object]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: dict[str, int] = json.loads(self._process.stdout.readline())
        return answer["swallowed"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(5)
        finally:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))
