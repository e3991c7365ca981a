"""`cronherd job create`: from options, from an argument list behind `--`, or from YAML."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cronherd.cli.foreign import warn_of_users
from cronherd.cli.grammar import Command, Count, pairs
from cronherd.cli.located import located
from cronherd.cli.output import put_document, talk
from cronherd.cli.session import Session
from cronherd.cli.settings import Definition, as_written, put_settings
from cronherd.cli.times import times_of
from cronherd.domain.errors import Invalid, InvalidInput

if TYPE_CHECKING:
    from cronherd.definition.document import Document

_OVERLAPS = ("skip", "queue", "replace", "allow")
_CATCHUPS = ("none", "latest", "all")
_MOST = 1_000_000  # the definition has the exact limits; this one keeps the sentence short
# The first word of a schedule that was to be in quotes.
_FRAGMENT = re.compile(r"[-*/,\d]+|every|after|at", re.IGNORECASE)


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    """The settings people give most; every other one is reached with --set."""
    for option in reversed(
        (
            click.option("-f", "--file", "file", metavar="FILE", help="YAML; - is standard input."),
            click.option("-c", "--command", metavar="TEXT", help="A command for the shell."),
            click.option("-s", "--schedule", multiple=True, metavar="WHEN",
                         help="'30 2 * * *', 'every 10m', 'after 5m', 'at 2027-01-01 09:00'."),
            click.option("--timezone", metavar="ZONE", help="Such as Europe/Berlin."),
            click.option("--description", metavar="TEXT", help="What it is for."),
            click.option("--window", metavar="HH:MM-HH:MM", help="Only start within."),
            click.option("--overlap", type=click.Choice(_OVERLAPS), help="When it still runs."),
            click.option("--catchup", type=click.Choice(_CATCHUPS), help="After an outage."),
            click.option("--timeout", metavar="DURATION", help="End it after so long."),
            click.option("--retries", type=Count(_MOST, 0), help="How often to try again."),
            click.option("--max-running", type=Count(_MOST), help="How many at once."),
            click.option(
                "--env",
                multiple=True,
                metavar="KEY=VALUE",
                callback=pairs,
                help="A variable of its environment.",
            ),
            click.option("--run-on", multiple=True, metavar="LABEL=VALUE", callback=pairs,
                         help="Only on nodes with this label."),
            click.option("--cwd", metavar="DIR", help="The directory it runs in."),
            click.option("--disabled", is_flag=True, help="Do not start it by its schedule yet."),
            click.option("--set", "more", multiple=True, metavar="KEY=VALUE",
                         help="Any setting of a job."),
        )
    ):  # fmt: skip
        function = option(function)
    return function


@click.command("create", cls=Command)
@click.argument("name", required=False)
@click.argument("argv", nargs=-1, metavar="[-- COMMAND ARG...]")
@_options
@click.pass_obj
def create_command(
    session: Session, /, name: str | None, file: str | None, more: tuple[str, ...], **given: Any
) -> None:
    """Make a job.

    \b
    cronherd job create backup -s '30 2 * * *' -c 'pg_dump shop | gzip > shop.gz'
    cronherd job create backup -s 'every 1h' -- rsync -a /srv backup:
    cronherd job create -f backup.yaml
    """  # noqa: D301 - click reads \b as "keep these lines"
    definition, locate = _from_file(file) if file else ({}, _as_it_is)
    definition.update(_from_options(name, given))
    put_settings(definition, more)
    if "name" not in definition:
        raise click.UsageError("a job needs a name\nwrite: cronherd job create NAME …")
    if definition.keys().isdisjoint({"command", "task", "gearman"}):
        raise click.UsageError("a job needs a command\ngive --command TEXT, or -- COMMAND ARG…")
    with session.fleet() as fleet:
        try:
            document = fleet.create_job(definition, session.actor)
        except InvalidInput as error:
            raise locate(error) from None
    warn_of_users([definition])
    if put_document(session, document, lambda: [document["name"]]):
        return
    upcoming = times_of(session).at(document["next_at"])
    when = f"runs next at {upcoming}" if document["next_at"] else "runs only when it is asked to"
    talk(f"'{document['name']}' is created and {when}")


def _from_options(name: str | None, given: dict[str, Any]) -> Definition:
    command, argv = given.pop("command"), given.pop("argv")
    schedules, disabled = given.pop("schedule"), given.pop("disabled")
    for schedule in schedules:
        if _FRAGMENT.fullmatch(schedule.strip()):
            raise click.UsageError(
                f"'{schedule}' is only the first word of a schedule\n"
                "put all of it in quotes, as in -s '30 2 * * *' or -s 'every 10s'"
            )
    if command and argv:
        raise click.UsageError(
            "give the command once: either --command, or behind --\n"
            "put all of it in quotes: --command 'echo hello'"
        )
    definition: Definition = {"name": name, "command": command or list(argv)}
    definition["schedule"] = schedules[0] if len(schedules) == 1 else list(schedules)
    definition |= given
    kept = {key: value for key, value in definition.items() if value not in (None, [], {})}
    return {**kept, "enabled": False} if disabled else kept


Locate = Callable[[InvalidInput], InvalidInput]


def _as_it_is(error: InvalidInput) -> InvalidInput:
    return error


def _from_file(file: str) -> tuple[Definition, Locate]:
    """The one job of a YAML file, or of a file with a `jobs:` list of one; and where it says so."""
    document = read_yaml(file)
    value: object = document.value
    path: tuple[str | int, ...] = ()
    jobs = value.get("jobs") if isinstance(value, dict) else None
    if isinstance(jobs, list) and len(jobs) == 1:
        value, path = jobs[0], ("jobs", 0)
    elif jobs is not None:
        hint = "use `cronherd apply -f` for several"
        raise Invalid("create makes one job", code="not_one_job", hint=hint, where=document.name)
    if not isinstance(value, dict):
        hint = "write name:, command: and schedule:"
        raise Invalid(
            "is not the definition of a job", code="not_a_job", hint=hint, where=document.name
        )
    return as_written(value), lambda error: located(error, document, path)


def read_yaml(file: str) -> "Document":
    """A YAML file; `-` is standard input."""
    from cronherd.definition.document import load_document, read_document  # noqa: PLC0415 - imports yaml

    if file != "-":
        return read_document(Path(file))
    raw = sys.stdin.buffer.read()
    try:
        return load_document(raw.decode("utf-8-sig"), "standard input")
    except UnicodeDecodeError:
        raise Invalid("is not UTF-8", code="not_utf8", where="standard input") from None
