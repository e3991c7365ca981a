"""`cronherd secret`: values that jobs are given and nobody is shown."""

import sys

import click

from cronherd.cli.grammar import Group
from cronherd.cli.output import Json, is_terminal, put, put_document, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.cli.times import Times, times_of
from cronherd.domain.errors import Invalid
from cronherd.domain.secret import (
    MASKED_FROM,
    VALUE_BYTES,
    check_name,
    check_size,
    check_value,
)

STDIN = "-"


@click.group("secret", cls=Group, aliases={"ls": "list", "rm": "remove"})
def secret_command() -> None:
    """Values that jobs are given and nobody is shown."""


@secret_command.command("list")
@click.pass_obj
def list_command(session: Session) -> None:
    """Which there are, who set each last, and when. Never a value."""
    with session.fleet() as fleet:
        document = fleet.list_secrets()
    if not document["items"]:
        talk("no secret is set: cronherd secret set NAME")
    put(
        session,
        document,
        table=lambda: _table(document["items"], times_of(session)),
        names=lambda: [secret["name"] for secret in document["items"]],
    )


def _table(secrets: list[Json], times: Times) -> Table:
    columns = (Column("NAME", cut=True, least=NAME_LEAST), Column("SET"), Column("BY"))
    rows = [
        (secret["name"], times.passed(secret["set_at"]), secret["set_by"].removeprefix("local:"))
        for secret in secrets
    ]
    return Table(columns, rows)


@secret_command.command("set", context_settings={"allow_extra_args": True})
@click.argument("name")
@click.option("--from-file", metavar="FILE", help="Take the value from a file, just as it is.")
@click.pass_context
def set_command(context: click.Context, *, name: str, from_file: str | None) -> None:
    """Make a secret, or replace its value.

    The value is typed at a prompt that does not show it. Without a terminal it is read from
    standard input, less one line break at its end.
    """
    session: Session = context.obj
    if context.args:  # not repeated here: it may be in somebody's log by now
        raise click.UsageError(
            "a value does not belong on the command line: everybody on this host can read it "
            "there\ntype it at the prompt, pipe it in, or give --from-file FILE",
            context,
        )
    check_name(name)
    value = _text(_read(name, from_file))
    check_value(value)
    with session.fleet() as fleet:
        document = fleet.set_secret(name, value, session.actor)
    if put_document(session, document, lambda: [document["name"]]):
        return
    talk(f"'{name}' is set")
    if not document["masked"]:
        talk(
            f"it is shorter than {MASKED_FROM} characters: jobs get it, and it is not masked in "
            "what they write"
        )
    if document["key_made"]:
        talk(
            f"its key was made: {document['key_made']}; keep a copy of it elsewhere, and give it "
            "to each other node of the fleet"
        )


def _read(name: str, path: str | None) -> bytes:
    if path is not None and path != STDIN:
        with click.open_file(path, "rb") as file:
            return bytes(file.read(VALUE_BYTES + 1))
    if path is None and is_terminal(sys.stdin):
        typed: str = click.prompt(f"value of '{name}'", hide_input=True, err=True)
        return typed.encode("utf-8", "surrogateescape")
    piped = sys.stdin.buffer.read(VALUE_BYTES + 3)
    return piped.removesuffix(b"\n").removesuffix(b"\r")


def _text(value: bytes) -> str:
    check_size(len(value))
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise Invalid(
            "a secret is text in UTF-8",
            code="bad_secret",
            hint="bytes can be kept as base64, and decoded by the command",
        ) from None


@secret_command.command("remove")
@click.argument("name")
@click.option("--force", is_flag=True, help="Also while jobs use it: their runs are not started.")
@click.pass_obj
def remove_command(session: Session, *, name: str, force: bool) -> None:
    """Forget a secret. While jobs use it, it is refused without --force."""
    with session.fleet() as fleet:
        document = fleet.remove_secret(name, session.actor, force=force)
    if put_document(session, document, lambda: [document["removed"]]):
        return
    talk(f"'{document['removed']}' is removed")
    if document["used_by"]:
        talk(f"runs of these jobs are not started any more: {', '.join(document['used_by'])}")


@secret_command.command("reseal")
@click.pass_obj
def reseal_command(session: Session) -> None:
    """Seal all secrets by the first key of the file, so that the older ones can go."""
    with session.fleet() as fleet:
        document = fleet.reseal_secrets(session.actor)
    if not put_document(session, document, lambda: [str(document["resealed"])]):
        count = document["resealed"]
        talk(f"{count} secret{'s' * (count != 1)} sealed by the first key")
    if document["closed"]:
        names = " ".join(document["closed"])
        talk(f"no key of the file opens these, they stay as they are: {names}")
        raise click.exceptions.Exit(1)
