"""Jobs: the list, what one may do with many of them at once, and the switches of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.errors import CronherdError, Invalid
from cronherd.domain.search import JOB_KEYS
from cronherd.domain.standing import STANDING_WORDS, Standing
from cronherd.pages.base import TheView, act, sentence_of, show
from cronherd.pages.forms import TheForm
from cronherd.pages.search import Box, address
from cronherd.pages.view import View
from cronherd.pages.words import say_plural

routes = APIRouter()

PAGE_ROWS = 50
SORTED_ROWS = 1_000  # so many are fetched and put in order; more stay in the order of their names
BULK_JOBS = 500
NAMED = 3  # faults of a bulk change that a sentence tells
Job = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One fact of a job as a column: its word, how it sorts, whether it is shown unasked."""

    key: str
    word: str
    sorts: Callable[[Job], Any] | None = None
    usual: bool = False


def _last(key: str) -> Callable[[Job], Any]:
    return lambda job: (job["last_run"] or {}).get(key)


COLUMNS = (
    Column(key="status", word="Status", sorts=lambda job: job["standing"], usual=True),
    Column(key="frequency", word="Schedule", sorts=lambda job: job["schedule"], usual=True),
    Column(key="result", word="Last result", sorts=_last("outcome"), usual=True),
    Column(key="next", word="Next", sorts=lambda job: job["next_at"], usual=True),
    Column(key="trend", word="Last 30 runs", usual=True),
    Column(key="active", word="Active", sorts=lambda job: job["enabled"]),
    Column(key="description", word="Description", sorts=lambda job: job["description"]),
    Column(key="command", word="Command", sorts=lambda job: str(job["command"] or job["task"])),
    Column(key="window", word="Window", sorts=lambda job: str(job["window"] or "")),
    Column(key="limit", word="Time limit", sorts=lambda job: job["timeout_s"]),
    Column(key="started", word="Last start", sorts=_last("started_at")),
    Column(key="ended", word="Last end", sorts=_last("ended_at")),
    Column(key="took", word="Took", sorts=_last("duration_s")),
    Column(key="worker", word="Worker", sorts=_last("node")),
    Column(key="live", word="Runs now", sorts=lambda job: job["live_runs"]),
    Column(key="zone", word="Time zone", sorts=lambda job: job["timezone"]),
    Column(key="tags", word="Tags", sorts=lambda job: ",".join(job["tags"])),
    Column(key="source", word="Source", sorts=lambda job: job["source"]),
)
_BY_KEY = {column.key: column for column in COLUMNS}
_NAME = Column(key="name", word="Job", sorts=lambda job: job["name"].casefold())


@routes.get("/jobs", dependencies=[needs(Role.VIEWER)])
def jobs(view: TheView) -> Response:
    box = Box.read(view.query("q"), JOB_KEYS)
    sort, down = _sort(view.query("sort"))
    found = _find(view, box, sort, down=down)
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
        first=view.with_query(after="", at="") if view.query("after") or view.query("at") else "",
        shown=_shown(view),
        columns=COLUMNS,
        sort=sort.key,
        down=down,
        unsorted=found["unsorted"],
        turned=_turns(view, sort, down=down),
        filters=_filters(box),
        anything=bool(box.text),
    )


def _find(view: View, box: Box, sort: Column, *, down: bool) -> dict[str, Any]:
    """A page of jobs, by key in the order of names, by place in any other order."""
    nothing: dict[str, Any] = {"items": [], "following": "", "unsorted": False, "fault": box.fault}
    if box.fault:
        return nothing
    named = sort is _NAME and not down
    after, text = view.query("after") or None, box.text or None
    try:
        items = None if named else _few(view, text)
        if items is None:
            page = view.fleet.list_jobs(after, PAGE_ROWS, q=text)
            following = view.with_query(after=page["next"], at="") if page["next"] else ""
            found = {"items": page["items"], "following": following, "unsorted": not named}
            return {**nothing, **found}
    except Invalid as error:
        return {**nothing, "fault": error}
    at = int(view.query("at")) if view.query("at").isdecimal() and len(view.query("at")) < 7 else 0
    ordered = _ordered(items, sort, down=down)
    more = at + PAGE_ROWS < len(ordered)
    following = view.with_query(at=at + PAGE_ROWS, after="") if more else ""
    return {**nothing, "items": ordered[at : at + PAGE_ROWS], "following": following}


def _few(view: View, text: str | None) -> list[Job] | None:
    """All jobs that match, to be sorted; None when they are too many for that."""
    page = view.fleet.list_jobs(None, SORTED_ROWS, q=text, most=SORTED_ROWS)
    items: list[Job] = page["items"]
    unread = page["next"] and len(items) < SORTED_ROWS  # more jobs than one look goes through
    return None if page.get("many") or unread else items


def _ordered(items: list[Job], column: Column, *, down: bool) -> list[Job]:
    """In the order of a column; jobs that have no value there come last in both directions."""
    assert column.sorts is not None
    told = [(column.sorts(job), job) for job in items]
    known = [pair for pair in told if pair[0] is not None and pair[0] != ""]
    rest = [job for value, job in told if value is None or value == ""]
    known.sort(key=lambda pair: pair[0], reverse=down)
    return [job for _, job in known] + rest


def _sort(text: str) -> tuple[Column, bool]:
    """What an address says to sort by: a column, from its end with a minus before."""
    down = text.startswith("-")
    column = _BY_KEY.get(text.removeprefix("-"), _NAME)
    return (column, down) if column.sorts else (_NAME, False)


def _turns(view: View, sort: Column, *, down: bool) -> Mapping[str, str]:
    """Where the head of each column leads: sorted by it, or the other way round."""
    turned = {}
    for column in (_NAME, *COLUMNS):
        if column.sorts:
            word = f"-{column.key}" if column is sort and not down else column.key
            word = "" if word == _NAME.key else word
            turned[column.key] = view.with_query(sort=word, after="", at="")
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
            faults.append(f"'{name}': {sentence_of(error)}")
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
