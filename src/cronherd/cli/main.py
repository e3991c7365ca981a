"""The command line from the outside: which commands there are, and how every error is said."""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

import click

from cronherd import __version__
from cronherd.cli.grammar import Lazy
from cronherd.cli.host import Host
from cronherd.cli.session import Session

FAILED = 1
USAGE = 2
INTERRUPTED = 128 + signal.SIGINT
BROKEN_PIPE = 128 + signal.SIGPIPE

ROOMS = {
    "up": ("serve", "Run everything on this host: agent, API and supervisor."),
    "agent": ("serve", "Run the agent of this host."),
    "web": ("serve", "Serve pages and API alone, on any host of a fleet."),
    "tick": ("serve", "Run what is due, wait for it, and end."),
    "status": ("status", "The fleet at a glance, or one job."),
    "job": (
        "job",
        "Jobs: list, show, create, edit, enable, disable, pause, resume, skip-next, run, delete.",
    ),
    "run": ("run", "Runs: list, show, logs, cancel."),
    "logs": ("run", "The output of a job's newest run."),
    "timers": ("timers", "When each job runs next, and ran last."),
    "next": ("timers", "The next times of a job or of an expression."),
    "audit": ("audit", "Recount the slots of the past."),
    "explain": ("explain", "What a schedule means, and when it fires."),
    "why": ("why", "Why a job ran at an instant, or did not."),
    "backfill": ("backfill", "Run slots of the past that had no run."),
    "node": ("node", "The hosts of the fleet: list, drain, resume, remove."),
    "pool": ("pool", "Permits that jobs share: list, show, set, remove."),
    "secret": ("secret", "Secrets of jobs: list, set, remove, reseal."),
    "user": ("user", "People who may log in: list, add, invite, role, password, disable."),
    "token": ("token", "Tokens of programs: list, create, revoke."),
    "login": ("login", "Log in at a fleet elsewhere, or print a login link."),
    "logout": ("login", "Log out at a fleet elsewhere."),
    "alerts": ("alerts", "Mail, webhooks and pings: list, test, retry."),
    "maintenance": ("maintenance", "Hold the whole fleet, and let it go on: on, off."),
    "schedule": ("schedule", "A schedule in code: list, test, work, clear-lock."),
    "task": ("task", "Python functions with @task: list, run."),
    "apply": ("apply", "Make the fleet's jobs what files say."),
    "diff": ("apply", "What apply would change."),
    "import": ("importing", "Take over crontabs, and the tasks of a Gearman worker."),
    "export": ("exporting", "Give jobs back as a crontab or as YAML."),
    "crontab": ("crontab_file", "Show a user's jobs as a crontab, or test one."),
    "lock": ("lock", "Run a command while a lock is held."),
    "locks": ("locks", "Who holds which lock: list, clear."),
    "timestart": ("timestart", "Start a command again and again, at most so many at once."),
    "timeout": ("timeout", "Run a command under a time limit."),
    "publish": ("publish", "Replace a file whole or not at all."),
    "gearman": ("gearman", "Gearman: worker, submit, status."),
    "db": ("local", "The database: upgrade."),
    "config": ("local", "The configuration of this node."),
    "doctor": ("local", "Look for what is wrong on this host."),
    "completion": ("local", "Completion for bash, zsh or fish."),
}


@click.command(
    cls=Lazy,
    rooms=ROOMS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="cronherd", message="%(prog)s %(version)s")
def root() -> None:
    """One cron for many machines."""


def run(load_host: Callable[[], Host], now_us: Callable[[], int]) -> NoReturn:
    """The whole program: never returns, never shows a traceback to somebody who did not ask."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            # A terminal that cannot show a character gets its escape instead of an error.
            stream.reconfigure(errors="backslashreplace")
    session = Session(load_host=load_host, now_us=now_us, environ=os.environ)
    code = answer(sys.argv[1:], session)
    sys.exit(code)


def answer(args: Sequence[str], session: Session) -> int:
    """Do what the arguments say; the exit code."""
    try:
        code = _invoke(list(args), session)
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        _forget_stdout()
        return BROKEN_PIPE
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the edge: a person gets a sentence, always
        _flush_or_forget()
        return _say(error, args, session)
    return code


def _invoke(args: list[str], session: Session) -> int:
    if "_CRONHERD_COMPLETE" in os.environ:
        from click.shell_completion import shell_complete  # noqa: PLC0415 - only on need

        instruction = os.environ["_CRONHERD_COMPLETE"]
        return shell_complete(root, {"obj": session}, "cronherd", "_CRONHERD_COMPLETE", instruction)
    try:
        with root.make_context("cronherd", args, obj=session) as context:
            code = root.invoke(context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return code if isinstance(code, int) else 0


def _say(error: Exception, args: Sequence[str], session: Session) -> int:
    from cronherd.cli.complaint import complain  # noqa: PLC0415 - only on the way to an error

    if session.environ.get("CRONHERD_DEBUG") == "1":
        import traceback  # noqa: PLC0415 - only when somebody asks

        traceback.print_exc()
    as_json = session.settings.output == "json" or _asks_for_json(args)
    complain(error, as_json=as_json)
    return USAGE if isinstance(error, click.UsageError) else code_of(error)


def code_of(error: Exception) -> int:
    """An error may carry the exit code that scripts are promised."""
    return int(getattr(error, "exit_code", FAILED))


def _asks_for_json(args: Sequence[str]) -> bool:
    """Whether -o json was given behind what could not be read."""
    spelled = " ".join(args)
    return any(part in f" {spelled} " for part in (" -o json ", " -ojson ", " --output json ")) or (
        "--output=json" in args
    )


def _flush_or_forget() -> None:
    """What was printed before the fault is kept, unless it is what cannot be printed."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        _forget_stdout()


def _forget_stdout() -> None:
    """Python flushes once more at its end; nobody reads that."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
