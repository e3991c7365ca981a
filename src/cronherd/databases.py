"""Which database a configuration means, and opening it. Drivers load only when they are meant."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cronherd.cli.host import Place
from cronherd.config.load import Config
from cronherd.domain.errors import Conflict, Unavailable
from cronherd.store.beats import SqlBeats
from cronherd.store.database import Database, Dialect
from cronherd.store.events import EventRows
from cronherd.store.nodes import NodeRows

# How long a command may have the SQLite file before an agent says that it is in use.
NEIGHBOUR_US = 2_000_000
NEIGHBOUR_PAUSE_S = 0.05


class Clock(Protocol):
    """The two clocks a database needs: wall time for a file, boot time for deadlines."""

    def now_us(self) -> int: ...

    def boot_us(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Databases:
    """The database of a configuration."""

    config: Config
    place: Place
    clock: Clock

    @property
    def is_server(self) -> bool:
        """Whether other hosts may share it."""
        return self.config.database is not None and not self.config.database.startswith("sqlite:")

    @property
    def path(self) -> Path:
        """The file of the embedded one; as everywhere, `sqlite:///rel` is seen from here."""
        if self.config.database is None:
            return self.place.state / "cronherd.db"
        return Path(self.config.database.removeprefix("sqlite:///")).absolute()

    @contextmanager
    def open(self) -> Iterator[Database]:
        """The database for all there is to do. Raises Unavailable when it cannot be trusted."""
        db = Database(self._dialect())
        try:
            yield db
        finally:
            db.close()

    @contextmanager
    def open_patiently(self) -> Iterator[Database]:
        """For an agent: a command that looks into the file while none runs has it for a moment."""
        with ExitStack() as stack:
            yield self._patiently(lambda: stack.enter_context(self.open()))

    def _patiently(self, opened: Callable[[], Database]) -> Database:
        until_us, pause = self.clock.boot_us() + NEIGHBOUR_US, threading.Event()
        while True:
            try:
                return opened()
            except Conflict:
                if self.clock.boot_us() >= until_us:
                    raise
            pause.wait(NEIGHBOUR_PAUSE_S)

    @contextmanager
    def open_beside(self, db: Database) -> Iterator[Database]:
        """Connections of their own for whoever only looks, where there may be several."""
        own = Database(self._dialect()) if self.is_server else db
        try:
            yield own
        finally:
            if own is not db:
                own.close()

    @contextmanager
    def open_beats(self, db: Database, new_id: Callable[[], str]) -> Iterator[SqlBeats]:
        """The lease and the hints; on a connection of its own where there may be several."""
        own = Database(self._dialect(), most=1) if self.is_server else db
        try:
            yield SqlBeats(own, NodeRows(own, EventRows(own, new_id)))
        finally:
            if own is not db:
                own.close()

    def _dialect(self) -> Dialect:
        url = self.config.database or ""
        if url.startswith("postgresql:"):
            return self._postgres(url)
        if url.startswith("mysql:"):
            return self._mysql(url)
        from cronherd.store.sqlite import SqliteDialect  # noqa: PLC0415

        os.umask(0o077)  # what is made from here on is nobody else's to read
        path = self.path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise Unavailable(
                f"cannot make the directory {path.parent}: {error.strerror}", code="not_writable"
            ) from error
        return SqliteDialect(path, self.clock.now_us)

    def _postgres(self, url: str) -> Dialect:
        try:
            from cronherd.store.postgres import PostgresDialect  # noqa: PLC0415
        except ImportError as error:
            raise _missing("postgresql", "postgres") from error
        return PostgresDialect(url, self.clock.boot_us, self._password())

    def _mysql(self, url: str) -> Dialect:
        try:
            from cronherd.store.mysql import MysqlDialect  # noqa: PLC0415
        except ImportError as error:
            raise _missing("mysql", "mysql") from error
        return MysqlDialect(url, self.clock.boot_us, self._password())

    def _password(self) -> str | None:
        path = self.config.database_password_file
        if path is None:
            return None
        try:
            return path.read_text(encoding="utf-8").partition("\n")[0].rstrip("\r")
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(
                f"cannot read the password of the database in {path}: {error}",
                code="no_password",
                hint="check owner and mode of the file",
            ) from error


def check_server(db: Database) -> list[str]:
    """Warnings about the server's settings. Raises Unavailable for what nobody should trust."""
    with db.glance() as connection:
        found = db.dialect.check(connection)
    for level, what, text in found:
        if level == "error":
            raise Unavailable(
                f"this database cannot be trusted with what runs when ({what}): {text}",
                code="unsafe_database",
                hint="'cronherd doctor' shows all that was looked at",
            )
    return [text for level, _, text in found if level == "warning"]


def _missing(scheme: str, extra: str) -> Unavailable:
    return Unavailable(
        f"the driver for {scheme}:// is not installed",
        code="no_driver",
        hint=f"pip install 'cronherd[{extra}]'",
    )
