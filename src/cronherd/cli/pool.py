"""`cronherd pool`: permits that runs of any job share."""

import click

from cronherd.cli.grammar import Group
from cronherd.cli.output import Json, put, put_document, put_table, say, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.cli.times import times_of
from cronherd.cli.words import run_table


@click.group("pool", cls=Group, aliases={"ls": "list", "rm": "remove", "view": "show"})
def pool_command() -> None:
    """Permits that runs of any job share: a pool of one is a mutex across jobs."""


@pool_command.command("list")
@click.pass_obj
def list_command(session: Session) -> None:
    """All pools: how many permits they have, how many are held, how many runs wait."""
    with session.fleet() as fleet:
        document = fleet.list_pools()
    if not document["items"]:
        talk("there is no pool: make one with `cronherd pool set NAME PERMITS`")
    put(
        session,
        document,
        table=lambda: _table(document["items"]),
        names=lambda: [pool["name"] for pool in document["items"]],
    )


def _table(pools: list[Json]) -> Table:
    columns = (
        Column("POOL", cut=True, least=NAME_LEAST),
        Column("PERMITS", right=True),
        Column("HELD", right=True),
        Column("WAITING", right=True),
    )
    rows = [
        (pool["name"], str(pool["permits"]), str(pool["held"]), str(pool["waiting"]))
        for pool in pools
    ]
    return Table(columns, rows)


@pool_command.command("show")
@click.argument("name")
@click.pass_obj
def show_command(session: Session, *, name: str) -> None:
    """One pool, the runs that hold its permits, and the jobs that ask for them."""
    with session.fleet() as fleet:
        document = fleet.show_pool(name)
    if put_document(session, document, lambda: [document["name"]]):
        return
    say(_sentence(document))
    say(f"jobs: {', '.join(document['jobs']) or 'none asks for it'}")
    if document["holders"]:
        say("")
        put_table(session, run_table(document["holders"], times_of(session)))


@pool_command.command("set")
@click.argument("name")
@click.argument("permits", type=int)
@click.pass_obj
def set_command(session: Session, *, name: str, permits: int) -> None:
    """Make a pool, or change how many permits it has; 0 closes it.

    Runs that hold more than a lower number allows go on to their end.
    """
    with session.fleet() as fleet:
        document = fleet.set_pool(name, permits, session.actor)
    if not put_document(session, document, lambda: [document["name"]]):
        talk(_sentence(document))


@pool_command.command("remove")
@click.argument("name")
@click.pass_obj
def remove_command(session: Session, *, name: str) -> None:
    """Forget a pool. While a job asks for it, it is refused."""
    with session.fleet() as fleet:
        document = fleet.remove_pool(name, session.actor)
    if not put_document(session, document, lambda: [document["removed"]]):
        talk(f"the pool '{document['removed']}' is removed")


def _sentence(pool: Json) -> str:
    some = "1 permit" if pool["permits"] == 1 else f"{pool['permits']} permits"
    waiting = pool["waiting"]
    waits = f", {waiting} run{'s wait' if waiting != 1 else ' waits'}" if waiting else ""
    closed = ": it is closed" if pool["permits"] == 0 else ""
    return f"the pool '{pool['name']}' has {some}{closed}, {pool['held']} held{waits}"
