"""The server: uvicorn in a thread, on a Unix socket that this file binds, and on ports."""

import asyncio
import fcntl
import os
import socket
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from cronherd.api import patience
from cronherd.api.line import Locally, Port
from cronherd.api.ports import Ports
from cronherd.client.line import SOCKET_PATH_BYTES, connect_to
from cronherd.domain.errors import Conflict, CronherdError, Unavailable

BACKLOG = 128
HEADER_BYTES = 64 << 10
ASK_S = 1.0  # a live server's kernel answers a connect at once
START_S = 10.0
LEAVE_S = 0.5  # for requests and streams to end by themselves
STOP_S = 0.4  # and then for their connections to be cut
CONNECTIONS = 1_000  # by ports; the Unix socket has room besides


class ApiServer:
    """Serves an app on a Unix socket that only its owner may use, on ports, or on both.

    All in one loop of one thread, so that what the app holds in memory is held once.
    """

    def __init__(
        self,
        app: ASGIApp,
        socket_path: Path | None,
        ports: Ports | None = None,
        *,
        leave: Callable[[], None] = lambda: None,
    ) -> None:
        """`leave` ends live views by themselves, before they would be cut."""
        self._leave = leave
        self._path = socket_path
        self._ports = ports
        self._server = _Server(app, ports)
        self._thread: Thread | None = None
        self._line: socket.socket | None = None
        self._identity: tuple[int, int] | None = None

    def start(self) -> None:
        """Bind and serve; returns once it answers. Raises Conflict, Unavailable."""
        if self._path is not None:
            self._line = self._bind(self._path)
        lines = [] if self._line is None else [self._line]
        self._thread = Thread(target=self._serve, args=[lines], name="api", daemon=True)
        self._thread.start()
        try:
            self._server.up.result(START_S)
        except TimeoutError:
            self.stop()
            raise Unavailable("the server does not start", code="no_start") from None

    def stop(self) -> None:
        """End within a second, with open streams, too; the same again does nothing."""
        self._leave()
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(LEAVE_S)
            if self._thread.is_alive():
                self._server.cut()
                self._thread.join(STOP_S)
        for port in self._ports.sockets if self._ports else ():
            port.close()
        if self._line is not None:
            self._line.close()
            self._remove()

    def _serve(self, lines: list[socket.socket]) -> None:
        try:
            asyncio.run(self._server.serve(lines))
        except BaseException as error:  # SystemExit, too: uvicorn ends the process at a bad start
            if self._server.up.done():
                raise
            self._server.up.set_exception(Unavailable(f"the server does not start: {error}"))

    def _bind(self, path: Path) -> socket.socket:
        """Bind and listen under the folder's lock: of two that start, one finds the other live."""
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(path.parent) as folder:
                _clear(path, folder)
                line = _listen(path, folder)
                found = os.stat(path.name, dir_fd=folder)
                self._identity = found.st_dev, found.st_ino
                return line
        except OSError as error:
            sentence = f"cannot listen at {path}: {error.strerror or error}"
            raise Unavailable(sentence, code="not_bindable") from None

    def _remove(self) -> None:
        """Unless another server has replaced it meanwhile."""
        path = self._path
        if path is None:
            return
        with suppress(OSError), _locked(path.parent) as folder:
            found = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
            if self._identity == (found.st_dev, found.st_ino):
                os.unlink(path.name, dir_fd=folder)
        self._identity = None


def _settings(app: ASGIApp, **more: Any) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="asyncio",
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
        **more,
    )


class _Server(uvicorn.Server):
    """uvicorn that says when it is up, that can cut its connections, and that has two doors."""

    def __init__(self, app: ASGIApp, ports: Ports | None) -> None:
        app = patience.InTime(app)
        super().__init__(_settings(Locally(app), http=patience.Bounded))
        self._ports = ports
        self._port_settings: uvicorn.Config | None = None
        if ports is not None:
            rules = Port(app, ports.line)
            self._port_settings = _settings(
                rules, http=patience.Hasty, limit_concurrency=CONNECTIONS
            )
        self.up: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        await self._open_ports(self._loop)
        self.up.set_result(None)

    async def _open_ports(self, loop: asyncio.AbstractEventLoop) -> None:
        ports, settings = self._ports, self._port_settings
        if ports is None or settings is None:
            return
        settings.load()

        def protocol() -> asyncio.Protocol:
            return patience.Hasty(
                config=settings,
                server_state=self.server_state,
                app_state=self.lifespan.state,
                _loop=loop,
            )

        for port in ports.sockets:
            made = await loop.create_server(
                protocol,
                sock=port,
                ssl=ports.tls,
                ssl_handshake_timeout=patience.HEAD_S if ports.tls else None,
                backlog=BACKLOG,
            )
            self.servers.append(made)

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


def _clear(path: Path, folder: int) -> None:
    """Remove what a dead process left; anything else is an error."""
    name = path.name
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        sentence = f"{path} is in the way and not a socket"
        raise Conflict(sentence, code="not_a_socket", hint="move it elsewhere")
    if _is_live(path):
        raise _already_running(path)
    os.unlink(name, dir_fd=folder)


def _listen(path: Path, folder: int) -> socket.socket:
    short = len(os.fsencode(path)) <= SOCKET_PATH_BYTES
    address = str(path) if short else f"/proc/self/fd/{folder}/{path.name}"
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
