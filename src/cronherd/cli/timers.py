"""`cronherd timers` and `cronherd next`: what comes, and when."""

from zoneinfo import ZoneInfo

import click

from cronherd.cli.grammar import Command, Count
from cronherd.cli.output import Json, put, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.cli.times import NOTHING, Times, own_zone, times_of
from cronherd.domain.errors import CronherdError, Invalid, NotFound
from cronherd.domain.instant import load_zone, parse_instant

_MOST = 1_000


@click.command("timers", cls=Command)
@click.pass_obj
def timers_command(session: Session) -> None:
    """When each job runs next and when it ran last, the nearest first."""
    with session.fleet() as fleet:
        document = fleet.timers()
    if not document["items"]:
        talk("no job has a next time: make one with `cronherd job create`")
    put(
        session,
        document,
        table=lambda: timer_table(document["items"], times_of(session, document["now"])),
        names=lambda: [timer["job"] for timer in document["items"]],
    )


def timer_table(timers: list[Json], times: Times) -> Table:
    columns = (
        Column("NEXT"),
        Column("LEFT"),
        Column("LAST"),
        Column("PASSED"),
        Column("JOB", cut=True, least=NAME_LEAST),
        Column("NODE", cut=True),
    )
    rows = [
        (
            times.at(timer["next_at"]),
            "paused" if timer["paused"] and not timer["next_at"] else times.left(timer["next_at"]),
            times.at(timer["last_at"]),
            times.passed(timer["last_at"]),
            timer["job"],
            timer["node"] or NOTHING,
        )
        for timer in timers
    ]
    return Table(columns, rows)


@click.command("next", cls=Command)
@click.argument("what", nargs=-1, required=True, metavar="JOB|EXPR")
@click.option("-n", "--count", type=Count(_MOST), default=10, show_default=True, help="How many.")
@click.option("--timezone", "-z", metavar="ZONE", help="The zone of an expression.")
@click.option("--from", "start", metavar="INSTANT", help="Instead of now: 2027-01-01 09:00.")
@click.pass_obj
def next_command(
    session: Session, *, what: tuple[str, ...], count: int, timezone: str | None, start: str | None
) -> None:
    """The next times of a job, or of an expression such as '30 2 * * Mon'."""
    text = " ".join(what)
    zone = load_zone(timezone) if timezone else None
    from_us = parse_instant(start, zone or own_zone(session)) if start else None
    try:
        document = _of_job(session, text, count, from_us) if zone is None else None
    except NotFound as error:
        if len(what) > 1 and error.hint:  # the shell put the names of files for each star
            error.hint = "put the expression in quotes, such as '30 2 * * *'"
        raise
    if document is None:
        document = _of_expression(text, count, zone or own_zone(session), from_us, session)
    if not document["slots"]:
        talk(_why_none(document))
    times = Times(now_us=from_us or session.now_us(), utc=session.settings.utc)
    put(
        session,
        document,
        table=lambda: slot_table(document, times),
        names=lambda: document["slots"],
    )


def _of_job(session: Session, name: str, count: int, from_us: int | None) -> Json | None:
    """The job's own slots; None when the text is an expression and no job has it as its name.

    An expression needs no fleet: only one that runs already is asked, and it may be silent.
    """
    fault = _fault(name)
    if fault is not None:
        try:
            with session.fleet() as fleet:
                return fleet.next_slots(name, count, from_us)
        except NotFound:
            raise NotFound(
                f"'{name[:60]}' is neither a job nor a schedule: {fault.text}", hint=fault.hint
            ) from None
        except CronherdError:
            if " " not in name.strip() and name[:1] not in {"@", "*"}:
                raise
            raise fault from None  # it was meant as an expression
    from cronherd.cli.reach import running_fleet  # noqa: PLC0415 - only for the name of a job

    try:
        running = running_fleet(session)
        return running.next_slots(name, count, from_us) if running else None
    except CronherdError:
        return None


def _fault(text: str) -> Invalid | None:
    """What is wrong with the text as an expression, None when nothing is."""
    from cronherd.domain.timing.schedule import parse_schedule  # noqa: PLC0415 - only for next

    try:
        parse_schedule(text, timezone="UTC")
    except Invalid as error:
        return error
    return None


def _of_expression(
    text: str, count: int, zone: ZoneInfo, from_us: int | None, session: Session
) -> Json:
    from cronherd.cli.explain import explained  # noqa: PLC0415 - only for expressions
    from cronherd.domain.timing.frame import PLAIN  # noqa: PLC0415

    at_us = session.now_us() if from_us is None else from_us
    return {
        "job": None,
        **explained(text, zone, PLAIN, at_us, count),
        "enabled": True,
        "paused": False,
        "paused_until": None,
    }


def _why_none(document: Json) -> str:
    if document["schedule"] is None:
        return "it has no schedule: it runs only when it is asked to"
    if not document["enabled"]:
        return "the job is disabled"
    if document["paused"]:
        end = "" if document["paused_until"] else " until it is resumed"
        return f"the job is paused{end}"
    return "it never fires again"


def slot_table(document: Json, times: Times) -> Table:
    """The slots of a document that has a zone: when jitter lets them fire, and clock changes."""
    zone = load_zone(document["timezone"] or "UTC")
    slots, marks = document["slots"], document.get("marks") or {}
    fires = document.get("fires_at") or slots
    columns = {
        "NEXT": [times.inside(slot, zone) for slot in slots],
        "LEFT": [times.left(at) for at in fires],
        "FIRES": [times.inside(at, zone) for at in fires] if fires != slots else [],
        "CLOCK CHANGE": [marks.get(slot, "") for slot in slots] if marks else [],
    }
    shown = {title: cells for title, cells in columns.items() if cells or title in {"NEXT", "LEFT"}}
    return Table(tuple(map(Column, shown)), list(zip(*shown.values(), strict=True)))
