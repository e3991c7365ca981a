"""`cronherd locks`: who holds which lock, and taking one from a holder that is stuck."""

import click

from cronherd.cli.asking import confirm
from cronherd.cli.grammar import Group, yes_option
from cronherd.cli.output import Json, put, put_document, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.cli.times import Times, times_of
from cronherd.domain.lock import is_fleet_name

UNKNOWN = "?"


@click.group("locks", cls=Group, aliases={"ls": "list"})
def locks_command() -> None:
    """Locks for what is outside cronherd: who holds them, and clear one that is stuck.

    Those of the fleet have a name. One on a server is named by its URL, as for `cronherd lock`.
    """


@locks_command.command("list")
@click.argument("where", metavar="[URL]", required=False)
@click.pass_obj
def list_command(session: Session, *, where: str | None) -> None:
    """The locks of the fleet that are held, or the holders of the one at a URL."""
    document = _holds(session, where)
    if not document["items"]:
        talk("no lock is held" if where is None else "nobody holds it")
    put(
        session,
        document,
        table=lambda: _table(document["items"], times_of(session)),
        names=lambda: list(dict.fromkeys(item["name"] for item in document["items"])),
    )


def _holds(session: Session, where: str | None) -> Json:
    if where is not None and not is_fleet_name(where):
        from cronherd.tools.locklist import list_holds  # noqa: PLC0415 - only for one elsewhere

        return list_holds(where, session.environ)
    with session.fleet() as fleet:
        document = fleet.list_locks()
    if where is not None:
        document["items"] = [item for item in document["items"] if item["name"] == where]
    return document


def _table(holds: list[Json], times: Times) -> Table:
    columns = (
        Column("NAME", cut=True, least=NAME_LEAST),
        Column("HOLDER", cut=True, least=NAME_LEAST),
        Column("MODE"),
        Column("SINCE"),
        Column("UNTIL"),
        Column("FENCE"),
    )
    rows = [
        (
            hold["name"],
            hold["holder"] or UNKNOWN,
            hold["mode"],
            times.passed(hold["since_at"]) if hold["since_at"] else UNKNOWN,
            times.left(hold["until_at"]) if hold["until_at"] else UNKNOWN,
            str(hold["fence"] or "-"),
        )
        for hold in holds
    ]
    return Table(columns, rows)


@locks_command.command("clear")
@click.argument("where", metavar="NAME")
@yes_option
@click.pass_obj
def clear_command(session: Session, *, where: str, yes: bool) -> None:
    """Take a lock from whoever holds it: for a holder that is gone and will not expire soon.

    A holder that lives notices it with its next renewal, and ends its command; until then two may
    run at once. Clearing a lock of the fleet is an event.
    """
    confirm(f"Take the lock '{_shown(where)}' from its holder?", yes=yes)
    if is_fleet_name(where):
        with session.fleet() as fleet:
            document = fleet.clear_lock(where, session.actor)
    else:
        from cronherd.tools.locklist import clear_holds  # noqa: PLC0415 - only for one elsewhere

        document = clear_holds(where, session.environ, session.actor)
    if put_document(session, document, lambda: [document["cleared"]]):
        return
    holders = ", ".join(hold["holder"] or "somebody who shared it" for hold in document["holders"])
    talk(f"'{document['cleared']}' is cleared{'; it was held by ' if holders else ''}{holders}")


def _shown(where: str) -> str:
    """Without a password."""
    return where.rpartition("/")[2]
