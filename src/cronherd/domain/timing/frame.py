"""What a job says around its schedule: windows, exclusions, an end, what a clock change does."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import load_zone, parse_instant
from cronherd.domain.timing.changes import instants_of, wall_from
from cronherd.domain.timing.excluding import parse_exclusions
from cronherd.domain.timing.exclusion import Exclusion
from cronherd.domain.timing.window import Window, parse_windows

SETTINGS = frozenset({"window", "excluding", "start", "end", "dst_gap", "dst_fold"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What is said around a rule.

    `gap` and `fold` are None where each kind of schedule keeps its own custom; `key` is what
    the places that a job may choose itself are drawn from.
    """

    windows: tuple[Window, ...] = ()
    excluding: tuple[Exclusion, ...] = ()
    start_us: int | None = None
    end_us: int | None = None
    gap: str | None = None
    fold: str | None = None
    key: str = ""

    @property
    def limits(self) -> bool:
        """Whether some slots of the rule do not exist."""
        ends = (self.start_us, self.end_us)
        return bool(self.windows or self.excluding) or ends != (None, None)


PLAIN = Frame()


def read_frame(spec: Mapping[str, Any], timezone: str, key: str) -> Frame:
    """What a spec says around its schedule. Raises Invalid."""
    if spec.keys().isdisjoint(SETTINGS):
        return Frame(key=key)
    zone = load_zone(timezone)
    windows, excluding = spec.get("window"), spec.get("excluding")
    start, end = spec.get("start"), spec.get("end")
    start_us = None if start is None else parse_moment(start, zone)
    end_us = None if end is None else parse_moment(end, zone)
    if start_us is not None and end_us is not None and end_us <= start_us:
        raise Invalid(f"its end, {end}, is not after its start, {start}", code="bad_end")
    return Frame(
        windows=() if windows is None else parse_windows(windows),
        excluding=() if excluding is None else parse_exclusions(excluding),
        start_us=start_us,
        end_us=end_us,
        gap=spec.get("dst_gap"),
        fold=spec.get("dst_fold"),
        key=key,
    )


def parse_moment(text: str, zone: ZoneInfo) -> int:
    """One instant: with an offset as it is, else a wall time of the zone. Raises Invalid."""
    return parse_instants(text, zone, PLAIN)[0]


def parse_instants(text: str, zone: ZoneInfo, frame: Frame) -> tuple[int, ...]:
    """As many instants as a text names, see `changes.instants_of`. Raises Invalid."""
    at_us = parse_instant(text, zone)
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is not None:
        return (at_us,)
    gap, fold = frame.gap or "after", frame.fold or "first"
    return instants_of(wall_from(moment), zone, gap=gap, fold=fold)
