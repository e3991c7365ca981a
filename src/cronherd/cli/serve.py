"""`cronherd up`, `agent` and `tick`: what runs until it is told to stop, or until it is done."""

from dataclasses import replace
from typing import TYPE_CHECKING

import click

from cronherd.cli.grammar import Command, Group
from cronherd.cli.output import talk
from cronherd.cli.session import Session

if TYPE_CHECKING:
    from cronherd.config.load import Config


_LISTEN = click.option(
    "--listen",
    multiple=True,
    metavar="HOST:PORT",
    help="Where pages and API are served, or none; may be given again.",
)
_PROXY = click.option(
    "--behind-proxy", is_flag=True, help="A proxy that brings TLS stands before it."
)


@click.command("up", cls=Command)
@click.option("--no-apply", is_flag=True, help="Leave the jobs of the configuration alone.")
@_LISTEN
@_PROXY
@click.pass_obj
def up_command(
    session: Session, *, no_apply: bool, listen: tuple[str, ...], behind_proxy: bool
) -> int:
    """Run everything on this host; Ctrl-C once waits for what runs, twice ends it.

    Pages and API are at http://127.0.0.1:2766, and on the Unix socket that commands use. While
    nobody can log in, it prints a link for the first login.
    """
    _say_files(session)
    config = _serving(session, listen, behind_proxy=behind_proxy)
    return session.host.up(config, session.place, apply=not no_apply)


@click.command("web", cls=Command)
@_LISTEN
@_PROXY
@click.pass_obj
def web_command(session: Session, *, listen: tuple[str, ...], behind_proxy: bool) -> int:
    """Serve pages and API alone, on any host that reaches the database; no agent is needed.

    Beyond this host only when there are accounts, and with web.tls_cert and web.tls_key, or
    behind a proxy that brings TLS.
    """
    _say_files(session)
    config = _serving(session, listen, behind_proxy=behind_proxy)
    if not config.web.listen:
        raise click.UsageError("without an address to listen at there is nothing to serve")
    config = replace(config, web=replace(config.web, asked=True))
    return session.host.web(config, session.place)


def _serving(session: Session, listen: tuple[str, ...], *, behind_proxy: bool) -> "Config":
    """The configuration with what was said on the command line."""
    config = session.config
    if listen:
        from cronherd.config.web import read_listen  # noqa: PLC0415 - only when it is said

        spots = tuple(read_listen(list(listen)))
        config = replace(config, web=replace(config.web, listen=spots, asked=True))
    if behind_proxy:
        config = replace(config, web=replace(config.web, behind_proxy=True))
    return config


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
