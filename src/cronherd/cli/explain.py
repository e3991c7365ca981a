"""`cronherd explain`: a schedule in words, its next slots, and what clock changes do to them."""

from zoneinfo import ZoneInfo

import click

from cronherd.cli.grammar import Command, Count
from cronherd.cli.output import Json, put_document, put_table, say
from cronherd.cli.session import Session
from cronherd.cli.times import Times, own_zone
from cronherd.domain.instant import format_instant, load_zone, parse_instant
from cronherd.domain.timing.explained import explain
from cronherd.domain.timing.frame import Frame, read_frame
from cronherd.domain.timing.preview import preview
from cronherd.domain.timing.schedule import After, parse_schedule
from cronherd.domain.timing.wallclock import FOLDS, GAPS

_MOST = 1_000


@click.command("explain", cls=Command)
@click.argument("what", nargs=-1, required=True, metavar="SCHEDULE")
@click.option("--timezone", "-z", metavar="ZONE", help="The zone of the schedule.")
@click.option("--window", multiple=True, metavar="TEXT", help="As in a job; may be repeated.")
@click.option("--excluding", multiple=True, metavar="TEXT", help="As in a job; may be repeated.")
@click.option("--dst-gap", type=click.Choice(GAPS), help="What becomes of a skipped time.")
@click.option("--dst-fold", type=click.Choice(FOLDS), help="What becomes of a repeated time.")
@click.option("-n", "--count", type=Count(_MOST), default=5, show_default=True, help="How many.")
@click.option("--from", "start", metavar="INSTANT", help="Instead of now: 2027-01-01 09:00.")
@click.pass_obj
def explain_command(
    session: Session,
    *,
    what: tuple[str, ...],
    timezone: str | None,
    window: tuple[str, ...],
    excluding: tuple[str, ...],
    dst_gap: str | None,
    dst_fold: str | None,
    count: int,
    start: str | None,
) -> None:
    """A schedule in English, and its next slots: '30 2 * * Mon', 'every 10m'."""
    from cronherd.cli.timers import slot_table  # noqa: PLC0415 - the two share the table

    zone = load_zone(timezone) if timezone else own_zone(session)
    from_us = parse_instant(start, zone) if start else session.now_us()
    said = {"window": list(window) or None, "excluding": list(excluding) or None}
    frame = read_frame(said | {"dst_gap": dst_gap, "dst_fold": dst_fold}, zone.key, "")
    document = explained(" ".join(what), zone, frame, from_us, count)
    if put_document(session, document, lambda: document["slots"]):
        return
    for sentence in document["explained"]:
        say(sentence)
    if document["slots"]:
        say("")
        put_table(session, slot_table(document, Times(now_us=from_us, utc=session.settings.utc)))


def explained(text: str, zone: ZoneInfo, frame: Frame, from_us: int, count: int) -> Json:
    """A schedule as a document: its words, its next slots, and their marks. Raises Invalid."""
    schedule = parse_schedule(text, timezone=zone.key, frame=frame, now_us=from_us)
    # What counts from the end of a run has one next slot, if its run ended just now.
    found = preview(schedule, zone, from_us, 1 if isinstance(schedule, After) else count)
    return {
        "schedule": schedule.text,
        "timezone": zone.key,
        "explained": explain(schedule, zone),
        "slots": [format_instant(slot_us) for slot_us, _ in found],
        "marks": {format_instant(slot_us): mark for slot_us, mark in found if mark},
    }
