"""`cronherd node`: the hosts of the fleet."""

import click

from cronherd.cli.grammar import Group
from cronherd.cli.output import Json, put, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table, coloured
from cronherd.cli.times import Times, times_of


@click.group("node", cls=Group, aliases={"ls": "list"})
def node_command() -> None:
    """The hosts that run jobs."""


@node_command.command("list")
@click.pass_obj
def list_command(session: Session) -> None:
    """All nodes, by name."""
    with session.fleet() as fleet:
        document = fleet.list_nodes()
    if not document["items"]:
        talk("no node has joined yet: start one with `cronherd up`")
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
        Column("VERSION"),
        Column("TZDATA", wide=True),
        Column("ID", wide=True),
    )
    rows = [
        (
            node["name"],
            "alive" if node["alive"] else "silent",
            str(node["live_runs"]),
            str(node["capacity"]),
            ",".join(f"{key}={value}" for key, value in node["labels"].items()),
            times.passed(node["started_at"]),
            node["version"],
            node["tzdata"],
            node["id"],
        )
        for node in nodes
    ]
    return Table(columns, rows)
