"""Redis and Memcached as programs, for tests of locks. They keep nothing on disk.

Standard library only, as engines.py.
"""

import shutil
import signal
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.servers.engines import Engine, ServerMissing, run_tool

PASSWORD = "an open @:/ secret"
LOCKER = "locker"
LOCKER_MAY = (
    "on >of-locker ~cronherd:lock:* +eval +time +get +set +del +pttl +pexpire +@hash +@sortedset"
)
"""As docs/locks.md says it."""


def answers(port: int, question: bytes, answer: bytes) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(question)
            return probe.recv(len(answer)) == answer
    except OSError:
        return False


def program(title: str, *names: str) -> str:
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        raise ServerMissing(f"{title} is not installed: run 'python3 dev.py servers' as root")
    return found


@dataclass(frozen=True)
class Redis:
    """Valkey where that is installed in its place."""

    title: str = "Redis"
    stop_signal: signal.Signals = signal.SIGTERM
    drop_signal: signal.Signals = signal.SIGKILL

    def make(self, home: Path) -> None:
        del home
        program(self.title, "redis-server", "valkey-server")

    def command(self, home: Path, port: int) -> list[str]:
        settings = {"port": port, "bind": "127.0.0.1", "appendonly": "no", "dir": home}
        options = [word for name, value in settings.items() for word in (f"--{name}", str(value))]
        return [program(self.title, "redis-server", "valkey-server"), *options, "--save", ""]

    def url(self, port: int) -> str:
        return f"redis://127.0.0.1:{port}"

    def socket(self, home: Path, port: int) -> Path:
        del port
        return home / "none"

    def is_ready(self, home: Path, port: int, pid: int) -> bool:
        del home, pid
        return answers(port, b"PING\r\n", b"+PONG")


@dataclass(frozen=True)
class GuardedRedis(Redis):
    """Speaks TLS only, to who shows a certificate and gives a password.

    In its home lie ca.pem, and host.pem and host.key, which its clients show as well. The user
    LOCKER may do what locks take and no more; the one without a name has the same password.
    """

    title: str = "Redis with TLS"

    def make(self, home: Path) -> None:
        super().make(home)
        openssl = program("openssl", "openssl")
        new = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
        new += ["-nodes", "-days", "2", "-subj", "/CN=cronherd"]
        run_tool([*new, "-keyout", "ca.key", "-out", "ca.pem"], home)
        by_ca = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE"]
        names = ["-addext", "subjectAltName=IP:127.0.0.1"]
        run_tool([*new, *by_ca, *names, "-keyout", "host.key", "-out", "host.pem"], home)

    def command(self, home: Path, port: int) -> list[str]:
        argv = super().command(home, port)
        argv[argv.index("--port") + 1] = "0"
        for name, value in (("port", str(port)), ("ca-cert-file", "ca.pem"),
                            ("cert-file", "host.pem"), ("key-file", "host.key")):  # fmt: skip
            argv += [f"--tls-{name}", value]
        return [*argv, "--requirepass", PASSWORD, "--user", LOCKER, *LOCKER_MAY.split()]

    def url(self, port: int) -> str:
        return f"rediss://127.0.0.1:{port}"

    def is_ready(self, home: Path, port: int, pid: int) -> bool:
        del pid
        try:
            context = ssl.create_default_context(cafile=str(home / "ca.pem"))
            context.load_cert_chain(home / "host.pem", home / "host.key")
            with (
                socket.create_connection(("127.0.0.1", port), timeout=5) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1") as probe,
            ):
                probe.sendall(b"PING\r\n")
                return probe.recv(7) == b"-NOAUTH"
        except OSError:
            return False


@dataclass(frozen=True)
class Memcached:
    title: str = "Memcached"
    stop_signal: signal.Signals = signal.SIGKILL  # in order it takes a second, for nothing
    drop_signal: signal.Signals = signal.SIGKILL

    def make(self, home: Path) -> None:
        del home
        program(self.title, "memcached")

    def command(self, home: Path, port: int) -> list[str]:
        del home
        argv = [program(self.title, "memcached"), f"--port={port}", "--listen=127.0.0.1"]
        return [*argv, "--user=nobody", "--threads=1"]

    def url(self, port: int) -> str:
        return f"memcached://127.0.0.1:{port}"

    def socket(self, home: Path, port: int) -> Path:
        del port
        return home / "none"

    def is_ready(self, home: Path, port: int, pid: int) -> bool:
        del home, pid
        return answers(port, b"version\r\n", b"VERSION")


CACHES: Mapping[str, Engine] = {
    "redis": Redis(),
    "redis_tls": GuardedRedis(),
    "memcached": Memcached(),
}
