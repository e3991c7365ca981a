"""Runs: what happened and what happens now, newest first."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid, NotFound
from cronherd.domain.run import OUTCOME_WORDS, STATE_WORDS, Cause, Outcome, RunState
from cronherd.domain.search import ERROR, RUN_KEYS
from cronherd.pages.base import TheView, act, sentence_of, show
from cronherd.pages.forms import TheForm
from cronherd.pages.search import Box, address

routes = APIRouter()

PAGE_ROWS = 50
# The filters one click away; every other word may be typed.
FILTERS = ("", RunState.RUNNING, RunState.WAITING, Outcome.SUCCEEDED, ERROR, Outcome.CANCELLED)
SPANS = ("1h", "24h", "7d", "")


@routes.get("/runs", dependencies=[needs(Role.VIEWER)])
def runs(view: TheView) -> Response:
    box = Box.read(view.query("q"), RUN_KEYS)
    page: dict[str, Any] = {"items": [], "next": None}
    fault = box.fault
    if fault is None:
        try:
            page = view.fleet.list_runs(
                before=view.query("before") or None, limit=PAGE_ROWS, q=box.text or None
            )
        except (Invalid, NotFound) as error:  # a job that is not there is a search without result
            fault = Invalid(error.text, code=error.code, hint=error.hint)
    return show(
        view,
        "runs.html",
        box=box,
        fault=sentence_of(fault) if fault else "",
        chips=box.chips("/runs"),
        items=page["items"],
        following=view.with_query(before=page["next"]) if page["next"] else "",
        first=view.with_query(before="") if view.query("before") else "",
        filters=_filters(box),
        spans=_spans(box),
        causes=[cause.value for cause in Cause],
        job=box.value("job"),
    )


def _filters(box: Box) -> list[dict[str, Any]]:
    now = box.value("state") or box.value("outcome")
    return [
        {
            "word": str(word),
            "means": STATE_WORDS.get(word) or OUTCOME_WORDS.get(word) or "",  # type: ignore[call-overload]
            "address": address("/runs", box.set("state", str(word))),
            "on": now == word,
        }
        for word in FILTERS
    ]


def _spans(box: Box) -> list[dict[str, Any]]:
    now = box.value("since")
    return [
        {"word": span, "address": address("/runs", box.set("since", span)), "on": now == span}
        for span in SPANS
    ]


@routes.post("/runs/{run}/cancel", dependencies=[needs(Role.OPERATOR, run="run")])
def cancel(view: TheView, form: TheForm, run: str) -> Response:
    def doing() -> str:
        told = view.fleet.cancel_run(run, view.actor)
        return f"Run {told['id'][:8]} of '{told['job']}' is being cancelled"

    return act(view, form, f"/runs/{run}", doing)
