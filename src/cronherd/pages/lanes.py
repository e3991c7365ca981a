"""The picture of the timeline: a lane for each job or node, and marks where something is.

Written by hand and not by a template: a page has a thousand marks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from markupsafe import Markup, escape

from cronherd.domain.instant import parse_instant
from cronherd.pages.words import badge_of, say_duration, say_plural

LANES = 60
ROWS = 4  # runs beside each other in one lane
ROW_HEIGHT = 16
WIDTH = 1_000.0
LEAST = 3.0  # of a mark
NEAR = 3.0  # between two slots that are drawn as one
NOWHERE = "no node yet"
Thing = Mapping[str, Any]
GOOD = {"succeeded": "ok", "cancelled": "off", "skipped": "off"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One thing in a lane: `kind` is run, slot or missed; x and width of WIDTH, row from 0."""

    kind: str
    tone: str
    x: float
    width: float
    row: int
    href: str
    title: str
    count: int = 1


@dataclass(slots=True)
class Lane:
    """A job or a node, with what belongs to it."""

    name: str
    href: str
    marks: list[Mark] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    @property
    def height(self) -> int:
        return ROW_HEIGHT * max(len(self.ends), 1) + 8

    def row(self, x: float, width: float) -> int:
        """The first row that is free from x on; the last one when none is."""
        for row, end in enumerate(self.ends):
            if end <= x:
                self.ends[row] = x + width
                return row
        if len(self.ends) < ROWS:
            self.ends.append(x + width)
            return len(self.ends) - 1
        return ROWS - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Where an instant lies in the picture."""

    from_us: int
    to_us: int

    def x(self, at_us: int) -> float:
        inside = min(max(at_us, self.from_us), self.to_us) - self.from_us
        return WIDTH * inside / (self.to_us - self.from_us)


def lay_lanes(
    found: Mapping[str, Any], scale: Scale, by: str, now_us: int
) -> tuple[list[Lane], int]:
    """The first lanes by name, and how many there are behind them; marks only where one looks."""
    sorted_out = [_by_name(found[kind], by) for kind in ("runs", "missed", "slots")]
    runs, missed, slots = sorted_out
    names = set[str]().union(*sorted_out)
    shown = sorted(names, key=lambda name: (name == NOWHERE, name.casefold(), name))[:LANES]
    lanes = []
    for name in shown:
        lane = Lane(name, f"/jobs/{quote(name, safe='')}" if by == "job" else "/nodes")
        for run in reversed(runs.get(name, ())):
            _put_run(lane, run, scale, now_us)
        for entry in missed.get(name, ()):
            _put_missed(lane, entry, scale)
        for slot in slots.get(name, ()):
            _put_slot(lane, slot, scale)
        lanes.append(lane)
    return lanes, len(names) - len(shown)


def _by_name(told: Sequence[Thing], by: str) -> dict[str, list[Thing]]:
    found: dict[str, list[Thing]] = {}
    for each in told:
        name = each["job"] if by == "job" else each.get("node") or NOWHERE
        found.setdefault(name, []).append(each)
    return found


def _put_run(lane: Lane, run: Mapping[str, Any], scale: Scale, now_us: int) -> None:
    begin_us = parse_instant(run["started_at"] or run["created_at"])
    end_us = parse_instant(run["ended_at"]) if run["ended_at"] else now_us
    state = run["outcome"] or run["state"]
    tone = GOOD.get(state, "bad") if run["outcome"] else "run" if run["started_at"] else "wait"
    x = scale.x(begin_us)
    length = scale.x(end_us) - x
    width = max(length, LEAST)
    last = lane.marks[-1] if lane.marks else None
    title = f"{run['job']}: {badge_of(state).word}, {say_duration(run['duration_s'])}"
    row = lane.row(x, length)
    if last and last.kind == "run" and last.tone == tone and last.row == row and x - last.x < LEAST:
        return  # it lies under the mark before it; the table has both
    lane.marks.append(
        Mark(
            kind="run", tone=tone, x=x, width=width, row=row, href=f"/runs/{run['id']}", title=title
        )
    )


def _put_missed(lane: Lane, entry: Mapping[str, Any], scale: Scale) -> None:
    x = scale.x(parse_instant(entry["from"]))
    width = max(scale.x(parse_instant(entry["to"])) - x, LEAST)
    many = say_plural(entry["count"], "slot")
    title = f"{entry['job']}: {many} did not run, {entry['reason'].replace('_', ' ')}"
    href = f"/jobs/{quote(entry['job'], safe='')}?{urlencode({'at': entry['from']})}#why"
    lane.marks.append(
        Mark(kind="missed", tone="missed", x=x, width=width, row=0, href=href, title=title)
    )
    lane.ends = lane.ends or [0.0]


def _put_slot(lane: Lane, slot: Mapping[str, Any], scale: Scale) -> None:
    x, count = scale.x(parse_instant(slot["at"])), int(slot["count"])
    end = x + max(scale.x(parse_instant(slot["last"])) - x, LEAST)
    last = lane.marks[-1] if lane.marks else None
    href = f"/jobs/{quote(slot['job'], safe='')}"
    if last and last.kind == "slot" and last.href == href and x - last.x - last.width < NEAR:
        lane.marks.pop()  # nobody could tell the two apart: hundreds of them are one bar
        x, count = last.x, last.count + count
    title = f"{slot['job']}: {say_plural(count, 'slot')} to come"
    lane.marks.append(
        Mark(
            kind="slot", tone="next", x=x, width=end - x, row=0, href=href, title=title, count=count
        )
    )
    lane.ends = lane.ends or [0.0]


# ------------------------------------------------------------------ drawn


def draw_under(ticks: Sequence[Mapping[str, Any]], now_x: float | None, height: int) -> Markup:
    """The lines of the axis behind a lane, and the one of now."""
    lines = [_line(tick["x"], height) for tick in ticks]
    if now_x is not None:
        lines.append(_line(now_x, height, ' class="now"'))
    return Markup("".join(lines))  # noqa: S704 - numbers of ours


def _line(x: float, height: int, more: str = "") -> str:
    return f'<line{more} x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>'


def draw_marks(lane: Lane) -> Markup:
    """All marks of a lane, each a link with its words."""
    return Markup("\n".join(map(_draw, lane.marks)))  # noqa: S704 - escaped


def _draw(mark: Mark) -> str:
    title, y = escape(mark.title), 4 + mark.row * ROW_HEIGHT
    match mark.kind:
        case "missed":
            drawn = _rect("missed", mark, y + 10, 3)
        case "slot":
            drawn = _rect("next", mark, y + 3, 9)
        case _ if mark.tone == "off":
            drawn = _rect("off", mark, y + 5, 6)
        case _:
            drawn = _rect(mark.tone, mark, y, 13)
            if mark.tone == "bad":  # a notch: not by its colour alone
                drawn += _rect("cut", mark, y + 5, 3)
    return (
        f'<a href="{escape(mark.href)}" tabindex="-1" aria-label="{title}">'
        f"<title>{title}</title>{drawn}</a>"
    )


def _rect(tone: str, mark: Mark, y: int, height: int) -> str:
    return (
        f'<rect class="{tone}" x="{mark.x:.1f}" width="{mark.width:.1f}"'
        f' y="{y}" height="{height}"/>'
    )
