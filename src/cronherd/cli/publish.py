"""`cronherd publish`: a file replaced whole or not at all."""

import click

from cronherd.cli.grammar import Command
from cronherd.cli.session import Session
from cronherd.cli.tool import command_of, refuse
from cronherd.tools.command import SpawnError
from cronherd.tools.crew import CLOCK
from cronherd.tools.publication import Manner, Publication
from cronherd.tools.publish import publish_file, publish_input, publish_output


@click.command("publish", cls=Command)
@click.argument("path", metavar="FILE", type=click.Path())
@click.argument("words", metavar="[-- COMMAND...]", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--if-success", is_flag=True, help="Publish what COMMAND writes, only if it exits with 0."
)
@click.option("--from", "source", metavar="TEMP", type=click.Path(), help="Publish this file.")
@click.option("--backup", is_flag=True, help="Keep the old one as FILE~.")
@click.option("--no-clobber", is_flag=True, help="Fail when FILE exists.")
@click.option("--keep-on-empty", is_flag=True, help="Empty content replaces nothing.")
@click.pass_obj
def publish_command(
    session: Session,
    *,
    path: str,
    words: tuple[str, ...],
    if_success: bool,
    source: str | None,
    backup: bool,
    no_clobber: bool,
    keep_on_empty: bool,
) -> int:
    """Replace a file by standard input, so that readers see the old one or the new, never less.

    The content is written beside FILE and reaches the disk before it takes its place. FILE keeps
    its mode and owner. What FILE links to is replaced, not the link.

    \b
    make-page | cronherd publish index.html
    cronherd publish feed.xml --if-success -- fetch https://feeds.example.com/all
    cronherd publish rates.csv --from rates.csv.new --backup

    With a command the exit code is its own; 1 when nothing was published.
    """  # noqa: D301 - click reads \b as "keep these lines"
    if bool(words) != if_success:
        raise click.UsageError("a command and --if-success go together")
    if source is not None and words:
        raise click.UsageError("--from and a command cannot be combined")
    if backup and no_clobber:
        raise click.UsageError("--backup and --no-clobber cannot be combined")
    manner = Manner(backup=backup, no_clobber=no_clobber, keep_on_empty=keep_on_empty)
    publication = Publication(path, manner)
    if source is not None:
        return publish_file(publication, source, session.environ, CLOCK)
    if not words:
        return publish_input(publication, session.environ, CLOCK)
    try:
        return publish_output(publication, command_of(words), session.environ, CLOCK)
    except SpawnError as error:
        return refuse(error)
