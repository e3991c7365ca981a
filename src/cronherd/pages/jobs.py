"""Jobs: the list, what one may do with many of them at once, and the switches of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.errors import CronherdError, Invalid
from cronherd.domain.joborder import JobKey, JobOrder, read_order
from cronherd.domain.search import JOB_KEYS
from cronherd.domain.standing import STANDING_WORDS, Standing
from cronherd.pages.base import TheView, act, clause_of, sentence_of, show
from cronherd.pages.forms import TheForm
from cronherd.pages.search import Box, address
from cronherd.pages.view import View
from cronherd.pages.words import say_plural

routes = APIRouter()

PAGE_ROWS = 50
BULK_JOBS = 500
NAMED = 3  # faults of a bulk change that a sentence tells
Job = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One fact of a job as a column: its word, whether it is shown unasked."""

    key: str
    word: str
    usual: bool = False


COLUMNS = (
    Column(key="status", word="Status", usual=True),
    Column(key="frequency", word="Schedule", usual=True),
    Column(key="result", word="Last result", usual=True),
    Column(key="next", word="Next", usual=True),
    Column(key="trend", word="Last 30 runs", usual=True),
    Column(key="active", word="Active"),
    Column(key="description", word="Description"),
    Column(key="command", word="Command"),
    Column(key="window", word="Window"),
    Column(key="limit", word="Time limit"),
    Column(key="started", word="Last start"),
    Column(key="ended", word="Last end"),
    Column(key="took", word="Took"),
    Column(key="worker", word="Worker"),
    Column(key="live", word="Runs now"),
    Column(key="zone", word="Time zone"),
    Column(key="tags", word="Tags"),
    Column(key="source", word="Source"),
)
_BY_KEY = {column.key: column for column in COLUMNS}


@routes.get("/jobs", dependencies=[needs(Role.VIEWER)])
def jobs(view: TheView) -> Response:
    box = Box.read(view.query("q"), JOB_KEYS)
    order = _order(view.query("sort"))
    found = _find(view, box, order)
    items = found["items"]
    trends = view.fleet.trends([job["id"] for job in items])["jobs"]
    return show(
        view,
        "jobs.html",
        box=box,
        fault=sentence_of(found["fault"]) if found["fault"] else "",
        chips=box.chips("/jobs"),
        items=items,
        trends=trends,
        following=found["following"],
        first=view.with_query(after="") if view.query("after") else "",
        shown=_shown(view),
        columns=COLUMNS,
        sort=order.key.value,
        down=order.down,
        unsorted=found["unsorted"],
        turned=_turns(view, order),
        filters=_filters(box),
        anything=bool(box.text),
    )


def _find(view: View, box: Box, order: JobOrder) -> dict[str, Any]:
    """A page of jobs; too many to be sorted stay in the order of their names."""
    nothing: dict[str, Any] = {"items": [], "following": "", "unsorted": False, "fault": box.fault}
    if box.fault:
        return nothing
    after, text = view.query("after") or None, box.text or None
    sort, unsorted = None if order == JobOrder() else str(order), False
    try:
        try:
            page = view.fleet.list_jobs(after, PAGE_ROWS, q=text, sort=sort)
        except Invalid as error:
            if error.code != "too_many_to_sort":
                raise
            page, unsorted = view.fleet.list_jobs(after, PAGE_ROWS, q=text), True
    except Invalid as error:
        return {**nothing, "fault": error}
    following = view.with_query(after=page["next"]) if page["next"] else ""
    return {**nothing, "items": page["items"], "following": following, "unsorted": unsorted}


def _order(text: str) -> JobOrder:
    """What an address says to sort by; by name when it says nothing that can be."""
    try:
        return read_order(text)
    except Invalid:
        return JobOrder()


def _turns(view: View, order: JobOrder) -> Mapping[str, str]:
    """Where the head of each column leads: sorted by it, or the other way round."""
    turned = {}
    for key in JobKey:
        other = JobOrder(key, down=key is order.key and not order.down)
        word = "" if other == JobOrder() else str(other)
        turned[key.value] = view.with_query(sort=word, after="")
    return turned


def _shown(view: View) -> list[str]:
    """The columns that an address asks for, else the usual ones, in their own order."""
    asked = set(view.request.query_params.getlist("col")) & set(_BY_KEY)
    return [column.key for column in COLUMNS if (column.key in asked if asked else column.usual)]


def _filters(box: Box) -> list[dict[str, Any]]:
    """The standings as filters, and all jobs; each keeps the rest of the search."""
    now = box.value("state").replace("-", "_")
    every = {"word": "", "means": "all jobs", "address": address("/jobs", box.set("state", ""))}
    return [
        {**every, "on": not now},
        *(
            {
                "word": word.value,
                "means": STANDING_WORDS[word],
                "address": address("/jobs", box.set("state", word.value)),
                "on": now == word.value,
            }
            for word in Standing
        ),
    ]


# ------------------------------------------------------------------ what one may do


def _run(view: View, name: str) -> str:
    run = view.fleet.run_job(name, view.actor)["run"]
    return f"'{name}' was asked to run: run {run['id'][:8]}"


def _pause(view: View, name: str) -> str:
    view.fleet.pause_job(name, view.actor)
    return f"'{name}' is paused until somebody resumes it"


def _resume(view: View, name: str) -> str:
    view.fleet.resume_job(name, view.actor)
    return f"'{name}' goes on"


def _enable(view: View, name: str) -> str:
    view.fleet.set_enabled(name, view.actor, enabled=True)
    return f"'{name}' is enabled"


def _disable(view: View, name: str) -> str:
    view.fleet.set_enabled(name, view.actor, enabled=False)
    return f"'{name}' is disabled"


def _skip(view: View, name: str) -> str:
    slots = view.fleet.skip_next(name, view.actor)["slots"]
    return f"'{name}' lets {say_plural(len(slots), 'slot')} pass"


def _unskip(view: View, name: str) -> str:
    undone = view.fleet.undo_skip(name, view.actor)["undone"]
    return f"'{name}' skips nothing more: {say_plural(len(undone), 'slot')} will run again"


ACTS: Mapping[str, Callable[[View, str], str]] = {
    "run": _run,
    "pause": _pause,
    "resume": _resume,
    "enable": _enable,
    "disable": _disable,
    "skip": _skip,
    "unskip": _unskip,
}
# For the sentence about many: 3 jobs were paused.
_DONE = {
    "run": "asked to run",
    "pause": "paused",
    "resume": "resumed",
    "enable": "enabled",
    "disable": "disabled",
    "skip": "told to skip their next slot",
    "unskip": "told to skip nothing",
}


@routes.post("/jobs/bulk", dependencies=[needs(Role.OPERATOR)])
def bulk(view: TheView, form: TheForm) -> Response:
    """The same for many jobs, one after the other; what one of them refuses stops no other."""
    return act(view, form, "/jobs", lambda: _bulk(view, form.one("do"), form.all("job")))


def _bulk(view: View, word: str, names: list[str]) -> str:
    if word not in ACTS:
        raise Invalid("this is nothing that jobs can be told", code="bad_action")
    if not names:
        raise Invalid("no job was chosen", code="no_jobs", hint="tick the boxes before their names")
    if len(names) > BULK_JOBS:
        raise Invalid(f"at most {BULK_JOBS} jobs at once", code="too_many")
    faults = []
    for name in dict.fromkeys(names):
        try:
            ACTS[word](view, name)
        except CronherdError as error:
            faults.append(f"'{name}': {clause_of(error)}")
    done = len(dict.fromkeys(names)) - len(faults)
    said = f"{say_plural(done, 'job')} {'was' if done == 1 else 'were'} {_DONE[word]}"
    if faults:
        more = f" and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
        raise Invalid(f"{said}; not {'; '.join(faults[:NAMED])}{more}", code="some_refused")
    return said


@routes.post("/jobs/{name}/{word}", dependencies=[needs(Role.OPERATOR, job="name")])
def switch(view: TheView, form: TheForm, name: str, word: str) -> Response:
    """Run, pause, resume, enable, disable or skip one job."""
    if word not in ACTS:
        raise Invalid("this is nothing that a job can be told", code="bad_action")
    return act(view, form, "/jobs", lambda: ACTS[word](view, name))
