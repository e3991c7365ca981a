"""The timeline: what ran, what did not and what will, as a picture and as a table."""

from bisect import bisect_right
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.errors import CronherdError, Invalid
from cronherd.domain.instant import format_instant, parse_instant, to_datetime
from cronherd.pages.base import TheView, sentence_of, show
from cronherd.pages.lanes import WIDTH, Scale, draw_marks, draw_under, lay_lanes
from cronherd.pages.view import View

routes = APIRouter()

SPANS = {"1h": 3_600, "6h": 21_600, "24h": 86_400, "7d": 604_800}
USUAL = "6h"
STEPS = 240
BARS = 80  # of the load above the lanes
TABLE_ROWS = 100
TICKS = 6
# The steps between marks of the axis, in seconds.
_EVERY = (600, 900, 1_800, 3_600, 7_200, 14_400, 21_600, 43_200, 86_400)


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
    lanes, hidden = lay_lanes(found, scale, by, view.now_us)
    ticks = _ticks(view, scale)
    now_x = scale.x(view.now_us) if scale.from_us < view.now_us < scale.to_us else None
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
        ticks=ticks,
        now_x=now_x,
        draw_marks=draw_marks,
        draw_under=lru_cache(lambda height: draw_under(ticks, now_x, height)),
        width=WIDTH,
        rows=_rows(found),
        earlier=view.with_query(at=format_instant(scale.from_us)),
        later=view.with_query(at=format_instant(scale.to_us)),
        job=found["job"],
        cut_past=found["complete_from"] > found["from"],
        cut_future=found["complete_until"] < found["to"],
    )


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
    """All of it in the order of time, for the table: so many rows, those nearest to now."""
    told = [(run["started_at"] or run["created_at"], "run", run) for run in found["runs"]]
    told += [(each["from"], "missed", each) for each in found["missed"]]
    told += [(each["at"], "slot", each) for each in found["slots"]]
    told.sort(key=_place)
    past = bisect_right(told, found["now"][:-1], key=_place)
    half = TABLE_ROWS // 2
    first = max(past - max(half, TABLE_ROWS - (len(told) - past)), 0)
    return [
        {"at": at, "kind": kind, "each": each}
        for at, kind, each in told[first : first + TABLE_ROWS]
    ]


def _place(row: tuple[str, str, Any]) -> str:
    """Instants are all UTC: without the Z behind them their texts have their order."""
    return row[0][:-1]
