"""doctor: looks at what a node needs, and says in sentences what is missing."""

import os
import shutil
from importlib.metadata import version as version_of
from pathlib import Path

from cronherd.cli.host import Finding, Place
from cronherd.client import Client
from cronherd.config.load import Config
from cronherd.databases import Databases
from cronherd.domain.errors import Conflict, CronherdError
from cronherd.domain.instant import zone_names
from cronherd.places import claim_state
from cronherd.store.database import Database
from cronherd.store.migrate import check_schema
from cronherd.store.sqlstore import SqlStore

# Below this a day of output may not fit.
LITTLE_SPACE = 1 << 30
ANSWER_S = 2.0


def look_around(config: Config, place: Place, databases: Databases) -> list[Finding]:
    """One finding per thing looked at; nothing is changed but for directories that are made."""
    findings = [_state(place.state), _space(place.state), *_database(place, databases)]
    return [*findings, _zones(config), _limits(), _pidfd()]


def _state(state: Path) -> Finding:
    try:
        claim_state(state)
    except CronherdError as error:
        return Finding("error", "state directory", str(error))
    return Finding("ok", "state directory", f"{state} can be used")


def _space(state: Path) -> Finding:
    try:
        free = shutil.disk_usage(state).free
    except OSError as error:
        return Finding("error", "disk", f"{state}: {error.strerror}")
    text = f"{free / (1 << 30):.1f} GiB free at {state}"
    return Finding("ok" if free > LITTLE_SPACE else "warning", "disk", text)


def _database(place: Place, databases: Databases) -> list[Finding]:
    found: list[Finding] = []
    try:
        with databases.open() as db:
            with db.glance() as connection:
                found += [Finding(*fact) for fact in db.dialect.check(connection)]
            check_schema(db)
            found += _zone_rules(db)
    except Conflict:
        return [_holder(place)]
    except CronherdError as error:
        return [Finding("error", "database", str(error)), *found]
    return [Finding("ok", "database", "the schema is up to date"), *found]


def _zone_rules(db: Database) -> list[Finding]:
    """All nodes compute the same instants only with the same rules of the world's clocks."""
    ours, now_us = version_of("tzdata"), db.now_us()
    nodes = [node for node in SqlStore(db, str).nodes() if node.alive(now_us)]
    others = sorted(f"{node.name}: {node.tzdata}" for node in nodes if node.tzdata != ours)
    if not others:
        return []
    text = f"zone rules {ours} here, others elsewhere ({', '.join(others[:5])}): update them"
    return [Finding("warning", "zone rules", text)]


def _holder(place: Place) -> Finding:
    """Somebody has the database: it had better answer."""
    try:
        told = Client.over_socket(place.socket, timeout_s=ANSWER_S).health()
    except CronherdError as error:
        return Finding("error", "database", f"a cronherd that does not answer holds it: {error}")
    return Finding("ok", "database", f"a running cronherd {told['version']} holds it and answers")


def _zones(config: Config) -> Finding:
    if config.timezone not in zone_names():
        return Finding("error", "time zone", f"'{config.timezone}' is not known here")
    return Finding("ok", "time zone", f"{config.timezone}, zone rules {version_of('tzdata')}")


def _limits() -> Finding:
    import resource  # noqa: PLC0415 - only for doctor

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1024:
        text = f"only {soft} open files allowed: each run needs three (ulimit -n)"
        return Finding("warning", "open files", text)
    return Finding("ok", "open files", f"{soft} allowed")


def _pidfd() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return Finding("error", "kernel", "pidfd_open is missing: Linux 5.3 or newer is needed")
    return Finding("ok", "kernel", f"Linux {os.uname().release}")
