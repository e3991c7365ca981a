"""doctor: looks at what a node needs, and says in sentences what is missing."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from cronherd.alerts.base import SendFailed
from cronherd.alerts.mail import MailChannel
from cronherd.cli.host import Finding, Place
from cronherd.client import Client
from cronherd.config.load import Config
from cronherd.databases import Databases
from cronherd.domain.errors import Conflict, CronherdError
from cronherd.domain.instant import zone_names, zone_rules
from cronherd.places import claim_state
from cronherd.posting import relay_of
from cronherd.store.database import Database
from cronherd.store.migrate import check_schema
from cronherd.store.sqlstore import SqlStore
from cronherd.supervisor import cgroup
from cronherd.supervisor.guard import LOCK_NAME
from cronherd.supervisor.launch import limits_by

# Below this a day of output may not fit.
LITTLE_SPACE = 1 << 30
ANSWER_S = 2.0

_BY_RLIMIT = {
    "memory": "the kernel refuses each process of a run more address space (rlimit)",
    "cpu": "the kernel ends each process of a run that used up its time (rlimit)",
    "open_files": "the kernel refuses each process of a run more descriptors (rlimit)",
    "processes": "the kernel counts all processes of the run's user (rlimit)",
}
# It limits itself and goes beyond. `cpu` is left out: that would take a second.
_TRIAL = """
import mmap, os, resource as r
def tell(name, number, limit, beyond):
    r.setrlimit(number, (limit, limit))
    try:
        beyond()
    except (OSError, MemoryError):
        print(name)
def fork():
    if os.fork() == 0:
        os._exit(0)
    os.wait()
if os.geteuid():
    tell("processes", r.RLIMIT_NPROC, 1, fork)
tell("open_files", r.RLIMIT_NOFILE, 8, lambda: [os.dup(0) for _ in range(9)])
tell("memory", r.RLIMIT_AS, 1 << 30, lambda: mmap.mmap(-1, 2 << 30))
"""
_TRIAL_S = 10.0


def look_around(config: Config, place: Place, databases: Databases) -> list[Finding]:
    """One finding per thing looked at; nothing is changed but for directories that are made."""
    findings = [_state(place.state), _space(place.state), *_database(place, databases)]
    findings += [_zones(config), _open_files(), _pidfd(), _groups(place.state)]
    findings += _relay(config)
    return [*findings, *_limits(obeyed_limits(), root=os.geteuid() == 0)]


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
    ours, now_us = zone_rules(), db.now_us()
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
    return Finding("ok", "time zone", f"{config.timezone}, zone rules {zone_rules()}")


def _open_files() -> Finding:
    import resource  # noqa: PLC0415 - only for doctor

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 1024:
        text = f"only {soft} open files allowed: each run needs three (ulimit -n)"
        return Finding("warning", "open files", text)
    return Finding("ok", "open files", f"{soft} allowed")


def _relay(config: Config) -> list[Finding]:
    """Whether the relay of this node takes our mail; nothing where none is named."""
    relay = relay_of(config.alerts)
    if relay is None:
        return []
    try:
        return [Finding("ok", "mail relay", MailChannel(relay).ask())]
    except SendFailed as error:
        text = f"{error}: mail waits until it answers"
        return [Finding("warning", "mail relay", text)]


def _pidfd() -> Finding:
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return Finding("error", "kernel", "pidfd_open is missing: Linux 5.3 or newer is needed")
    return Finding("ok", "kernel", f"Linux {os.uname().release}")


def _groups(state: Path) -> Finding:
    """Whether runs get control groups, which decides what a cancel reaches."""
    what = "control groups"
    path = cgroup.planted(str(state / "cgroup"))
    if path:
        return Finding("ok", what, f"each run that lasts gets one below {path}: {_REACHED}")
    refused = ""
    try:
        path = cgroup.attempt()
    except OSError as error:
        refused = f"{error.strerror} ({error.filename or cgroup.OWN})"
    if _supervised(state):
        why = refused or f"although here it could, below {path}"
        text = f"the supervisor that runs here could make none: {why}; {_UNREACHED}"
        return Finding("warning", what, text)
    if refused:
        return Finding("warning", what, f"none can be made from here: {refused}; {_UNREACHED}")
    return Finding("ok", what, f"each run that lasts will get one below {path}: {_REACHED}")


_REACHED = "a cancel or time limit ends all that the run has started"
_UNREACHED = (
    "a cancel finds what a run has started by its group, its session and its CRONHERD_RUN_ID, "
    "and what left all three goes on"
)


def _supervised(state: Path) -> bool:
    """A supervisor of this state directory lives."""
    try:
        lock = os.open(state / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


def obeyed_limits() -> set[str] | None:
    """Which limits a process that went beyond them met; None when that could not be tried."""
    argv = [sys.executable, "-I", "-S", "-c", _TRIAL]
    try:
        told = subprocess.run(argv, capture_output=True, text=True, timeout=_TRIAL_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return set(told.stdout.split()) if told.returncode == 0 else None


def _limits(obeyed: set[str] | None, *, root: bool) -> list[Finding]:
    """What enforces each limit that a job may set."""
    found: list[Finding] = []
    for name, by in sorted(limits_by(root=root).items()):
        what = f"limits.{name}"
        if not by:
            text = "nothing enforces it for commands of root: give such jobs a `user`"
            found.append(Finding("ok", what, text))
        elif name == "cpu" or obeyed is None:
            found.append(Finding("ok", what, f"{_BY_RLIMIT[name]}; not tried here"))
        elif name in obeyed:
            found.append(Finding("ok", what, f"{_BY_RLIMIT[name]}; tried here"))
        else:
            text = f"this kernel takes the limit and does not obey it: runs take any {name}"
            found.append(Finding("warning", what, text))
    return found
