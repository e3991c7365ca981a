"""One job: what it does in words, how it stands, what it ran, why it ran or did not."""

from dataclasses import replace
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from starlette.responses import RedirectResponse, Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.errors import CronherdError, Invalid, InvalidInput
from cronherd.domain.instant import to_datetime
from cronherd.domain.param import Param, build_params
from cronherd.domain.run import Reason
from cronherd.domain.why import Answer
from cronherd.domain.whywords import HEADS, late_words, why_words
from cronherd.pages.base import TheView, act, go, sentence_of, show
from cronherd.pages.fields import by_field
from cronherd.pages.forms import Form, TheForm
from cronherd.pages.policies import policies, shares
from cronherd.pages.said import Said
from cronherd.pages.times import say_instant
from cronherd.pages.view import View

routes = APIRouter()

Job = dict[str, Any]

SLOTS = 5
RUNS = 10
PAGE_ROWS = 50
PARAM = "param."
FORCED = (Reason.OVERLAP, Reason.QUEUE_FULL, Reason.MIN_GAP)  # what a run can be asked for against
GO = "X-Go"  # where a script goes that cannot show the answer in its place; see static/failed.js
# Badges of what became of an instant; a word beside the icon says it all the same.
TONES = {
    Answer.RAN: ("circle-check", "ok"),
    Answer.WAITING: ("hourglass", "wait"),
    Answer.MISSED: ("circle-minus", "bad"),
    Answer.DUE: ("timer", "warn"),
    Answer.WILL_RUN: ("clock", "run"),
    Answer.WILL_NOT_RUN: ("circle-slash", "warn"),
    Answer.NO_SLOT: ("circle-dashed", "off"),
    Answer.UNKNOWN: ("circle-question-mark", "off"),
}


def address_of(job: Job, verb: str = "") -> str:
    """The page of a job, or one below it."""
    return f"/jobs/{quote(job['name'], safe='')}" + (f"/{verb}" if verb else "")


@routes.get("/jobs/{name}", dependencies=[needs(Role.VIEWER, job="name")])
def show_job(view: TheView, name: str) -> Response:
    job = view.fleet.show_job(name)
    trend = view.fleet.trends([job["id"]], 60)["jobs"][job["id"]]
    asked = "at" in view.request.query_params
    return show(
        view,
        "job.html",
        job=job,
        here=address_of(job),
        slots=job["upcoming"][:SLOTS],
        trend=trend,
        ended=[run for run in trend if run["outcome"] not in {"succeeded", "cancelled", "skipped"}],
        policies=policies(job["definition"]),
        shares=shares(job["definition"]),
        params=_params(job),
        why=_why(view, job) if asked else None,
        at=view.query("at"),
        now_at=_local(view.now_us, ZoneInfo(job["timezone"])),
    )


def _params(job: Job) -> list[Param]:
    """What a run may be given: first what it cannot go without."""
    params = build_params(job["definition"].get("params", {}))
    return sorted(params, key=lambda param: not param.required)


def _why(view: View, job: Job) -> dict[str, Any]:
    """The answers for one instant, or the fault of what was asked."""
    zone = ZoneInfo(job["timezone"])

    def moment(at: str) -> str:
        return say_instant(at, zone, view.now_us, exact=True)

    try:
        found = view.fleet.why(job["id"], view.query("at").strip() or None)
    except CronherdError as error:
        return {"fault": sentence_of(error), "answers": []}
    answers = []
    for item in found["items"]:
        icon, tone = TONES[Answer(item["answer"])]
        late = [word for run in item["runs"] for word in late_words(run)]
        answers.append(
            {
                **item,
                "head": HEADS[Answer(item["answer"])],
                "words": why_words(item, moment).lstrip(":, "),
                "icon": icon,
                "tone": tone,
                "late": late,
            }
        )
    return {"fault": "", "answers": answers}


def _local(at_us: int, zone: ZoneInfo) -> str:
    """As an input of type datetime-local wants it."""
    return f"{to_datetime(at_us, zone):%Y-%m-%dT%H:%M}"


@routes.get("/jobs/{name}/runs", dependencies=[needs(Role.VIEWER, job="name")])
def runs_of(view: TheView, name: str) -> Response:
    """The runs of one job, and the slots that did not run."""
    job = view.fleet.show_job(name)
    word = view.query("state")
    found = view.fleet.list_runs(
        job=job["id"],
        before=view.query("before") or None,
        limit=PAGE_ROWS,
        q=f"state:{word}" if word else None,
    )
    return show(
        view,
        "job_runs.html",
        job=job,
        here=address_of(job),
        items=found["items"],
        word=word,
        following=view.with_query(before=found["next"]) if found["next"] else "",
        first=view.with_query(before="") if view.query("before") else "",
        missed=view.fleet.list_ledger(job["id"], PAGE_ROWS)["items"],
    )


# ------------------------------------------------------------------ run it now


@routes.get("/jobs/{name}/run", dependencies=[needs(Role.OPERATOR, job="name")])
def ask_run(view: TheView, name: str) -> Response:
    job = view.fleet.show_job(name)
    return _ask_page(view, job, {}, {})


def _ask_page(
    view: View, job: Job, given: dict[str, str], faults: dict[str, list[Any]], status: int = 200
) -> Response:
    return show(
        view,
        "job_run.html",
        status,
        job=job,
        here=address_of(job),
        params=_params(job),
        given=given,
        faults=faults,
    )


@routes.post("/jobs/{name}/run", dependencies=[needs(Role.OPERATOR, job="name")])
def run(view: TheView, form: TheForm, name: str) -> Response:
    """Run it now; what its parameters lack or refuse comes back as a form."""
    job = view.fleet.show_job(name)
    given = {field: form.one(field) for field in form.fields if field.startswith(PARAM)}
    values = {field.removeprefix(PARAM): value for field, value in given.items() if value != ""}
    try:
        made = view.fleet.run_job(
            job["id"],
            view.actor,
            request_id=form.once,
            force=form.one("force") == "yes",
            params=values,
        )["run"]
    except InvalidInput as error:
        if view.partial:  # from a list, whose script goes where the form is
            return Response(status_code=422, headers={GO: address_of(job, "run")})
        faults = by_field(
            {"where": fault.where.replace("params.", PARAM), "text": fault.text, "hint": ""}
            for fault in error.errors
        )
        return _ask_page(view, job, given, faults, 422)
    except CronherdError as error:
        said = Said(kind="bad", text=sentence_of(error))
        if error.code in FORCED:
            said = replace(
                said, link=f"{address_of(job, 'run')}?force=yes", word="Run it all the same…"
            )
        return go(view, form.back(address_of(job)), said)
    here, said = f"/runs/{made['id']}", Said(kind="ok", text=f"'{job['name']}' was asked to run")
    if form.one("back"):
        said = replace(said, link=here, word=f"Run {made['id'][:8]}")
        return go(view, form.back("/jobs"), said)
    return go(view, here, said)


# ------------------------------------------------------------------ pause it until, skip some


@routes.post("/jobs/{name}/pause", dependencies=[needs(Role.OPERATOR, job="name")])
def pause(view: TheView, form: TheForm, name: str) -> Response:
    """Until an instant in the job's zone, for a length, or until somebody resumes it."""
    return act(view, form, "/jobs", lambda: _pause(view, form, name))


def _pause(view: View, form: Form, name: str) -> str:
    until, length = form.one("until").strip(), form.one("for").strip()
    if form.one("set") == "until" and not until:
        raise Invalid("choose until when it is to be paused", code="no_until")
    job = view.fleet.pause_job(name, view.actor, until=until or None, length=length or None)
    if job["paused_until"] is None:
        return f"'{job['name']}' is paused until somebody resumes it"
    zone = ZoneInfo(job["timezone"])
    end = say_instant(job["paused_until"], zone, view.now_us)
    first = len(job["started_before"])
    more = f"; {first} of its runs had begun" if first else ""
    return f"'{job['name']}' is paused until {end}{more}"


@routes.post("/jobs/{name}/skip", dependencies=[needs(Role.OPERATOR, job="name")])
def skip(view: TheView, form: TheForm, name: str) -> Response:
    """Let the next slots pass: one, or as many as the form says."""

    def doing() -> str:
        count = form.one("count", "1")
        number = int(count) if count.isascii() and count.isdecimal() and len(count) < 9 else 0
        told = view.fleet.skip_next(name, view.actor, count=number)
        zone = ZoneInfo(told["timezone"])
        last = say_instant(told["slots"][-1], zone, view.now_us)
        if len(told["slots"]) == 1:
            return f"'{told['job']}' skips its slot of {last}"
        return f"'{told['job']}' skips {len(told['slots'])} slots, the last of them {last}"

    return act(view, form, "/jobs", doing)


@routes.post("/jobs/{name}/delete", dependencies=[needs(Role.EDITOR, job="name")])
def delete(view: TheView, form: TheForm, name: str) -> Response:
    try:
        told = view.fleet.delete_job(name, view.actor)
    except CronherdError as error:
        return go(view, form.back(f"/jobs/{name}"), Said(kind="bad", text=sentence_of(error)))
    return go(view, "/jobs", Said(kind="ok", text=f"'{told['deleted']}' is deleted; its runs stay"))


@routes.get("/jobs/{name}/delete", dependencies=[needs(Role.EDITOR, job="name")])
def ask_delete(view: TheView, name: str) -> Response:
    job = view.fleet.show_job(name)
    return show(view, "job_delete.html", job=job, here=address_of(job))


@routes.get("/jobs/{name}/last", dependencies=[needs(Role.VIEWER, job="name")])
def last(view: TheView, name: str) -> Response:
    """The newest run of a job, which has its last output."""
    job = view.fleet.show_job(name)
    found = view.fleet.list_runs(job=job["id"], limit=1)["items"]
    return RedirectResponse(f"/runs/{found[0]['id']}#output" if found else address_of(job), 303)
