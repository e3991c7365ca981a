"""Instants on a page: in the zone of whoever looks or of the job, and always with its name."""

from datetime import datetime, tzinfo
from zoneinfo import ZoneInfo

from markupsafe import Markup

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import load_zone, parse_instant, to_datetime
from cronherd.pages.words import say_distance

_MARKUP = Markup('<time datetime="{}" title="{}"{}>{}</time>')


def zone_or(name: str, fallback: str) -> ZoneInfo:
    """The named zone, or the other one when there is none of that name."""
    try:
        return load_zone(name)
    except Invalid:
        return load_zone(fallback)


def zone_mark(moment: datetime) -> str:
    """`CET`, or `UTC+03` where a zone has no abbreviation."""
    mark = moment.tzname() or "UTC"
    return f"UTC{mark}" if mark[:1] in "+-" else mark


def say_instant(at: str, zone: tzinfo, now_us: int, *, exact: bool = False) -> str:
    """`14:02:11 CET` today, `Fri 20 Nov 14:02 CET` else; `exact` has seconds and the year."""
    moment = to_datetime(parse_instant(at), zone)
    now = to_datetime(now_us, zone)
    mark = zone_mark(moment)
    if exact:
        return f"{moment:%a} {moment.day} {moment:%b %Y %H:%M:%S} {mark}"
    if moment.date() == now.date():
        return f"{moment:%H:%M:%S} {mark}"
    if moment.year == now.year:
        return f"{moment:%a} {moment.day} {moment:%b %H:%M} {mark}"
    return f"{moment.day} {moment:%b %Y %H:%M} {mark}"


def say_clock(at: str, zone: tzinfo) -> str:
    """`14:02:11.042`."""
    moment = to_datetime(parse_instant(at), zone)
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


def show_instant(at: str | None, zone: ZoneInfo, now_us: int, *, exact: bool = False) -> Markup:
    """The instant as an element; its title has the zone's full name and the same in UTC."""
    if at is None:
        return Markup("–")
    return _MARKUP.format(
        at, _title(at, zone, now_us), "", say_instant(at, zone, now_us, exact=exact)
    )


def show_distance(at: str | None, zone: ZoneInfo, now_us: int) -> Markup:
    """How far it is from now, kept true by times.js; its title says when that is."""
    if at is None:
        return Markup("–")
    seconds = (parse_instant(at) - now_us) / 1_000_000
    return _MARKUP.format(
        at, _title(at, zone, now_us), Markup(" data-distance"), say_distance(seconds)
    )


def _title(at: str, zone: ZoneInfo, now_us: int) -> str:
    said = say_instant(at, zone, now_us, exact=True)
    return f"{said} ({zone.key}) · {at[:19].replace('T', ' ')} UTC"
