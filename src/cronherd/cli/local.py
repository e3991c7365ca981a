"""What is about this host only: `db`, `config`, `doctor`, `completion`."""

import click

from cronherd.cli.grammar import Command, Group
from cronherd.cli.output import Json, put, put_document, say
from cronherd.cli.session import Session
from cronherd.cli.table import Column, Table, coloured

_SHELLS = ("bash", "zsh", "fish")


@click.group("db", cls=Group)
def db_command() -> None:
    """The database."""


@db_command.command("upgrade")
@click.pass_obj
def upgrade_command(session: Session) -> None:
    """Bring its schema up to date; what is up to date is left alone."""
    done = session.host.upgrade(session.config, session.place)
    if not put_document(session, {"upgraded": done}, lambda: [done]):
        say(done)


@click.group("config", cls=Group)
def config_command() -> None:
    """The configuration of this node."""


@config_command.command("show")
@click.pass_obj
def show_command(session: Session) -> None:
    """Every setting with its value and where it comes from; passwords are hidden."""
    settings: Json = {
        name: {"value": shown.value, "origin": shown.origin}
        for name, shown in session.config.describe().items()
    }
    place = session.place
    for name, path in (("state", place.state), ("socket", place.socket)):
        settings[name] = {"value": str(path), "origin": "place"}
    columns = (Column("SETTING"), Column("VALUE", cut=True), Column("ORIGIN", cut=True))
    put(
        session,
        {"settings": settings},
        table=lambda: Table(
            columns,
            [(name, _spelled(s["value"]), str(s["origin"])) for name, s in settings.items()],
        ),
        names=lambda: list(settings),
    )


def _spelled(value: object) -> str:
    if value is None or value == {}:
        return "-"
    if isinstance(value, dict):
        return ",".join(f"{key}={part}" for key, part in value.items())
    return str(value)


@click.command("doctor", cls=Command)
@click.pass_obj
def doctor_command(session: Session) -> int:
    """Look for what is wrong on this host; 1 when something is."""
    findings = session.host.findings(session.config, session.place)
    document = {"findings": [{"level": f.level, "what": f.what, "text": f.text} for f in findings]}
    columns = (Column("LEVEL", style=coloured), Column("WHAT"), Column("FINDING"))
    put(
        session,
        document,
        table=lambda: Table(columns, [(f.level, f.what, f.text) for f in findings]),
        names=lambda: [f.what for f in findings],
    )
    return 1 if any(finding.level == "error" for finding in findings) else 0


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion_command(context: click.Context, shell: str) -> None:
    r"""The script that completes cronherd's commands in a shell.

    Bash: add the line  eval "$(cronherd completion bash)"  to ~/.bashrc
    """
    from click.shell_completion import get_completion_class  # noqa: PLC0415 - only here

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"'{shell}' is not known to this version of click")
    source = kind(context.find_root().command, {}, "cronherd", "_CRONHERD_COMPLETE")
    # Not its source(): that asks the bash of this host for its version and warns.
    click.echo(source.source_template % source.source_vars())
