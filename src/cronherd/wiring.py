"""The only place where everything meets. No decisions: it builds, starts and stops."""

import logging
import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from cronherd import __version__
from cronherd.cli.host import Finding, Place
from cronherd.config.load import Config
from cronherd.databases import Databases, check_server
from cronherd.definition.jobs import build_jobs
from cronherd.domain.errors import Conflict, Unavailable
from cronherd.domain.instant import zone_rules
from cronherd.domain.node import Node
from cronherd.domain.policy import capacity_of
from cronherd.engine.accounts import own_account
from cronherd.engine.agent import HASTE_S, Agent
from cronherd.engine.parts import Parts
from cronherd.lockrun import way_of
from cronherd.places import agent_pid, claim_state, home_of, node_id, open_lock, owns
from cronherd.posting import mailroom_of
from cronherd.sealing import reveal_with
from cronherd.service import Service
from cronherd.serving import (
    CLOCK,
    FOLLOW_PAUSE_S,
    new_id,
    pace_of,
    pausing,
    say,
    service_of,
    start_log,
    tune_interpreter,
    vault_of,
)
from cronherd.serving import open_fleet as open_fleet  # noqa: PLC0414 - for Host
from cronherd.serving import web as web  # noqa: PLC0414 - for Host
from cronherd.signals import RELOAD, Signals
from cronherd.store.beats import SqlBeats
from cronherd.store.database import Database
from cronherd.store.migrate import check_schema, upgrade_schema
from cronherd.store.sqlstore import SqlStore
from cronherd.supervisor.allow import user_refusal as user_refusal  # noqa: PLC0414 - for Host
from cronherd.supervisor.base import Supervisor, SupervisorGone, SupervisorRefused
from cronherd.supervisor.client import launch

log = logging.getLogger("cronherd")


BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TICK_PAUSE_S = 0.05
DATABASE_PAUSE_S = 1.0
# After a second signal: grace of the runs, then their end is recorded.
CANCEL_WAIT_S = 15.0


def up(config: Config, place: Place, *, apply: bool) -> int:
    """Agent, service socket and embedded database, until a signal."""
    from cronherd.pagehouse import open_house  # noqa: PLC0415 - FastAPI loads where a page is

    start_log(config)
    if apply:  # before anything is made: a fault here has a place in a file
        build_jobs(config.jobs, timezone=config.timezone, defaults=config.defaults)
    signals = Signals()
    with (
        _state(place) as lock,
        _open(config, place) as (db, beats),
        ExitStack() as stack,
    ):
        say(upgrade_schema(db, timezone=config.timezone, incarnation=new_id()))
        store = SqlStore(db, new_id, pace_of(config))
        agent = _agent(config, place, store, beats, lock, signals)
        closing = threading.Event()
        # People who look at long lists do not hold up what fires.
        shown = stack.enter_context(Databases(config, place, CLOCK).open_beside(db))
        vault = vault_of(config, place, makes=True)
        store = SqlStore(shown, new_id, pace_of(config))
        house = open_house(config, store, new_id, say)
        service = service_of(
            config,
            store,
            vault,
            wake=agent.wake,
            pause=pausing(closing),
            address=house.address,
        )
        if apply:
            _apply(config, service)
        server = house.server(service, place.socket)
        server.start()
        try:
            agent.start()
            say(f"node {config.node.name} is up, state in {place.state}")
            say(f"look with: cronherd --state {place.state} status")
            house.tell(service)
            _run(agent, config, signals)
        finally:
            closing.set()
            shown.give_up(HASTE_S)
            server.stop()
    return _end(signals)


def agent(config: Config, place: Place) -> int:
    """The agent alone: it neither creates a schema nor applies jobs."""
    start_log(config)
    signals = Signals()
    with _state(place) as lock, ExitStack() as stack:
        db, beats = _wait_for_database(stack, config, place, signals)
        check_schema(db)
        engine = _agent(config, place, SqlStore(db, new_id, pace_of(config)), beats, lock, signals)
        engine.start()
        say(f"agent of node {config.node.name} is up")
        _run(engine, config, signals)
    return _end(signals)


def _wait_for_database(
    stack: ExitStack, config: Config, place: Place, signals: Signals
) -> tuple[Database, SqlBeats]:
    """After a power cut the database may be back later than its nodes. Raises Unavailable."""
    told = False
    while True:
        try:
            return stack.enter_context(_open(config, place))
        except Unavailable as error:
            if error.code != "database_lost" or signals.count:
                raise
            if not told:
                log.warning("%s; trying again until it does", error.text)
            told = True
            signals.wait(DATABASE_PAUSE_S)


def tick(config: Config, place: Place) -> int:
    """Run what is due, wait for it, end."""
    start_log(config)
    with _state(place) as lock, _open(config, place) as (db, beats):
        check_schema(db)
        store = SqlStore(db, new_id, pace_of(config))
        signals = Signals()
        engine = _agent(config, place, store, beats, lock, signals)
        began_us = store.now_us()
        engine.start()
        # What becomes due meanwhile belongs to the next tick.
        while not signals.wait(TICK_PAUSE_S) and not engine.fire_until(began_us):
            pass
        while not signals.count and not engine.idle():
            signals.wait(TICK_PAUSE_S)
        _stop(engine, config, signals)
        return 0


def upgrade(config: Config, place: Place) -> str:
    """Bring the schema up to date."""
    with Databases(config, place, CLOCK).open() as db:
        check_server(db)
        return upgrade_schema(db, timezone=config.timezone, incarnation=new_id())


def findings(config: Config, place: Place) -> list[Finding]:
    """What doctor looks at: places, database, zone data."""
    from cronherd.doctor import look_around  # noqa: PLC0415 - only for doctor

    return look_around(config, place, Databases(config, place, CLOCK))


@contextmanager
def _state(place: Place) -> Iterator[int]:
    """The state directory belongs to this process; the lock that says so."""
    os.umask(0o077)
    claim_state(place.state)
    lock = open_lock(place.state)
    try:
        yield lock
    finally:
        os.close(lock)


@contextmanager
def _open(config: Config, place: Place) -> Iterator[tuple[Database, SqlBeats]]:
    """The database of an agent, and the connection for its lease."""
    databases = Databases(config, place, CLOCK)
    with databases.open_patiently() as db:
        for warning in check_server(db):
            log.warning("%s", warning)
        with databases.open_beats(db, new_id) as beats:
            yield db, beats


def _agent(
    config: Config,
    place: Place,
    store: SqlStore,
    beats: SqlBeats,
    lock: int,
    signals: Signals,
) -> Agent:
    node = Node(
        id=node_id(place.state, new_id),
        home=home_of(place.state),
        name=config.node.name,
        incarnation="",
        boot_id=BOOT_ID.read_text().strip(),
        capacity=capacity_of(config.node.capacity, len(os.sched_getaffinity(0))),
        labels=config.node.labels,
        version=__version__,
        tzdata=zone_rules(),
    )

    def give_up(after_s: float | None) -> None:
        store.db.give_up(after_s)
        beats.give_up(after_s)

    chance = random.SystemRandom().random
    reveal = reveal_with(vault_of(config, place), store.sealed)
    return Agent(
        Parts(
            store=store,
            beats=beats,
            clock=CLOCK,
            launch=lambda: _launch(place),
            node=node,
            account=replace(own_account(), way=way_of(config, place)),
            ledger_age_us=config.ledger_age_us,
            new_id=new_id,
            chance=chance,
            owned=lambda: owns(lock, place.state),
            halt=signals.stop,
            reveal=reveal,
            give_up=give_up,
            mailroom=mailroom_of(config.alerts, store, CLOCK, new_id, chance, reveal),
        )
    )


def _launch(place: Place) -> Supervisor:
    try:
        return launch(place.state, place.runtime, CLOCK)
    except SupervisorRefused as error:
        hint = "its runs go on: start the version before until they have ended"
        raise Unavailable(str(error), code="supervisor_version", hint=hint) from error
    except SupervisorGone as error:
        raise Unavailable(str(error), code="no_supervisor") from error


def _apply(config: Config, service: Service) -> None:
    """The jobs of the configuration become the jobs of this database."""
    if not config.jobs:
        return
    source = f"config:{config.sources[0]}" if config.sources else "config"
    definitions = [raw.raw for raw in config.jobs]
    try:
        answer = service.apply_jobs(definitions, source, "local", dry_run=False)
    except Conflict as error:  # a node that starts at the same instant has the same file
        if error.code != "plan_outdated":
            raise
        answer = service.apply_jobs(definitions, source, "local", dry_run=False)
    changes = [change["change"] for change in answer["changes"]]
    say(f"jobs: {changes.count('create')} created, {changes.count('update')} updated")


def _run(engine: Agent, config: Config, signals: Signals) -> None:
    tune_interpreter()
    signals.wait()
    _stop(engine, config, signals)


def _stop(engine: Agent, config: Config, signals: Signals) -> None:
    """First signal: start nothing, wait for runs. Second one, or time up: cancel them."""
    until_us = CLOCK.boot_us() + config.drain_timeout_us
    done = engine.drain(0)
    if not done and signals.leaves:
        engine.leave()
        say("stopped; what runs goes on, and the next agent here takes it over")
        return
    if not done:
        runs = engine.count()
        say(f"waiting for {runs} run{'s' * (runs != 1)} to end; once more to cancel")
    while not done and CLOCK.boot_us() < until_us and signals.count < 2:
        done = engine.drain(FOLLOW_PAUSE_S)
    if not done:
        say("cancelling what still runs")
        engine.cancel_all(CANCEL_WAIT_S)
    engine.stop()
    say("stopped")


def _end(signals: Signals) -> int:
    """After everything was closed: this process is over, or begins again as its program is now."""
    if signals.comes_back:
        say("starting again")
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - no shell is wanted
    return 0


def reload_agent(place: Place) -> int:
    """Ask the agent of this state directory to start again; its pid. Raises Unavailable."""
    pid = agent_pid(place.state)
    if pid is None:
        raise Unavailable(
            f"no agent runs with the state directory {place.state}",
            code="no_agent",
            hint="start it with 'cronherd agent' or 'cronherd up'",
        )
    try:
        os.kill(pid, RELOAD)
    except OSError as error:
        raise Unavailable(
            f"cannot signal the agent (pid {pid}): {error.strerror}",
            code="no_agent",
            hint="ask as the user who runs it",
        ) from error
    return pid
