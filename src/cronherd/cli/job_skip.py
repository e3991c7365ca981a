"""`cronherd job skip-next`: let the next slots of jobs pass, or take that back."""

import click

from cronherd.cli.chosen import choice_of, choice_options, do_each
from cronherd.cli.grammar import Command, Count
from cronherd.cli.output import Json
from cronherd.cli.session import Session
from cronherd.cli.times import Times, times_of
from cronherd.domain.instant import load_zone

_NAMED = 5  # slots in a sentence


@click.command("skip-next", cls=Command)
@choice_options
@click.option("-n", "--count", type=Count(), help="How many more, 1 without it.")
@click.option("--undo", is_flag=True, help="Let them run again.")
@click.pass_obj
def skip_command(
    session: Session,
    *,
    names: tuple[str, ...],
    tag: str | None,
    node: str | None,
    every: bool,
    count: int | None,
    undo: bool,
) -> None:
    """Skip the next slots of jobs: they are recorded as skipped, those behind them run.

    Said again it skips one more. Runs that somebody asks for are no slots and run.
    """
    if undo and count is not None:
        raise click.UsageError("--undo takes back all that is skipped: leave --count out")
    choice = choice_of(names, tag, node, every=every)
    times = times_of(session)
    if undo:
        do_each(
            session,
            choice,
            lambda fleet, job: fleet.undo_skip(job, session.actor),
            lambda job: undone_text(job, times),
            done="skipping nothing any more",
            keep=lambda job: bool(job["skipped_until"]),
            name="job",
        )
        return
    do_each(
        session,
        choice,
        lambda fleet, job: fleet.skip_next(job, session.actor, count=count or 1),
        lambda job: skipped_text(job, times),
        done=f"to skip {count or 1} more",
        keep=lambda job: bool(job["next_at"]),
        name="job",
    )


def skipped_text(job: Json, times: Times) -> str:
    """`'backup' skips 2026-11-22 02:30:00 CET and runs next at 2026-11-23 02:30:00 CET`."""
    return f"'{job['job']}' skips {_slots_text(job, job['slots'], times)}{_following(job, times)}"


def undone_text(job: Json, times: Times) -> str:
    if not job["undone"]:
        return f"'{job['job']}' had nothing to skip"
    slots = _slots_text(job, job["undone"], times)
    return f"'{job['job']}' skips nothing any more: {slots}"


def _slots_text(job: Json, slots: list[str], times: Times) -> str:
    zone = load_zone(job["timezone"] or "UTC")
    if len(slots) > _NAMED:
        first, last = (times.inside(slot, zone) for slot in (slots[0], slots[-1]))
        return f"{len(slots)} slots, {first} to {last}"
    return ", ".join(times.inside(slot, zone) for slot in slots)


def _following(job: Json, times: Times) -> str:
    if not job["next_at"]:
        return " and has no slot behind"
    return f" and runs next at {times.inside(job['next_at'], load_zone(job['timezone'] or 'UTC'))}"
