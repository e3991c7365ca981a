"""The server of the local socket: uvicorn in a thread, on a socket that this file binds."""

import asyncio
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import uvicorn
from starlette.types import ASGIApp

from cronherd.client.line import SOCKET_PATH_BYTES, connect_to
from cronherd.domain.errors import Conflict, CronherdError, Unavailable

BACKLOG = 128
HEADER_BYTES = 64 << 10
ASK_S = 1.0  # a live server's kernel answers a connect at once
START_S = 10.0
LEAVE_S = 0.5  # for requests and streams to end by themselves
STOP_S = 0.4  # and then for their connections to be cut


class ApiServer:
    """Serves an app on a Unix socket that only its owner may use."""

    def __init__(self, app: ASGIApp, socket_path: Path) -> None:
        self._path = socket_path
        self._server = _Server(app)
        self._thread: Thread | None = None
        self._line: socket.socket | None = None
        self._identity: tuple[int, int] | None = None

    def start(self) -> None:
        """Bind and serve; returns once it answers. Raises Conflict, Unavailable."""
        self._line = self._bind()
        self._thread = Thread(target=self._serve, args=[self._line], name="api", daemon=True)
        self._thread.start()
        try:
            self._server.up.result(START_S)
        except TimeoutError:
            self.stop()
            raise Unavailable("the server does not start", code="no_start") from None

    def stop(self) -> None:
        """End within a second, with open streams, too; the same again does nothing."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(LEAVE_S)
            if self._thread.is_alive():
                self._server.cut()
                self._thread.join(STOP_S)
        if self._line is not None:
            self._line.close()
            self._remove()

    def _serve(self, line: socket.socket) -> None:
        try:
            asyncio.run(self._server.serve([line]))
        except BaseException as error:  # SystemExit, too: uvicorn ends the process at a bad start
            if self._server.up.done():
                raise
            self._server.up.set_exception(Unavailable(f"the server does not start: {error}"))

    def _bind(self) -> socket.socket:
        """Bind and listen under the folder's lock: of two that start, one finds the other live."""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(self._path.parent) as folder:
                self._clear(folder)
                line = self._listen(folder)
                found = os.stat(self._path.name, dir_fd=folder)
                self._identity = found.st_dev, found.st_ino
                return line
        except OSError as error:
            sentence = f"cannot listen at {self._path}: {error.strerror or error}"
            raise Unavailable(sentence, code="not_bindable") from None

    def _clear(self, folder: int) -> None:
        """Remove what a dead process left; anything else is an error."""
        name = self._path.name
        try:
            mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            sentence = f"{self._path} is in the way and not a socket"
            raise Conflict(sentence, code="not_a_socket", hint="move it elsewhere")
        if _is_live(self._path):
            raise _already_running(self._path)
        os.unlink(name, dir_fd=folder)

    def _listen(self, folder: int) -> socket.socket:
        short = len(os.fsencode(self._path)) <= SOCKET_PATH_BYTES
        address = str(self._path) if short else f"/proc/self/fd/{folder}/{self._path.name}"
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The file is made with the mode of its socket: it is never open to others, not even
            # for a moment, and the umask of the process, which all threads share, stays.
            os.fchmod(line.fileno(), 0o600)
            line.bind(address)
            line.listen(BACKLOG)
        except OSError:
            line.close()
            raise
        line.settimeout(0)
        return line

    def _remove(self) -> None:
        """Unless another server has replaced it meanwhile."""
        with suppress(OSError), _locked(self._path.parent) as folder:
            found = os.stat(self._path.name, dir_fd=folder, follow_symlinks=False)
            if self._identity == (found.st_dev, found.st_ino):
                os.unlink(self._path.name, dir_fd=folder)
        self._identity = None


class _Server(uvicorn.Server):
    """uvicorn that says when it is up, and that can cut its connections."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                interface="asgi3",
                log_config=None,  # the log belongs to the process
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                backlog=BACKLOG,
                h11_max_incomplete_event_size=HEADER_BYTES,
            )
        )
        self.up: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.up.set_result(None)

    def cut(self) -> None:
        """From any thread: what has not ended by itself loses its connection."""
        with suppress(RuntimeError):  # the loop has ended in between
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(folder)


def _is_live(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(ASK_S)
        try:
            connect_to(line, path)
        except ConnectionRefusedError:
            return False
        except TimeoutError:
            return True  # its queue is full: it is there and busy
        return True


def _already_running(path: Path) -> CronherdError:
    return Conflict(f"another cronherd answers at {path}", code="already_running")
