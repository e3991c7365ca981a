"""`cronherd maintenance`: the whole fleet stands still, and goes on."""

import click

from cronherd.cli.grammar import Group
from cronherd.cli.output import Json, put_document, talk
from cronherd.cli.session import Session
from cronherd.cli.times import Times, times_of


@click.group("maintenance", cls=Group)
def maintenance_command() -> None:
    """Hold the whole fleet while its hosts or its database are worked on."""


@maintenance_command.command("on")
@click.pass_obj
def on_command(session: Session) -> None:
    """Hold the fleet: nothing fires, no silent node is judged.

    What runs goes on. Slots stay due: when it ends, each job's catchup says what becomes of them.
    """
    _switch(session, hold=True)


@maintenance_command.command("off")
@click.pass_obj
def off_command(session: Session) -> None:
    """Let the fleet go on."""
    _switch(session, hold=False)


def _switch(session: Session, *, hold: bool) -> None:
    with session.fleet() as fleet:
        document = fleet.set_hold(session.actor, hold=hold)
    if put_document(session, document, lambda: ["on" if document["hold"] else "off"]):
        return
    held = hold_text(document["hold"], times_of(session))
    talk(f"maintenance is {held}" if held else "maintenance is off")


def hold_text(hold: Json | None, times: Times) -> str:
    """`on since … by …: what that means`; empty while nobody holds the fleet."""
    if hold is None:
        return ""
    who = str(hold["by"]).removeprefix("local:")
    by = f" by {who}" if who else ""
    return f"on since {times.at(hold['since'])}{by}: nothing fires, no silent node is judged"
