"""A real `up` behind a TCP port of this host, for programs that know no Unix sockets."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cronherd.client import connect_to


@contextmanager
def port_of(path: Path, heard: list[bytes] | None = None) -> Iterator[str]:
    """The address of a port whose bytes go to this Unix socket and back.

    `heard` gets what each connection said first.
    """
    kept = [] if heard is None else heard
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=[listener, path, kept], daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def _accept(listener: socket.socket, path: Path, heard: list[bytes]) -> None:
    with suppress(OSError):
        while True:
            here, _ = listener.accept()
            threading.Thread(target=_bridge, args=[here, path, heard], daemon=True).start()


def _bridge(here: socket.socket, path: Path, heard: list[bytes]) -> None:
    with here, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as there:
        with suppress(OSError):
            connect_to(there, path)
            first = here.recv(1 << 16)
            heard.append(first)
            there.sendall(first)
        back = threading.Thread(target=_pump, args=(there, here), daemon=True)
        back.start()
        _pump(here, there)
        back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(1 << 16):
            sink.sendall(content)
    for line in (source, sink):
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)
