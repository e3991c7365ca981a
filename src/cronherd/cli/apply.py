"""`cronherd apply` and `cronherd diff`: the fleet's jobs as files say, shown before it is done."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from cronherd.cli.applied import refusal_of, show_changes, tell_left
from cronherd.cli.asking import confirm
from cronherd.cli.foreign import warn_of_users
from cronherd.cli.grammar import Command, yes_option
from cronherd.cli.output import Json, put_document, talk
from cronherd.cli.session import Session
from cronherd.cli.words import counted
from cronherd.domain.errors import Conflict, CronherdError

if TYPE_CHECKING:
    from cronherd.cli.jobfiles import Bundle
    from cronherd.client import Fleet

DIFFERS = 3  # 1 and 2 are failures; diff(1) has no third
OUTDATED = "plan_outdated"
_STILL = {"none", "left", "refused"}  # what changes nothing
_FILES = click.option(
    "-f", "--file", "files", multiple=True, metavar="FILE|DIR|-|MODULE:OBJECT",
    help="Without it: the jobs of the configuration.",
)  # fmt: skip
_SOURCE = click.option(
    "--source", metavar="NAME",
    help="Whose jobs these are, wherever the files lie; else their path says it.",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What a source may do to jobs that it does not say, or does not own."""

    prune: bool = False
    allow_empty: bool = False
    adopt: bool = False


class Outdated(Conflict):
    """Somebody else was first; whoever runs this in a pipeline can tell it from a fault."""

    exit_code = 4


@click.command("apply", cls=Command)
@_FILES
@_SOURCE
@click.option("--prune", is_flag=True, help="Delete jobs of this source that it no longer says.")
@click.option("--allow-empty", is_flag=True, help="With --prune: no job at all is meant.")
@click.option("--adopt", is_flag=True, help="Take over jobs of other sources that it says, too.")
@click.option("--dry-run", is_flag=True, help="Show what would change, and stop.")
@click.option("--check", is_flag=True, help="Only check the definitions; asks no fleet.")
@yes_option
@click.pass_obj
def apply_command(
    session: Session,
    *,
    files: tuple[str, ...],
    source: str | None,
    prune: bool,
    allow_empty: bool,
    adopt: bool,
    dry_run: bool,
    check: bool,
    yes: bool,
) -> None:
    """Make the fleet's jobs what files say; shows the changes, and asks.

    What one source says is done in one transaction: a file, a folder with all below it, a schedule
    in code; with --source all that is named. Exit 4 when the jobs were changed by somebody else
    since they were looked at: nothing was changed then.
    """
    if check:
        _check(session, files, source, allow_empty=allow_empty)
        return
    wish = _Wish(prune=prune, allow_empty=allow_empty, adopt=adopt)
    with session.fleet() as fleet:
        timezone = fleet.status()["timezone"]
        bundles = _bundles(session, timezone, files, source, allow_empty=allow_empty)
        _never_nameless(files, source, prune=prune)
        looks = [_ask(session, fleet, bundle, wish) for bundle in bundles]
        changes = [change for look in looks for change in look["changes"]]
        count = _count(changes)
        _warn(bundles, changes)
        if refusal_of(changes):
            _show(session, changes, applied=False)
        if dry_run or not count:
            if not (dry_run or count) and any(look.get("settles") for look in looks):
                # What was edited until it said the same as the source drifts no longer.
                _apply(session, fleet, bundles, looks, wish)
            _show(session, changes, applied=False)
            talk(f"{count} changes, nothing was done" if count else "nothing to change")
            return
        if session.settings.output in {"table", "wide"}:
            _show(session, changes, applied=False)
        if "-" in files and not yes:
            yes = _never_from_stdin()
        confirm(_question(changes), yes=yes)
        _apply(session, fleet, bundles, looks, wish)
    if session.settings.output not in {"table", "wide"}:
        _show(session, changes, applied=True)
    talk(_done(changes))


def _apply(
    session: Session,
    fleet: "Fleet",
    bundles: Sequence["Bundle"],
    looks: Sequence[Json],
    wish: _Wish,
) -> None:
    """Each source as it was looked at."""
    done: list[str] = []
    try:
        for bundle, look in zip(bundles, looks, strict=True):
            _ask(session, fleet, bundle, wish, look)
            done.append(bundle.source)
    except CronherdError as error:
        if done:
            talk(f"applied before: {', '.join(done)}")
        if error.code == OUTDATED:
            raise Outdated(error.text, code=error.code, hint=error.hint) from None
        raise


def _check(
    session: Session, files: tuple[str, ...], source: str | None, *, allow_empty: bool
) -> None:
    timezone = session.config.timezone or "UTC"
    bundles = _bundles(session, timezone, files, source, allow_empty=allow_empty)
    names = [str(job["name"]) for bundle in bundles for job in bundle.definitions]
    if not put_document(session, {"checked": True, "jobs": names}, lambda: names):
        talk(f"{counted(len(names), 'job')}: no fault was found")


def _warn(bundles: list["Bundle"], changes: list[Json]) -> None:
    changed = {change["name"] for change in changes if change["change"] not in _STILL}
    found = (job for bundle in bundles for job in bundle.definitions)
    warn_of_users(job for job in found if job["name"] in changed)


def _never_from_stdin() -> bool:
    raise click.UsageError(
        "the definitions come from standard input, so nobody can answer\n"
        "repeat it with --yes to go on"
    )


def _never_nameless(files: tuple[str, ...], source: str | None, *, prune: bool) -> None:
    """Everybody's standard input is one source: pruning it would delete what others made so."""
    if prune and "-" in files and source is None:
        raise click.UsageError(
            "what standard input said before is not known\n"
            "say with --source NAME whose jobs these are"
        )


@click.command("diff", cls=Command)
@_FILES
@_SOURCE
@click.option("--prune", is_flag=True, help="Jobs that the source no longer says differ, too.")
@click.option("--adopt", is_flag=True, help="As if it took over jobs of other sources.")
@click.pass_obj
def diff_command(
    session: Session, *, files: tuple[str, ...], source: str | None, prune: bool, adopt: bool
) -> int:
    """What apply would change; never changes anything. Exit 3 when something differs."""
    with session.fleet() as fleet:
        bundles = _bundles(session, fleet.status()["timezone"], files, source, allow_empty=True)
        _never_nameless(files, source, prune=prune)
        wish = _Wish(prune=prune, allow_empty=True, adopt=adopt)
        looks = [_ask(session, fleet, bundle, wish) for bundle in bundles]
    changes = [change for look in looks for change in look["changes"]]
    _show(session, changes, applied=False)
    count = _count(changes)
    if not count:
        talk("nothing differs")
    return DIFFERS if count else 0


def _bundles(
    session: Session,
    timezone: str,
    files: tuple[str, ...],
    source: str | None,
    *,
    allow_empty: bool,
) -> list["Bundle"]:
    from cronherd.cli import jobfiles  # noqa: PLC0415 - pydantic: only where files are read

    now_us = session.now_us()
    if not files:
        found = [jobfiles.configured_bundle(session.config, timezone=timezone, now_us=now_us)]
    else:
        found = [
            jobfiles.read_bundle(path, timezone=timezone, now_us=now_us, allow_empty=allow_empty)
            for path in files
        ]
    return found if source is None else [jobfiles.joined(found, source)]


def _ask(
    session: Session, fleet: "Fleet", bundle: "Bundle", wish: _Wish, look: Json | None = None
) -> Json:
    """What would change; or, with the answer that was looked at, make it so."""
    return fleet.apply_jobs(
        bundle.definitions,
        bundle.source,
        session.actor,
        dry_run=look is None,
        prune=wish.prune,
        allow_empty=wish.allow_empty,
        adopt=wish.adopt,
        plan=look.get("plan") if look else None,
    )


def _count(changes: Sequence[Json]) -> int:
    return sum(1 for change in changes if change["change"] not in _STILL)


def _question(changes: Sequence[Json]) -> str:
    gone = sum(1 for change in changes if change["change"] == "delete")
    rest = _count(changes) - gone
    asks = [f"apply {counted(rest, 'change')}"] if rest else []
    asks += [f"delete {counted(gone, 'job')}"] if gone else []
    return f"{' and '.join(asks).capitalize()}?"


def _done(changes: Sequence[Json]) -> str:
    gone = sum(1 for change in changes if change["change"] == "delete")
    rest = _count(changes) - gone
    told = [f"{counted(rest, 'job')} applied"] if rest else []
    return ", ".join([*told, *([f"{counted(gone, 'job')} deleted"] if gone else [])])


def _show(session: Session, changes: list[Json], *, applied: bool) -> None:
    """Raises Conflict behind what is shown when a job belongs to somebody else."""
    document = {"applied": applied, "changes": changes}
    names = [change["name"] for change in changes if change["change"] not in _STILL]
    if not put_document(session, document, lambda: names):
        show_changes(session, changes)
    tell_left(changes)
    if refusal := refusal_of(changes):
        raise refusal
