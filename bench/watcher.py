"""Many live views at once, in a process of its own: SOCKET QUERY VIEWS.

Says `open` when all are told something, and at the end of its input how many events there were.
"""

import asyncio
import socket
import sys

PATIENCE_S = 20


async def view(path: str, query: str, told: list[int], number: int) -> None:
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.connect(path)  # it waits while the server's queue is full, which asyncio does not
    line.settimeout(0)
    reader, writer = await asyncio.open_unix_connection(sock=line, limit=1 << 22)
    writer.write(f"GET /api/v1/stream?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
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
