"""`cronherd job versions` and `job rollback`: what a job was, and making it that again."""

import json

import click

from cronherd.cli.grammar import Command
from cronherd.cli.output import Json, put, put_document, say, talk, to_yaml
from cronherd.cli.session import Session
from cronherd.cli.table import Column, Table
from cronherd.cli.times import NOTHING, Times, times_of
from cronherd.domain.errors import NotFound
from cronherd.views import in_order


@click.command("versions", cls=Command)
@click.argument("name")
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@click.pass_obj
def versions_command(session: Session, *, name: str, number: int | None, limit: int) -> None:
    r"""What a job was, newest first; with a NUMBER, the whole definition of that version.

    \b
        cronherd job versions backup
        cronherd job versions backup 3
        cronherd job rollback backup --to 3
    """
    with session.fleet() as fleet:
        if number is not None:
            _show_one(session, fleet.list_versions(name, number + 1, 1), number)
            return
        document = fleet.list_versions(name, limit=limit)
    put(
        session,
        document,
        table=lambda: _table(document["items"], times_of(session)),
        names=lambda: [str(version["number"]) for version in document["items"]],
    )
    if document.get("next"):
        talk(f"older ones are left out; see more with -n {min(limit * 10, 1000)}")


def _show_one(session: Session, document: Json, number: int) -> None:
    found = document["items"]
    if not found or found[0]["number"] != number:
        raise NotFound(
            f"'{document['job']}' has no version {number}",
            code="no_such_version",
            hint=f"see `cronherd job versions {document['job']}`",
        )
    if not put_document(session, found[0], lambda: [str(number)]):
        say(to_yaml(in_order(found[0]["definition"])).rstrip())


def _table(versions: list[Json], times: Times) -> Table:
    columns = (
        Column("VERSION", right=True),
        Column("SINCE"),
        Column("BY", cut=True),
        Column("CHANGED", cut=True, least=20),
    )
    rows = [
        (str(each["number"]), times.at(each["at"]), each["by"], _changes(each["changes"]))
        for each in versions
    ]
    return Table(columns, rows)


def _changes(changes: list[Json] | None) -> str:
    if changes is None:
        return "made"
    told = [f"{each['key']}: {_short(each['old'])} -> {_short(each['new'])}" for each in changes]
    return "; ".join(told) or NOTHING


def _short(value: object) -> str:
    if value is None:
        return "none"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@click.command("rollback", cls=Command)
@click.argument("name")
@click.option("--to", type=click.IntRange(min=1), required=True, metavar="NUMBER", help="Which.")
@click.pass_obj
def rollback_command(session: Session, *, name: str, to: int) -> None:
    """Make an earlier definition of a job the present one again, as a new version."""
    with session.fleet() as fleet:
        looked_at = fleet.show_job(name)
        job = fleet.rollback_job(looked_at["id"], to, looked_at["version"], session.actor)
    if not put_document(session, job, lambda: [job["name"]]):
        talk(f"'{job['name']}' is as in version {to} again, saved as version {job['version']}")
