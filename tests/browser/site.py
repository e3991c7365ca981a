"""A real cronherd for a browser: `up` in a process of its own, and a TCP door to its socket.

Whoever comes by the Unix socket is the local admin, so what is looked at here needs no login; that
has tests of its own.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from cronherd.client import Client
from cronherd.domain.errors import CronherdError

ROOT = Path(__file__).resolve().parents[2]
STARTED_S = 30.0
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """Debian's browser, where there is one."""
    return os.environ.get("CHROME_BIN") or shutil.which("chromium")


class Site:
    """`url` for the browser, `port_url` where one has to log in, `fleet` for the test itself."""

    def __init__(
        self,
        url: str,
        fleet: Client,
        process: "subprocess.Popen[bytes]",
        *,
        log: Path,
        port_url: str,
    ) -> None:
        self.log = log
        self.url = url
        self.port_url = port_url
        self.fleet = fleet
        self.process = process


@contextmanager
def serve(jobs: str) -> Iterator[Site]:
    """A running cronherd with these jobs; it ends with everything that it runs."""
    listen = f"127.0.0.1:{free_port()}"
    with TemporaryDirectory(prefix="chd-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        config = folder / "cronherd.yaml"
        config.write_text(jobs, "utf-8")
        state = folder / "state"
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "cronherd",
                    "--state",
                    str(state),
                    "--config",
                    str(config),
                    "up",
                    "--listen",
                    listen,
                ],
                env={**os.environ, "HOME": name},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        try:
            place = _socket_of(state, process, folder / "log")
            with _door(place) as port:
                fleet = Client.over_socket(place)
                url, own = f"http://127.0.0.1:{port}", f"http://{listen}"
                yield Site(url, fleet, process, log=folder / "log", port_url=own)
        finally:
            end(process)


def free_port() -> int:
    """A port of this host at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as line:
        port: int = line.getsockname()[1]
        return port


def _socket_of(state: Path, process: "subprocess.Popen[bytes]", log: Path) -> Path:
    place = state / "run" / "api.sock"
    waiting = threading.Event()
    for _ in range(int(STARTED_S * 10)):
        if process.poll() is not None:
            break
        with suppress(CronherdError, OSError):
            # The first link is told last, some time after it answers.
            told = "/welcome/" in log.read_text("utf-8", "replace")
            if told and Client.over_socket(place).health()["status"] == "ok":
                return place
        waiting.wait(0.1)
    raise AssertionError(f"it did not start: {log.read_text('utf-8', 'replace')[-2000:]}")


def end(process: "subprocess.Popen[bytes]") -> None:
    """In order, with whatever it runs."""
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGKILL):  # twice: what runs is cancelled
        if process.poll() is not None:
            return
        process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(1.5 if number == signal.SIGINT else 20)


@contextmanager
def _door(place: Path) -> Iterator[int]:
    """A port of this host whose connections go to the socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=[listener, place], daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket, place: Path) -> None:
    while True:
        try:
            outer, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_join, args=[outer, place], daemon=True).start()


def _join(outer: socket.socket, place: Path) -> None:
    with outer, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as inner:
        try:
            inner.connect(str(place))
            pairs = {outer: inner, inner: outer}
            while True:
                for ready in select.select(list(pairs), [], [])[0]:
                    part = ready.recv(65_536)
                    if not part:
                        return
                    pairs[ready].sendall(part)
        except OSError:
            return
