"""`cronherd job pause` and `resume`: nothing of a job starts for a while."""

import click

from cronherd.cli.grammar import Command
from cronherd.cli.output import Json, put_each
from cronherd.cli.session import Session
from cronherd.cli.times import Times, times_of
from cronherd.cli.words import started_before
from cronherd.domain.instant import load_zone


@click.command("pause", cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--for", "length", metavar="DURATION", help="How long: 90m, 2h or 1d.")
@click.option("--until", metavar="INSTANT", help="In the job's zone: 2027-01-01T09:00.")
@click.pass_obj
def pause_command(
    session: Session, *, names: tuple[str, ...], length: str | None, until: str | None
) -> None:
    """Start nothing of these jobs for a while; what runs goes on.

    Without --for and --until they are paused until they are resumed. The slots of a pause are
    recorded as such. Pausing a paused job gives it the new end.
    """
    if length is not None and until is not None:
        raise click.UsageError("give --for or --until, not both")
    with session.fleet() as fleet:
        found = [fleet.show_job(name) for name in names]  # all of them, or nothing is done
        documents = [
            fleet.pause_job(job["id"], session.actor, until=until, length=length) for job in found
        ]
    times = times_of(session)
    put_each(
        session,
        documents,
        "name",
        lambda job: f"'{job['name']}' is {pause_text(job, times)}{started_before(job)}",
    )


@click.command("resume", cls=Command)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def resume_command(session: Session, *, names: tuple[str, ...]) -> None:
    """End the pause of jobs; what was due meanwhile is recorded, not run."""
    with session.fleet() as fleet:
        found = [fleet.show_job(name) for name in names]
        documents = [fleet.resume_job(job["id"], session.actor) for job in found]
    times = times_of(session)
    put_each(session, documents, "name", lambda job: _resumed(job, times))


def pause_text(job: Json, times: Times) -> str:
    """`paused until 2026-11-22 06:00:00 CET`: in the zone of the job, which its times mean."""
    if job["paused_until"] is None:
        return "paused until it is resumed"
    zone = load_zone(job["timezone"] or "UTC")
    return f"paused until {times.inside(job['paused_until'], zone)}"


def _resumed(job: Json, times: Times) -> str:
    following = f" and runs next at {times.at(job['next_at'])}" if job["next_at"] else ""
    return f"'{job['name']}' is resumed{following}"
