"""`cronherd task`: the functions with @task of a program."""

import json
import os
import sys
from typing import Any

import click

from cronherd.cli.grammar import Group
from cronherd.cli.output import put, say, talk, to_json
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.domain.errors import NotFound
from cronherd.task import find, registered

_RUNNER = "import sys; from cronherd.taskrun.main import main; sys.exit(main())"
_ORDER = "CRONHERD_TASK"
_TELLS = 3
_app = click.option(
    "--app", required=True, metavar="MODULE", help="The module to import, from here."
)


@click.group("task", cls=Group)
def task_command() -> None:
    """Python functions with @task: list, run."""


@task_command.command("list")
@_app
@click.pass_obj
def list_command(session: Session, *, app: str) -> None:
    """The tasks that importing the module registers."""
    _load(app)
    items = [
        {"name": known.name, "task": known.target, "about": _about(known.function)}
        for known in registered()
    ]
    if not items:
        talk("no function has @task: write it before one")
    columns = (
        Column("NAME", cut=True, least=NAME_LEAST),
        Column("TASK"),
        Column("ABOUT", cut=True),
    )
    put(
        session,
        {"items": items},
        table=lambda: Table(columns, [tuple(item.values()) for item in items]),
        names=lambda: [item["name"] for item in items],
    )


@task_command.command("run")
@click.argument("name")
@_app
@click.option("--args", "given", metavar="JSON", help="A list, or a mapping by name.")
@click.pass_obj
def run_command(_: Session, *, name: str, app: str, given: str | None) -> int:
    """Call a task here and now, in a process of its own; no fleet knows of it.

    What it returns is printed as JSON; the exit code is the one its run would have.
    """
    _load(app)
    found = find(name)
    if found is None:
        names = ", ".join(known.name for known in registered())
        raise NotFound(f"no task is called '{name[:60]}'", hint=f"there are: {names[:200]}")
    code, told = _called(found.target, _args(given))
    if told.result is not None:
        text = to_json(told.result)
        say(text)
    for note in told.notes:
        talk(f"cronherd: {note}")
    return code


def _load(app: str) -> None:
    from cronherd.sdk.app import load_module  # noqa: PLC0415 - it imports much

    load_module(app.partition(":")[0])


def _about(function: Any) -> str:
    return (function.__doc__ or "").strip().partition("\n")[0]


def _args(given: str | None) -> object:
    if given is None:
        return None
    from cronherd.definition.command import read_args  # noqa: PLC0415 - pydantic

    try:
        return read_args(json.loads(given))
    except ValueError as error:
        raise click.BadParameter(f"--args is no JSON: {error}") from None


def _called(target: str, args: object) -> tuple[int, Any]:
    """The exit code, and what it told."""
    from cronherd.domain.telling import read_told  # noqa: PLC0415 - only here

    ours, theirs = os.pipe()
    order = json.dumps({"args": args})
    pid = os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", _RUNNER, target],
        {**os.environ, _ORDER: order},
        file_actions=[(os.POSIX_SPAWN_DUP2, theirs, _TELLS)],
    )
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        told = read_told(pipe.read())
    _, status = os.waitpid(pid, 0)
    code = os.waitstatus_to_exitcode(status)
    return (code if code >= 0 else 128 - code), told
