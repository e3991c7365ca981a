"""`cronherd up`, `agent` and `tick`: what runs until it is told to stop, or until it is done."""

import click

from cronherd.cli.grammar import Command, Group
from cronherd.cli.output import talk
from cronherd.cli.session import Session


@click.command("up", cls=Command)
@click.option("--no-apply", is_flag=True, help="Leave the jobs of the configuration alone.")
@click.pass_obj
def up_command(session: Session, *, no_apply: bool) -> int:
    """Run everything on this host; Ctrl-C once waits for what runs, twice ends it."""
    _say_files(session)
    return session.host.up(session.config, session.place, apply=not no_apply)


@click.group("agent", cls=Group, invoke_without_command=True)
@click.pass_context
def agent_command(context: click.Context) -> int:
    """Run the agent of this host; it never makes a schema and applies no jobs."""
    if context.invoked_subcommand is not None:
        return 0
    session: Session = context.obj
    _say_files(session)
    return session.host.agent(session.config, session.place)


@agent_command.command("reload", cls=Command)
@click.pass_obj
def reload_command(session: Session) -> int:
    """Have the agent of this host start again with its program and files as they are now.

    No run is touched: what runs goes on with its supervisor.
    """
    pid = session.host.reload_agent(session.place)
    talk(f"asked the agent (pid {pid}) to start again; its runs go on")
    return 0


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
