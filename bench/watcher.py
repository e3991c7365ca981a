"""Many live views at once, in a process of its own: SOCKET QUERY VIEWS, or HOST:PORT for SOCKET.

At a port they come with the COOKIE of the environment.

Says `open` when all are told something, and at the end of its input how many events there were.
"""

import asyncio
import os
import socket
import sys

PATIENCE_S = 20


def opened(path: str) -> socket.socket:
    """A connection to a Unix socket, or to HOST:PORT."""
    if path.startswith("/"):
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.connect(path)
        return line
    host, _, port = path.rpartition(":")
    return socket.create_connection((host, int(port)))


async def view(path: str, query: str, told: list[int], number: int) -> None:
    door = opened(path)  # it waits while the server's queue is full, which asyncio does not
    door.settimeout(0)
    reader, writer = await asyncio.open_connection(sock=door, limit=1 << 22)
    cookie = f"Cookie: {os.environ['COOKIE']}\r\n" if "COOKIE" in os.environ else ""
    head = f"GET /api/v1/stream?{query} HTTP/1.1\r\nHost: localhost\r\n{cookie}\r\n"
    writer.write(head.encode())
    while line := await reader.readline():
        told[number] += line.startswith(b"data: ")
    writer.close()


async def main(path: str, query: str, views: int) -> None:
    told = [0] * views
    tasks = [asyncio.ensure_future(view(path, query, told, n)) for n in range(views)]
    async with asyncio.timeout(PATIENCE_S):
        while not all(told):  # noqa: ASYNC110 - it only counts
            await asyncio.sleep(0.05)
    begun = sum(told)
    print("open", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(sum(told) - begun)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
