"""The process that owns the servers of one test session, and ends with it.

    python -m tests.servers.keeper FOLDER SOCKET_FD

It serves requests of one line of JSON on a listening socket, one after the other, until its
standard input ends: the other end of that pipe is in the process that started it, so it closes
however that process ends. Then every server is ended and the folder removed. Should the keeper be
killed, the kernel ends the servers (PR_SET_PDEATHSIG). One thread only: that signal comes when the
thread that started a server ends.
"""

import json
import os
import select
import shutil
import signal
import socket
import sys
from pathlib import Path

from tests.servers.caches import CACHES
from tests.servers.engines import ENGINES, Server, ServerBroken, ServerMissing
from tests.servers.jobservers import JOB_SERVERS


class Keeper:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._servers: dict[str, Server] = {}

    def answer(self, request: dict[str, str]) -> dict[str, object]:
        try:
            server = self._server(request["kind"])
            if request["verb"] == "start":
                server.start()
            else:
                server.stop()
        except ServerMissing as error:
            return {"missing": str(error)}
        except ServerBroken as error:
            return {"broken": str(error)}
        assert server.process is not None
        return {
            "url": server.engine.url(server.port),
            "socket": str(server.engine.socket(server.home, server.port)),
            "pid": server.process.pid,
            "home": str(server.home),
        }

    def _server(self, kind: str) -> Server:
        if kind not in self._servers:
            self._servers[kind] = Server(
                engine={**ENGINES, **CACHES, **JOB_SERVERS}[kind], home=self._folder / kind
            )
        return self._servers[kind]

    def close(self) -> None:
        for server in self._servers.values():
            server.drop()
        shutil.rmtree(self._folder, ignore_errors=True)


def serve(keeper: Keeper, listener: socket.socket, life: int) -> None:
    """Answer until `life`, the descriptor of a pipe, ends."""
    while True:
        ready, _, _ = select.select([life, listener.fileno()], [], [])
        if life in ready:
            return
        connection, _ = listener.accept()
        with connection, connection.makefile("rw", encoding="utf-8") as lines:
            text = lines.readline()
            if text:
                lines.write(json.dumps(keeper.answer(json.loads(text))) + "\n")


def main(folder: str, socket_fd: str) -> None:
    # Only the pipe ends it. A function and not SIG_IGN, which the servers would inherit.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, lambda *_: None)
    keeper = Keeper(Path(folder))
    try:
        with socket.socket(fileno=int(socket_fd)) as listener:
            serve(keeper, listener, sys.stdin.fileno())
    finally:
        keeper.close()


if __name__ == "__main__":
    os.umask(0o077)
    main(*sys.argv[1:])
