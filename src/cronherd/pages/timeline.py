"""The timeline: what ran, what did not and what will, as a picture and as a table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.errors import CronherdError, Invalid
from cronherd.domain.instant import format_instant, parse_instant, to_datetime
from cronherd.pages.base import TheView, sentence_of, show
from cronherd.pages.view import View
from cronherd.pages.words import badge_of, say_duration, say_plural

routes = APIRouter()

SPANS = {"1h": 3_600, "6h": 21_600, "24h": 86_400, "7d": 604_800}
USUAL = "6h"
STEPS = 240
BARS = 80  # of the load above the lanes
LANES = 60
ROWS = 4  # runs beside each other in one lane
ROW_HEIGHT = 16
WIDTH = 1_000.0
LEAST = 3.0  # of a mark
NEAR = 3.0  # between two slots that are drawn as one
TABLE_ROWS = 200
TICKS = 6
NOWHERE = "no node yet"
# The steps between marks of the axis, in seconds.
_EVERY = (600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400)
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


@routes.get("/timeline", dependencies=[needs(Role.VIEWER)])
def timeline(view: TheView) -> Response:
    span = view.query("span") if view.query("span") in SPANS else USUAL
    by = "node" if view.query("by") == "node" else "job"
    length_us = SPANS[span] * 1_000_000
    fault, middle_us = "", view.now_us
    try:
        middle_us = parse_instant(view.query("at")) if view.query("at") else view.now_us
    except Invalid as error:
        fault = sentence_of(error)
    scale = Scale(from_us=middle_us - length_us // 2, to_us=middle_us + length_us // 2)
    start, end = (format_instant(at_us) or "" for at_us in (scale.from_us, scale.to_us))
    step = max(SPANS[span] // STEPS, 1)
    try:
        found = view.fleet.timeline(start, end, step, job=view.query("job") or None)
    except CronherdError as error:
        fault = sentence_of(error)
        found = view.fleet.timeline(start, end, step)
    lanes, hidden = _lanes(view, found, scale, by)
    return show(
        view,
        "timeline.html",
        found=found,
        fault=fault,
        span=span,
        spans=list(SPANS),
        by=by,
        lanes=lanes,
        hidden=hidden,
        bars=_bars(found, scale),
        ticks=_ticks(view, scale),
        now_x=scale.x(view.now_us) if scale.from_us < view.now_us < scale.to_us else None,
        width=WIDTH,
        row_height=ROW_HEIGHT,
        rows=_rows(found),
        earlier=view.with_query(at=format_instant(scale.from_us)),
        later=view.with_query(at=format_instant(scale.to_us)),
        job=found["job"],
        cut_past=found["complete_from"] > found["from"],
        cut_future=found["complete_until"] < found["to"],
    )


# ------------------------------------------------------------------ lanes


def _lanes(view: View, found: Mapping[str, Any], scale: Scale, by: str) -> tuple[list[Lane], int]:
    """The first lanes by name, and how many there are behind them; marks only where one looks."""

    def name_of(each: Mapping[str, Any]) -> str:
        return str(each["job"] if by == "job" else (each.get("node") or NOWHERE))

    def put(kind: str, draw: Callable[[Lane, Mapping[str, Any]], None]) -> None:
        for each in found[kind]:
            if lane := lanes.get(name_of(each)):
                draw(lane, each)

    names = {name_of(each) for kind in ("runs", "missed", "slots") for each in found[kind]}
    shown = sorted(names, key=lambda name: (name == NOWHERE, name.casefold(), name))[:LANES]
    lanes = {
        name: Lane(name, f"/jobs/{quote(name, safe='')}" if by == "job" else "/nodes")
        for name in shown
    }
    for run in reversed(found["runs"]):
        if lane := lanes.get(name_of(run)):
            _put_run(lane, run, scale, view.now_us)
    put("missed", lambda lane, entry: _put_missed(lane, entry, scale))
    put("slots", lambda lane, slot: _put_slot(lane, slot, scale))
    return list(lanes.values()), len(names) - len(shown)


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


# ------------------------------------------------------------------ around them


def _bars(found: Mapping[str, Any], scale: Scale) -> list[dict[str, Any]]:
    """How many runs began, and how many slots come, in equal steps."""
    step_us = (scale.to_us - scale.from_us) // BARS
    past, future = [0] * BARS, [0] * BARS
    for run in found["runs"]:
        place = (parse_instant(run["started_at"] or run["created_at"]) - scale.from_us) // step_us
        if 0 <= place < BARS:
            past[place] += 1
    whole_us = parse_instant(found["complete_until"])  # behind it a bar would be too low
    for slot in found["slots"]:
        at_us = parse_instant(slot["at"])
        place = (at_us - scale.from_us) // step_us if at_us <= whole_us else -1
        if 0 <= place < BARS:
            future[place] += slot["count"]
    most = max([one + other for one, other in zip(past, future, strict=True)], default=0) or 1
    bars: list[dict[str, Any]] = []
    for place, (ran, comes) in enumerate(zip(past, future, strict=True)):
        at_us = scale.from_us + place * step_us
        base = {"x": WIDTH * place / BARS, "at": format_instant(at_us), "ran": ran, "comes": comes}
        bars.append({**base, "low": 40 * ran / most, "high": 40 * comes / most})
    return bars


def _ticks(view: View, scale: Scale) -> list[dict[str, Any]]:
    """Round times of the clock of whoever looks."""
    length_s = (scale.to_us - scale.from_us) // 1_000_000
    every = next((one for one in _EVERY if length_s / one <= TICKS), _EVERY[-1])
    offset = to_datetime(scale.from_us, view.zone).utcoffset()
    shift = int(offset.total_seconds()) if offset else 0
    first = -(-(scale.from_us // 1_000_000 + shift) // every) * every - shift
    ticks: list[tuple[float, str]] = []
    for at_s in range(first, scale.to_us // 1_000_000 + 1, every):
        moment = to_datetime(at_s * 1_000_000, view.zone)
        midnight = moment.hour == 0 and moment.minute == 0
        text = f"{moment:%a} {moment.day}" if every >= 86_400 or midnight else f"{moment:%H:%M}"
        ticks.append((scale.x(at_s * 1_000_000), text))
    return [{"x": x, "text": text} for x, text in ticks if WIDTH * 0.03 < x < WIDTH * 0.97]


def _rows(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All of it in the order of time, for the table."""
    rows: list[dict[str, Any]] = [
        {"at": run["started_at"] or run["created_at"], "kind": "run", "each": run}
        for run in found["runs"]
    ]
    rows += [{"at": each["from"], "kind": "missed", "each": each} for each in found["missed"]]
    rows += [{"at": each["at"], "kind": "slot", "each": each} for each in found["slots"]]
    for row in rows:
        row["at_us"] = parse_instant(row["at"])
    rows.sort(key=lambda row: int(row["at_us"]))
    return _around_now(rows, parse_instant(found["now"]))


def _around_now(rows: Sequence[dict[str, Any]], now_us: int) -> list[dict[str, Any]]:
    """So many rows that a page can hold them, those nearest to now."""
    past = [row for row in rows if row["at_us"] <= now_us]
    future = list(rows[len(past) :])
    half = TABLE_ROWS // 2
    return (
        past[-max(half, TABLE_ROWS - len(future)) :] + future[: max(half, TABLE_ROWS - len(past))]
    )
