"""`cronherd job pause` and `resume`: nothing of a job starts for a while."""

import click

from cronherd.cli.chosen import choice_of, choice_options, do_each
from cronherd.cli.grammar import Command
from cronherd.cli.output import Json
from cronherd.cli.session import Session
from cronherd.cli.times import Times, times_of
from cronherd.cli.words import started_before
from cronherd.domain.instant import load_zone


@click.command("pause", cls=Command)
@choice_options
@click.option("--for", "length", metavar="DURATION", help="How long: 90m, 2h or 1d.")
@click.option("--until", metavar="INSTANT", help="In the job's zone: 2027-01-01T09:00.")
@click.pass_obj
def pause_command(
    session: Session,
    *,
    names: tuple[str, ...],
    tag: str | None,
    node: str | None,
    every: bool,
    length: str | None,
    until: str | None,
) -> None:
    """Start nothing of these jobs for a while; what runs goes on.

    Without --for and --until they are paused until they are resumed. The slots of a pause are
    recorded as such. Pausing a paused job gives it the new end.
    """
    if length is not None and until is not None:
        raise click.UsageError("give --for or --until, not both")
    times = times_of(session)
    do_each(
        session,
        choice_of(names, tag, node, every=every),
        lambda fleet, job: fleet.pause_job(job, session.actor, until=until, length=length),
        lambda job: f"'{job['name']}' is {pause_text(job, times)}{started_before(job)}",
        done="paused",
    )


@click.command("resume", cls=Command)
@choice_options
@click.pass_obj
def resume_command(
    session: Session, *, names: tuple[str, ...], tag: str | None, node: str | None, every: bool
) -> None:
    """End the pause of jobs; what was due meanwhile is recorded, not run."""
    times = times_of(session)
    do_each(
        session,
        choice_of(names, tag, node, every=every),
        lambda fleet, job: fleet.resume_job(job, session.actor),
        lambda job: _resumed(job, times),
        done="resumed",
        keep=lambda job: bool(job["paused"]),
    )


def pause_text(job: Json, times: Times) -> str:
    """`paused until 2026-11-22 06:00:00 CET`: in the zone of the job, which its times mean."""
    if job["paused_until"] is None:
        return "paused until it is resumed"
    zone = load_zone(job["timezone"] or "UTC")
    return f"paused until {times.inside(job['paused_until'], zone)}"


def pause_story(job: Json, times: Times) -> str:
    """`paused until it is resumed: 3 runs in a row failed, … (by ann, 2026-11-22 06:00:00 CET)`."""
    text = pause_text(job, times)
    if job.get("pause_reason"):  # an agent of an older version tells none
        text += f": {job['pause_reason']}"
    if job.get("paused_by"):
        zone = load_zone(job["timezone"] or "UTC")
        text += f" (by {job['paused_by']}, {times.inside(job['paused_at'], zone)})"
    return text


def _resumed(job: Json, times: Times) -> str:
    following = f" and runs next at {times.at(job['next_at'])}" if job["next_at"] else ""
    return f"'{job['name']}' is resumed{following}"
