"""`cronherd node`: the hosts of the fleet."""

import click

from cronherd.cli.grammar import Group
from cronherd.cli.output import Json, put, put_document, put_each, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table, coloured
from cronherd.cli.times import NOTHING, Times, times_of
from cronherd.cli.words import named_runs

_FEW = 3  # nodes that a sentence names


@click.group("node", cls=Group, aliases={"ls": "list", "rm": "remove"})
def node_command() -> None:
    """The hosts that run jobs."""


@node_command.command("list")
@click.pass_obj
def list_command(session: Session) -> None:
    """All nodes, by name: alive, drained, silent or stopped."""
    with session.fleet() as fleet:
        document = fleet.list_nodes()
    if not document["items"]:
        talk("no node has joined yet: start one with `cronherd up`")
    talk_of_mix(document["items"])
    put(
        session,
        document,
        table=lambda: node_table(document["items"], times_of(session)),
        names=lambda: [node["name"] for node in document["items"]],
    )


def node_table(nodes: list[Json], times: Times) -> Table:
    columns = (
        Column("NAME", cut=True, least=NAME_LEAST),
        Column("STATE", style=coloured),
        Column("RUNS", right=True),
        Column("CAPACITY", right=True),
        Column("LABELS", cut=True),
        Column("STARTED"),
        Column("LEASE"),
        Column("VERSION"),
        Column("TZDATA", wide=True),
        Column("BEATS", wide=True, right=True),
        Column("BOOT", wide=True),
        Column("ID", wide=True),
    )
    rows = [
        (
            node["name"],
            state_of(node, times),
            str(node["live_runs"]),
            str(node["capacity"]),
            ",".join(f"{key}={value}" for key, value in node["labels"].items()),
            times.passed(node["started_at"]),
            _lease(node, times),
            node["version"],
            node["tzdata"],
            str(node["beats"]),
            node["boot_id"],
            node["id"],
        )
        for node in nodes
    ]
    return Table(columns, rows)


def talk_of_mix(nodes: list[Json]) -> None:
    """Nodes that live with different rules of the world's clocks may compute different slots."""
    by_rules: dict[str, list[str]] = {}
    for node in nodes:
        if node["alive"]:
            by_rules.setdefault(node["tzdata"], []).append(node["name"])
    if len(by_rules) < 2:
        return
    parts = [
        f"{rules} on {', '.join(names[:_FEW])}{' and others' * (len(names) > _FEW)}"
        for rules, names in sorted(by_rules.items())
    ]
    talk(f"zone rules differ between nodes: {'; '.join(parts)}: install one version of tzdata")


def state_of(node: Json, times: Times) -> str:
    """One word, and for a silent node since when: `silent since 2026-11-21 09:59:00 UTC`."""
    since = f" since {times.at(node['silent_since'])}" if node["silent_since"] else ""
    drained = " (drained)" if node["drained"] and node["state"] != "drained" else ""
    return f"{node['state']}{since}{drained}"


def _lease(node: Json, times: Times) -> str:
    """How long its lease still runs, or how long ago it ran out."""
    if node["alive"]:
        return f"{times.left(node['lease_until'])} left"
    return times.passed(node["lease_until"]) if node["lease_until"] else NOTHING


@node_command.command("drain")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def drain_command(session: Session, *, names: tuple[str, ...]) -> None:
    """Let nodes end what they run and start nothing more, until they are resumed."""
    _switch(session, names, drained=True)


@node_command.command("resume")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def resume_command(session: Session, *, names: tuple[str, ...]) -> None:
    """Let drained nodes start runs again."""
    _switch(session, names, drained=False)


def _switch(session: Session, names: tuple[str, ...], *, drained: bool) -> None:
    with session.fleet() as fleet:
        documents = [fleet.set_drained(name, session.actor, drained=drained) for name in names]
    put_each(session, documents, "name", _drained if drained else _resumed)


def _drained(node: Json) -> str:
    live = node["live_runs"]
    going_on = f"; {live} run{'s' * (live != 1)} of it still to end" if live else ""
    return f"'{node['name']}' is drained: it starts nothing more{going_on}"


def _resumed(node: Json) -> str:
    silent = "" if node["alive"] else f", but it is {node['state']}"
    return f"'{node['name']}' may start runs{silent}"


@node_command.command("remove")
@click.argument("name")
@click.option(
    "--confirm-dead", is_flag=True, help="You swear that nothing of it runs any more: end its runs."
)
@click.pass_obj
def remove_command(session: Session, *, name: str, confirm_dead: bool) -> None:
    """Forget a node that is not alive.

    One that still holds runs needs --confirm-dead: they end as lost, or start again elsewhere
    where their job says delivery: at_least_once.
    """
    with session.fleet() as fleet:
        document = fleet.remove_node(name, session.actor, confirm_dead=confirm_dead)
    if put_document(session, document, lambda: [document["removed"]]):
        return
    talk(f"'{document['removed']}' is removed")
    for key, what in (("lost", "ended as lost"), ("started_again", "to be started again")):
        if document[key]:
            talk(f"{named_runs(document[key])} {what}")
