"""Instants and durations as the viewer reads them: own zone, and how long from now."""

from dataclasses import dataclass
from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from cronherd.cli.session import Session
from cronherd.domain.errors import CronherdError
from cronherd.domain.instant import SECOND_US, load_zone, parse_instant, to_datetime

NOTHING = "-"
_SPELLING = "%Y-%m-%d %H:%M:%S %Z"
_UNITS = (("y", 31_557_600), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How instants are shown to one viewer at one moment."""

    now_us: int
    utc: bool

    def at(self, instant: str | None) -> str:
        """`2026-11-21 02:30:00 CET`; whole seconds, since nobody schedules finer."""
        if instant is None:
            return NOTHING
        moment = to_datetime(parse_instant(instant))
        # Without an argument the zone of this process is taken: that of the viewer.
        shown = moment.astimezone(UTC) if self.utc else moment.astimezone()
        return shown.strftime(_SPELLING)

    def inside(self, instant: str, zone: tzinfo) -> str:
        """The instant in the zone of a schedule: that is what its numbers mean."""
        return to_datetime(parse_instant(instant), UTC if self.utc else zone).strftime(_SPELLING)

    def left(self, instant: str | None) -> str:
        """How long until then: `3h 12m`."""
        if instant is None:
            return NOTHING
        away_us = parse_instant(instant) - self.now_us
        return span(away_us / SECOND_US) if away_us > 0 else "due"

    def passed(self, instant: str | None) -> str:
        """How long since then: `5m 3s ago`."""
        if instant is None:
            return NOTHING
        away_us = self.now_us - parse_instant(instant)
        return f"{span(away_us / SECOND_US)} ago" if away_us >= SECOND_US else "now"


def own_zone(session: Session) -> ZoneInfo:
    """The zone of this host, as a node without another setting takes it."""
    from tzlocal import get_localzone_name  # noqa: PLC0415 - only where no zone is given

    try:
        return load_zone(session.environ.get("TZ") or get_localzone_name() or "UTC")
    except (CronherdError, LookupError, ValueError, OSError):
        return load_zone("UTC")


def times_of(session: Session, now: str | None = None) -> Times:
    """`now` is the fleet's own clock where its document tells it: hosts may differ."""
    now_us = parse_instant(now) if now else session.now_us()
    return Times(now_us=now_us, utc=session.settings.utc)


def span(seconds: float) -> str:
    """The two largest units of a duration: `1d 4h`, `3m 20s`, `1.4s`, `80ms`."""
    if 0 < seconds < 1:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 10:
        return f"{seconds:.1f}s"
    rest = int(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count}{unit}")
        if len(parts) == 2:
            break
    return " ".join(part for part in parts if not part.startswith("0")) or "0s"
