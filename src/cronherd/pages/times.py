"""Instants on a page: in the zone of whoever looks or of the job, and always with its name.

A page of jobs has two hundred of them, so what only depends on the instant and its zone is kept.
"""

from datetime import datetime, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape

from cronherd.domain.instant import load_zone, parse_instant, to_datetime, zone_names
from cronherd.pages.words import say_distance

KEPT = 8_192
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)
_NONE = Markup("–")


def zone_or(name: str, fallback: str) -> ZoneInfo:
    """The named zone, or the other one when there is none of that name."""
    return load_zone(name if name in zone_names() else fallback)


def zone_mark(moment: datetime) -> str:
    """`CET`, or `UTC+03` where a zone has no abbreviation."""
    mark = moment.tzname() or "UTC"
    return f"UTC{mark}" if mark[:1] in "+-" else mark


def say_instant(at: str, zone: tzinfo, now_us: int, *, exact: bool = False) -> str:
    """`14:02:11 CET` today, `Fri 20 Nov 14:02 CET` else; `exact` has seconds and the year."""
    moment, mark = _moment(at, zone)
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    clock = f"{moment.hour:02}:{moment.minute:02}"
    if exact:
        return f"{day} {moment.day} {month} {moment.year} {clock}:{moment.second:02} {mark}"
    now = _now(now_us, zone)
    if moment.date() == now.date():
        return f"{clock}:{moment.second:02} {mark}"
    if moment.year == now.year:
        return f"{day} {moment.day} {month} {clock} {mark}"
    return f"{moment.day} {month} {moment.year} {clock} {mark}"


def say_clock(at: str, zone: tzinfo) -> str:
    """`14:02:11.042`."""
    moment = to_datetime(parse_instant(at), zone)
    return f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03d}"


def show_instant(at: str | None, zone: ZoneInfo, now_us: int, *, exact: bool = False) -> Markup:
    """The instant as an element; its title has the zone's full name and the same in UTC."""
    if at is None:
        return _NONE
    said = escape(say_instant(at, zone, now_us, exact=exact))
    return Markup(f"<time {_facts(at, zone)}>{said}</time>")  # noqa: S704 - escaped


def show_distance(at: str | None, zone: ZoneInfo, now_us: int) -> Markup:
    """How far it is from now, kept true by times.js; its title says when that is."""
    if at is None:
        return _NONE
    said = escape(say_distance((parse_instant(at) - now_us) / 1_000_000))
    return Markup(f"<time {_facts(at, zone)} data-distance>{said}</time>")  # noqa: S704 - escaped


@lru_cache(KEPT)
def _facts(at: str, zone: ZoneInfo) -> Markup:
    """The attributes that say when it is, whoever looks and from whenever."""
    said = say_instant(at, zone, 0, exact=True)
    title = f"{said} ({zone.key}) · {at[:19].replace('T', ' ')} UTC"
    return Markup('datetime="{}" title="{}"').format(at, title)


@lru_cache(KEPT)
def _moment(at: str, zone: tzinfo) -> tuple[datetime, str]:
    moment = to_datetime(parse_instant(at), zone)
    return moment, zone_mark(moment)


@lru_cache(64)
def _now(now_us: int, zone: tzinfo) -> datetime:
    return to_datetime(now_us, zone)
