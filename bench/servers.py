"""Servers for benchmarks: on a real disk, each commit flushed, otherwise near their defaults."""

import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench.proc import cpu_us, ended_us
from bench.report import BenchError, filesystem
from tests.servers.databases import SESSIONS, Session
from tests.servers.engines import (
    Engine,
    Mariadb,
    Postgresql,
    Server,
    ServerBroken,
    ServerMissing,
    family,
)

POSTGRESQL_ASKS = (
    *("server_version", "fsync", "synchronous_commit", "full_page_writes", "wal_sync_method"),
    *("shared_buffers", "max_wal_size", "max_connections", "autovacuum", "jit"),
)
MARIADB_ASKS = (
    *("version", "innodb_flush_log_at_trx_commit", "innodb_flush_method", "innodb_doublewrite"),
    *("innodb_buffer_pool_size", "innodb_log_file_size", "log_bin", "max_connections"),
)


def changed(command: list[str], settings: Mapping[str, object]) -> list[str]:
    """The command with these settings in place of those it has."""
    kept = [part for part in command if part.partition("=")[0].removeprefix("--") not in settings]
    return [*kept, *(f"--{name}={value}" for name, value in settings.items())]


@dataclass(frozen=True)
class DiskPostgresql(Postgresql):
    """As the tests have it, with room for a million jobs."""

    def command(self, home: Path, port: int) -> list[str]:
        return changed(super().command(home, port), {"shared_buffers": "256MB", "fsync": "on"})


@dataclass(frozen=True)
class DiskMariadb(Mariadb):
    """The same; the size of the log is the server's own default."""

    def command(self, home: Path, port: int) -> list[str]:
        settings = {"innodb-buffer-pool-size": "256M", "innodb-log-file-size": "96M"}
        flags = ["--skip-name-resolve", "--skip-log-bin"]  # flags stand last
        found = [part for part in super().command(home, port) if part not in flags]
        return [*changed(found, settings), *flags]


ENGINES: Mapping[str, Engine] = {"postgresql": DiskPostgresql(), "mariadb": DiskMariadb()}


class DatabaseServer:
    """One server of one call of a benchmark; `folder` is on the disk that is measured."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self._folder = folder / kind
        self._server = Server(engine=ENGINES[kind], home=self._folder)
        self._session: Session | None = None

    @property
    def url(self) -> str:
        """Of the database for administration."""
        return self._server.engine.url(self._server.port)

    @property
    def log(self) -> Path:
        return self._server.log

    def start(self) -> None:
        """Raises BenchError when there is none, or when its user cannot reach the folder."""
        try:
            self._folder.parent.chmod(0o711)  # the server's user passes through
            self._server.start()
            self._session = SESSIONS[self.kind](self.url)
        except ServerMissing as error:
            raise BenchError(str(error)) from error
        except ServerBroken as error:
            self.close()
            raise BenchError(f"{error} (--disk names another folder)") from error

    @property
    def session(self) -> Session:
        """A connection to the database for administration."""
        assert self._session is not None
        return self._session

    def fresh(self) -> str:
        """The URL of a new, empty database."""
        name = f"bench_{secrets.token_hex(4)}"
        self.session.create(name)
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def open(self, url: str) -> Session:
        """A connection to one of its databases."""
        return SESSIONS[self.kind](url)

    def drop(self, url: str) -> None:
        self.session.drop(urlsplit(url).path.lstrip("/"))

    def checkpoint(self) -> None:
        """So that what was filled in is not written out while something is measured."""
        if self.kind == "postgresql":
            self.session.run("CHECKPOINT")

    def analyze(self, url: str) -> None:
        """New statistics of the live tables, as the server makes them itself every minute."""
        session = self.open(url)
        try:
            for table in ("run", "permit"):
                words = "ANALYZE" if self.kind == "postgresql" else "ANALYZE TABLE"
                session.run(f"{words} {table}")
        finally:
            session.close()

    def settings(self) -> dict[str, str]:
        """What its figures depend on."""
        if self.kind == "postgresql":
            found = {name: self.session.run(f"SHOW {name}")[0][0] for name in POSTGRESQL_ASKS}
        else:
            rows = self.session.run("SHOW GLOBAL VARIABLES")
            found = {name: value for name, value in rows if name in MARIADB_ASKS}
        found["filesystem of its data"] = filesystem(self._folder)
        return {name: str(value) for name, value in found.items()}

    def cpu_us(self) -> float:
        """Microseconds of CPU of its processes, with those that have ended."""
        process = self._server.process
        assert process is not None
        total = ended_us(process.pid)
        for pid in family(process.pid):
            try:
                total += cpu_us(pid)
            except OSError:
                continue
        return total

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
        self._server.drop()
        shutil.rmtree(self._folder, ignore_errors=True)


def work_folder(folder: Path, disk: Path | None) -> Path:
    """Where the server's files go: beside the results, or below what --disk names."""
    if disk is None:
        return folder
    made = disk / f"cronherd-bench-{os.getpid()}"
    made.mkdir(parents=True)
    return made
