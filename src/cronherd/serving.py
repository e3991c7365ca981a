"""The service of this process: over an agent, or over the database alone; with pages or without."""

import gc
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cronherd.access.keys import Keys
from cronherd.cli.complaint import printable
from cronherd.cli.host import Place
from cronherd.config.load import Config
from cronherd.config.web import DEFAULT_LISTEN
from cronherd.databases import Databases
from cronherd.domain.errors import Unavailable
from cronherd.domain.ident import make_id
from cronherd.engine.clock import SystemClock
from cronherd.sealing import FILE_NAME as SECRET_KEY
from cronherd.sealing import Vault
from cronherd.service import Service, Waiter
from cronherd.signals import Signals
from cronherd.store.migrate import check_schema
from cronherd.store.pacing import Pace
from cronherd.store.sqlstore import SqlStore

CLOCK = SystemClock()
# A follower of output looks this often; the output itself comes once a second.
FOLLOW_PAUSE_S = 0.2


def new_id() -> str:
    """A new id, time first, in its shown form."""
    return make_id(CLOCK.now_us(), os.urandom(10))


def pace_of(config: Config) -> Pace:
    return Pace(fleet=config.catchup_rate, node=config.node.catchup_rate)


def vault_of(config: Config, place: Place, *, makes: bool = False) -> Vault:
    """What seals and opens secrets; a key file that was named is never made."""
    named = config.secret_key_file
    return Vault(path=named or place.state / SECRET_KEY, makes=makes and named is None)


def pausing(closing: threading.Event) -> Waiter:
    """What whoever follows something does between two looks."""
    return lambda: not CLOCK.wait(closing, FOLLOW_PAUSE_S)


def service_of(
    config: Config,
    store: SqlStore,
    vault: Vault,
    *,
    wake: Callable[[], None],
    pause: Waiter,
    address: str = "",
) -> Service:
    """`address` is where the pages are served; elsewhere, when they are not served here."""
    return Service(
        store,
        store,
        new_id=new_id,
        wake=wake,
        pause=pause,
        timezone=store.meta().get("timezone", config.timezone),
        defaults=config.defaults,
        seals=vault,
        keys=Keys(),
        address=address or config.web.url or f"http://{DEFAULT_LISTEN[0]}",
    )


@contextmanager
def _open_store(config: Config, place: Place) -> Iterator[tuple[SqlStore, Vault, bool]]:
    """The database itself, and whether others work on it at the same time."""
    databases = Databases(config, place, CLOCK)
    if not databases.is_server and not databases.path.exists():
        raise Unavailable(
            f"no cronherd runs with {place.state}, and {databases.path} does not exist",
            code="no_answer",
            hint="start it with 'cronherd up'",
        )
    with databases.open() as db:
        check_schema(db)
        # A key that is made here is for the agent here; with a server there may be none.
        vault = vault_of(config, place, makes=not databases.is_server)
        yield SqlStore(db, new_id, pace_of(config)), vault, databases.is_server


@contextmanager
def open_fleet(config: Config, place: Place) -> Iterator[Service]:
    """The database itself, for a command while no agent runs here."""
    with _open_store(config, place) as (store, vault, shared):
        # A file that nobody runs with does not grow: whoever follows has seen it all.
        wait = pausing(threading.Event())
        yield service_of(config, store, vault, wake=lambda: None, pause=lambda: shared and wait())


def web(config: Config, place: Place) -> int:
    """Pages and API alone, on any host that reaches the database, until a signal."""
    from cronherd.pagehouse import open_house  # noqa: PLC0415 - FastAPI loads where a page is

    start_log(config)
    closing, signals = threading.Event(), Signals()
    with _open_store(config, place) as (store, vault, _):
        house = open_house(config, store, new_id, say)
        pause, address = pausing(closing), house.address
        service = service_of(config, store, vault, wake=lambda: None, pause=pause, address=address)
        server = house.server(service, None)
        server.start()
        try:
            house.tell(service)
            tune_interpreter()
            signals.wait()
        finally:
            closing.set()
            server.stop()
    say("stopped")
    return 0


def tune_interpreter() -> None:
    """Settings of this process that were measured, each with what it gained.

    Threads hand over after 0.5 ms instead of 5: the scheduler waits less for the others at the
    instant (the latest of a hundred starts came three times sooner). What was loaded stays, and
    what a run makes is freed by counting, so collect rarely: it cost a seventh of the agent.
    """
    sys.setswitchinterval(0.0005)
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)


class LogLines(logging.Formatter):
    """A record on one line, whatever its message says; a traceback is indented below it.

    Errors of commands and names of folders are anybody's: no line of them passes for one of ours.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - their name
        record.message = printable(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - their name
        lines = super().formatException(ei).split("\n")
        return "\n".join(f"  {printable(line)}" for line in lines)


def start_log(config: Config) -> None:
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(LogLines("cronherd: %(message)s"))
    logging.basicConfig(level=config.log_level.upper(), handlers=[lines])
    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.raiseExceptions = False  # a log that cannot be written stops nothing


def say(text: str) -> None:
    """To the terminal or log, if there still is one: a full disk there stops nothing here."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"cronherd: {printable(text)}\n")
        sys.stderr.flush()
