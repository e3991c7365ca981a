"""`cronherd audit`: whether every slot of the past has its outcome."""

import click

from cronherd.cli.grammar import Command
from cronherd.cli.output import Json, every_page, put, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.cli.times import NOTHING, Times, times_of
from cronherd.cli.words import counted
from cronherd.domain.instant import load_zone

FOUND = 1
_KINDS = {
    "unexplained": "without an outcome",
    "twice": "with two outcomes",
    "uncalled": "that are no slots but ran",
    "miscounted": "where the ledger counts wrong",
}


@click.command("audit", cls=Command)
@click.argument("names", nargs=-1, metavar="[JOB]...")
@click.option("--from", "start", metavar="INSTANT", help="In each job's zone; else seven days.")
@click.option("--to", "end", metavar="INSTANT", help="Else now.")
@click.pass_obj
def audit_command(
    session: Session, *, names: tuple[str, ...], start: str | None, end: str | None
) -> int:
    """Recount the slots of all jobs, and list those that nobody can explain.

    The count is made apart from the planner, by the versions of each job that were in force. Every
    slot ran, or the ledger says why not. The exit code is 1 when one has no outcome, or two.
    """
    with session.fleet() as fleet:
        if names:
            items = [item for name in names for item in fleet.audit(name, start, end)["items"]]
        else:
            items = every_page(lambda after: fleet.audit(None, start, end, after))["items"]
    times = times_of(session)
    put(
        session,
        {"items": items, "next": None},
        table=lambda: _table(items),
        names=lambda: [item["job"] for item in items if not item["sound"]],
    )
    bad = [item for item in items if not item["sound"]]
    for item in bad:
        _tell(item, times)
    if start is not None:
        _tell_horizon(items, times)
    slots = sum(item["slots"] for item in items)
    wrong = sum(item[kind]["count"] for item in items for kind in _KINDS)
    talk(f"{counted(len(items), 'job')}, {counted(slots, 'slot')}: {wrong} unexplained")
    return FOUND if bad else 0


def _table(items: list[Json]) -> Table:
    columns = (
        Column("JOB", cut=True, least=NAME_LEAST),
        Column("SLOTS"),
        Column("RAN"),
        Column("NOT RUN", cut=True),
        Column("UNEXPLAINED"),
    )
    rows = [
        (
            item["job"],
            str(item["slots"]),
            str(item["ran"]),
            ", ".join(f"{count} {reason}" for reason, count in item["told"].items()) or NOTHING,
            str(sum(item[kind]["count"] for kind in _KINDS)),
        )
        for item in items
    ]
    return Table(columns, rows)


def _tell(item: Json, times: Times) -> None:
    zone = load_zone(item["timezone"])
    for kind, words in _KINDS.items():
        found = item[kind]
        if found["count"]:
            shown = ", ".join(times.inside(instant, zone) for instant in found["first"][:5])
            more = ", …" if found["count"] > 5 else ""
            talk(f"'{item['job']}': {counted(found['count'], 'slot')} {words}: {shown}{more}")


def _tell_horizon(items: list[Json], times: Times) -> None:
    """Of an earlier time than that nothing is on record, so nothing can be missing there either."""
    late = [item for item in items if item["from"] == item["kept_since"]]
    if not late:
        return
    shown = ", ".join(
        f"'{item['job']}' from {times.inside(item['from'], load_zone(item['timezone']))}"
        for item in late[:5]
    )
    more = ", …" if len(late) > 5 else ""
    talk(f"accounts that begin later than asked for: {shown}{more}")
