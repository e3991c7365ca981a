"""Overview: how the fleet stands, what failed, what is late, what comes."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.instant import MINUTE_US, parse_instant, to_datetime
from cronherd.domain.standing import BAD, STANDING_WORDS, Standing
from cronherd.pages.base import TheView, act, show
from cronherd.pages.forms import TheForm
from cronherd.pages.search import address
from cronherd.pages.times import zone_mark
from cronherd.pages.view import View
from cronherd.pages.words import say_plural

routes = APIRouter()

# The counters, each with its short words; the long ones are their titles.
COUNTERS = {
    Standing.RUNNING: "at this moment",
    Standing.OVERDUE: "more than a minute late",
    Standing.NOT_DUE: "next time is known",
    Standing.DISABLED: "switched off",
    Standing.ERROR: "last run went wrong",
}
# How far the chart looks to each side and how long a column is, in seconds; what it is called.
SPANS = {
    "15m": (900, 15, "15 min"),
    "1h": (3_600, 60, "1 h"),
    "3h": (10_800, 180, "3 h"),
    "12h": (43_200, 900, "12 h"),
    "3d": (259_200, 5_400, "3 d"),
}
USUAL_SPAN = "3h"
FEW = 5  # runs that wait
WIDTH, HEIGHT = 1_200, 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A part of one column of the chart, in its own units."""

    x: float
    y: float
    width: float
    height: float
    tone: str


@routes.get("/", dependencies=[needs(Role.VIEWER)])
def overview(view: TheView) -> Response:
    found = view.fleet.overview()
    span = view.query("span", USUAL_SPAN)
    span = span if span in SPANS else USUAL_SPAN
    reach_s, step_s, _ = SPANS[span]
    load = view.fleet.load(reach_s, reach_s, step_s)
    counters = [
        {
            "word": word.value,
            "count": found["counts"].get(word.value, 0),
            "short": short,
            "means": STANDING_WORDS[word],
            "address": address("/jobs", f"state:{word.value}"),
        }
        for word, short in COUNTERS.items()
    ]
    return show(
        view,
        "overview.html",
        found=found,
        waiting=view.fleet.list_runs(q="state:waiting", limit=FEW)["items"],
        counters=counters,
        spans={key: words for key, (_, _, words) in SPANS.items()},
        span=span,
        chart=draw(load, view),
        load=load,
        rows=[step for step in load["steps"] if step["ended"] or step["slots"]],
        bad=[outcome.value for outcome in BAD],
    )


def draw(load: dict[str, Any], view: View) -> dict[str, Any]:
    """The columns of the chart: what ended, best at the bottom, and slots to come."""
    steps = load["steps"]
    wide = WIDTH / max(len(steps), 1)
    numbers = [_numbers(step) for step in steps]
    most = max([sum(each) for each in numbers] + [1])
    bars = []
    for place, each in enumerate(numbers):
        foot = float(HEIGHT)
        for count, tone in zip(each, ("ok", "off", "bad", "next"), strict=True):
            if count:
                high = max(count / most * (HEIGHT - 4), 2.0)
                foot -= high
                bars.append(
                    Bar(
                        x=place * wide + wide * 0.1,
                        y=foot,
                        width=wide * 0.8,
                        height=high,
                        tone=tone,
                    )
                )
    first_us = parse_instant(steps[0]["from"]) if steps else 0
    span_us = len(steps) * load["step_s"] * 1_000_000 or 1
    return {
        "bars": bars,
        "most": most,
        "now": (parse_instant(load["now"]) - first_us) / span_us * WIDTH,
        "ticks": _ticks(first_us, span_us, view),
        "width": WIDTH,
        "height": HEIGHT,
        "bad": sum(each[2] for each in numbers),
        "ended": sum(sum(each[:3]) for each in numbers),
        "slots": sum(each[3] for each in numbers),
    }


def _numbers(step: dict[str, Any]) -> tuple[int, int, int, int]:
    """Of a step: succeeded, cancelled, all that went wrong, slots to come."""
    ended = step["ended"]
    bad = sum(count for outcome, count in ended.items() if outcome in BAD)
    return ended.get("succeeded", 0), ended.get("cancelled", 0), bad, step["slots"]


def _ticks(first_us: int, span_us: int, view: View) -> list[dict[str, Any]]:
    """Six whole times under the chart, in the zone of whoever looks."""
    each_us = max(span_us // 6 // (5 * MINUTE_US), 1) * 5 * MINUTE_US
    shown = []
    at_us = -(-first_us // each_us) * each_us
    days = span_us > 86_400_000_000
    while at_us < first_us + span_us:
        moment = to_datetime(at_us, view.zone)
        text = f"{moment:%a %H:%M}" if days else f"{moment:%H:%M}"
        x = (at_us - first_us) / span_us * WIDTH
        if WIDTH * 0.03 < x < WIDTH * 0.97:
            shown.append({"x": x, "text": text, "zone": zone_mark(moment)})
        at_us += each_us
    return shown


@routes.post("/fleet/hold", dependencies=[needs(Role.ADMIN)])
def hold(view: TheView, form: TheForm) -> Response:
    def doing() -> str:
        view.fleet.set_hold(view.actor, hold=True)
        return "The fleet is held: nothing fires until somebody ends it"

    return act(view, form, "/nodes", doing)


@routes.post("/fleet/release", dependencies=[needs(Role.ADMIN)])
def release(view: TheView, form: TheForm) -> Response:
    def doing() -> str:
        view.fleet.set_hold(view.actor, hold=False)
        nodes = len(view.fleet.list_nodes()["items"])
        return f"The hold has ended; {say_plural(nodes, 'node')} may start runs again"

    return act(view, form, "/nodes", doing)
