"""Questions before something is changed that cannot be taken back."""

import sys

import click

from cronherd.cli.complaint import printable
from cronherd.cli.output import is_terminal


def confirm(question: str, *, yes: bool) -> None:
    """Go on after `--yes` or a typed yes; anything else ends the command.

    Without a terminal nobody can answer: that is wrong usage, and nothing is changed.
    """
    if yes:
        return
    if not is_terminal(sys.stdin):
        raise click.UsageError(
            f"nobody is here to answer: {question}\nrepeat it with --yes to go on"
        )
    click.echo(f"{printable(question)} [y/N] ", nl=False, err=True)
    try:
        typed = sys.stdin.readline()
    except UnicodeDecodeError:
        typed = ""
    if typed.strip().lower() not in {"y", "yes"}:
        click.echo("nothing was changed", err=True)
        raise click.exceptions.Exit(1)
