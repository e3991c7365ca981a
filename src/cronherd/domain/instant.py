"""Instants are UTC microseconds since 1970 in a 64-bit integer; here is how they meet people."""

from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronherd.domain.errors import Invalid

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
# Years above 9999 break datetime and every database driver; nobody schedules there.
LAST_US = 253_402_214_400 * SECOND_US

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_datetime(at_us: int, zone: tzinfo = UTC) -> datetime:
    """The instant as an aware datetime of `zone`, exact to the microsecond."""
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)


def from_datetime(moment: datetime) -> int:
    """UTC microseconds of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=16_384)  # many runs share a slot
def format_instant(at_us: int | None) -> str | None:
    """RFC 3339 in UTC, with microseconds only where there are any: `2027-01-01T09:00:00Z`."""
    if at_us is None:
        return None
    return to_datetime(at_us).isoformat().replace("+00:00", "Z")


def parse_instant(text: str, zone: tzinfo = UTC) -> int:
    """Read ISO 8601; without an offset the wall time of `zone` is meant. Raises Invalid."""
    return _parsed(text.strip(), zone)


@lru_cache(maxsize=16_384)  # a page reads each of its instants several times
def _parsed(text: str, zone: tzinfo) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Invalid(
            f"'{text}' is not a date and time", code="bad_instant", hint="write 2027-01-01 09:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    at_us = from_datetime(moment)
    if not 0 <= at_us <= LAST_US:
        raise Invalid(f"'{text}' is outside the years 1970 to 9999", code="bad_instant")
    return at_us


@lru_cache(maxsize=1024)
def load_zone(name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises Invalid for anything that is not on the shipped list."""
    known = zone_names()
    if name not in known:
        raise Invalid(
            f"unknown time zone '{name[:80]}'", code="unknown_timezone", hint=_suggest(name, known)
        )
    return ZoneInfo(name)


@lru_cache(maxsize=1)
def zone_names() -> frozenset[str]:
    """Names a job may use: the IANA list, without files that only look like zones.

    `right/…` counts leap seconds and `localtime`, `Factory`, `posixrules` differ from host to
    host, so that one schedule would mean several things in a fleet.
    """
    from zoneinfo import available_timezones  # noqa: PLC0415 - walks a directory: only on need

    odd = {"localtime", "Factory", "posixrules"}
    return frozenset(
        name
        for name in available_timezones()
        if name not in odd and not name.startswith(("right/", "posix/"))
    )


def zone_rules() -> str:
    """Whose rules of zones this process lives by: a version of `tzdata`, or files of its own."""
    import zoneinfo  # noqa: PLC0415 - TZPATH is bound anew when it is set
    from importlib.metadata import version  # noqa: PLC0415 - only a node asks

    return "PYTHONTZPATH" if zoneinfo.TZPATH else version("tzdata")


def _suggest(name: str, known: frozenset[str]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only on the way to an error

    by_lower = {zone.lower(): zone for zone in known}
    close = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{by_lower[close[0]]}'?"
    return "write a name such as Europe/Berlin or UTC"
