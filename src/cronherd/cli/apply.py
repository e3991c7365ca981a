"""`cronherd apply` and `cronherd diff`: the fleet's jobs as files say, shown before it is done."""

import json
import sys
from typing import TYPE_CHECKING

import click

from cronherd.cli.asking import confirm
from cronherd.cli.foreign import warn_of_users
from cronherd.cli.grammar import Command, yes_option
from cronherd.cli.output import Json, has_colour, put_document, say, talk
from cronherd.cli.session import Session

if TYPE_CHECKING:
    from cronherd.cli.jobfiles import Bundle
    from cronherd.client import Fleet

DIFFERS = 3  # 1 and 2 are failures; diff(1) has no third
_FILES = click.option(
    "-f", "--file", "files", multiple=True, metavar="FILE|DIR|-|MODULE:OBJECT",
    help="Without it: the jobs of the configuration.",
)  # fmt: skip


@click.command("apply", cls=Command)
@_FILES
@click.option("--dry-run", is_flag=True, help="Show what would change, and stop.")
@yes_option
@click.pass_obj
def apply_command(
    session: Session,
    *,
    files: tuple[str, ...],
    dry_run: bool,
    yes: bool,
) -> None:
    """Make the fleet's jobs what files say; shows the changes, and asks."""
    with session.fleet() as fleet:
        bundles = _bundles(session, fleet, files)
        changes = _look(session, fleet, bundles)
        count = _count(changes)
        _warn(bundles, changes)
        if dry_run or not count:
            _show(session, changes, applied=False)
            talk(f"{count} changes, nothing was done" if count else "nothing to change")
            return
        if session.settings.output in {"table", "wide"}:
            _show(session, changes, applied=False)
        if "-" in files and not yes:
            yes = _never_from_stdin()
        confirm(f"Apply {count} {'change' if count == 1 else 'changes'}?", yes=yes)
        for bundle in bundles:
            fleet.apply_jobs(bundle.definitions, bundle.source, session.actor, dry_run=False)
    if session.settings.output not in {"table", "wide"}:
        _show(session, changes, applied=True)
    talk(f"{count} {'job' if count == 1 else 'jobs'} applied")


def _warn(bundles: list["Bundle"], changes: list[Json]) -> None:
    changed = {change["name"] for change in changes if change["change"] != "none"}
    found = (job for bundle in bundles for job in bundle.definitions)
    warn_of_users(job for job in found if job["name"] in changed)


def _never_from_stdin() -> bool:
    raise click.UsageError(
        "the definitions come from standard input, so nobody can answer\n"
        "repeat it with --yes to go on"
    )


@click.command("diff", cls=Command)
@_FILES
@click.pass_obj
def diff_command(session: Session, *, files: tuple[str, ...]) -> int:
    """What apply would change; never changes anything. Exit 3 when something differs."""
    with session.fleet() as fleet:
        changes = _look(session, fleet, _bundles(session, fleet, files))
    _show(session, changes, applied=False)
    count = _count(changes)
    if not count:
        talk("nothing differs")
    return DIFFERS if count else 0


def _bundles(session: Session, fleet: "Fleet", files: tuple[str, ...]) -> list["Bundle"]:
    from cronherd.cli import jobfiles  # noqa: PLC0415 - pydantic: only where files are read

    timezone, now_us = fleet.status()["timezone"], session.now_us()
    if files:
        return [jobfiles.read_bundle(path, timezone=timezone, now_us=now_us) for path in files]
    return [jobfiles.configured_bundle(session.config, timezone=timezone, now_us=now_us)]


def _look(session: Session, fleet: "Fleet", bundles: list["Bundle"]) -> list[Json]:
    changes: list[Json] = []
    for bundle in bundles:
        answer = fleet.apply_jobs(bundle.definitions, bundle.source, session.actor, dry_run=True)
        changes += answer["changes"]
    return changes


def _count(changes: list[Json]) -> int:
    return sum(1 for change in changes if change["change"] != "none")


def _show(session: Session, changes: list[Json], *, applied: bool) -> None:
    document = {"applied": applied, "changes": changes}
    names = [change["name"] for change in changes if change["change"] != "none"]
    if put_document(session, document, lambda: names):
        return
    show_changes(session, changes)


def show_changes(session: Session, changes: list[Json]) -> None:
    """Lines with + and ~ before each name, - and + before each value that differs."""
    colour = has_colour(session)
    for change in changes:
        if change["change"] == "create":
            say(click.style(f"+ {change['name']}", fg="green"), color=colour)
        elif change["change"] == "update":
            say(click.style(f"~ {change['name']}", fg="yellow"), color=colour)
            for difference in change["differences"]:
                _show_difference(difference, colour=colour)
    sys.stdout.flush()


def _show_difference(difference: Json, *, colour: bool) -> None:
    for sign, key, tint in (("-", "old", "red"), ("+", "new", "green")):
        value = difference[key]
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            shown = json.dumps(text, ensure_ascii=False) if "\n" in text else text
            say(click.style(f"  {sign} {difference['key']}: {shown}", fg=tint), color=colour)
