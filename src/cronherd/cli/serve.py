"""`cronherd up`, `agent` and `tick`: what runs until it is told to stop, or until it is done."""

import click

from cronherd.cli.grammar import Command
from cronherd.cli.output import talk
from cronherd.cli.session import Session


@click.command("up", cls=Command)
@click.option("--no-apply", is_flag=True, help="Leave the jobs of the configuration alone.")
@click.pass_obj
def up_command(session: Session, *, no_apply: bool) -> int:
    """Run everything on this host; Ctrl-C once waits for what runs, twice ends it."""
    _say_files(session)
    return session.host.up(session.config, session.place, apply=not no_apply)


@click.command("agent", cls=Command)
@click.pass_obj
def agent_command(session: Session) -> int:
    """Run the agent of this host; it never makes a schema and applies no jobs."""
    _say_files(session)
    return session.host.agent(session.config, session.place)


@click.command("tick", cls=Command)
@click.pass_obj
def tick_command(session: Session) -> int:
    """Run what is due, wait for it, and end: for a cron line or a test."""
    return session.host.tick(session.config, session.place)


def _say_files(session: Session) -> None:
    """Which files are in force: one that is found by itself surprises whoever does not know."""
    files = ", ".join(str(path) for path in session.config.sources)
    if files:
        talk(f"cronherd: configuration: {files}")
