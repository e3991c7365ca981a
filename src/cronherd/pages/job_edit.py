"""Making and editing a job: a form or its whole text, a preview, what differs, and two editors."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.errors import Conflict, CronherdError, InvalidInput, NotFound
from cronherd.pages.base import TheView, go, sentence_of, show
from cronherd.pages.definitions import (
    FIELDS,
    KEYS,
    Draft,
    changed_keys,
    diff,
    draft_of,
    merge,
    read_draft,
    without_switch,
)
from cronherd.pages.fields import REST, Faults, by_field
from cronherd.pages.forms import Form, TheForm
from cronherd.pages.job import address_of
from cronherd.pages.said import Said
from cronherd.pages.view import View

routes = APIRouter()

Job = dict[str, Any]
STALE = "version_conflict"
VERSIONS_READ = 1_000


# ------------------------------------------------------------------ a new one


@routes.get("/jobs/new", dependencies=[needs(Role.EDITOR)])
def new(view: TheView) -> Response:
    """An empty form, one filled from the address, or a copy of another job."""
    definition: Job = {}
    if view.query("from"):
        copied = view.fleet.show_job(view.query("from"))
        definition = without_switch(copied["definition"])
        definition["name"] = f"{copied['name']} copy"
    definition |= {key: view.query(key) for key in KEYS if view.query(key)}
    return _page(view, None, draft_of(definition, as_text=view.query("as") == "text"))


@routes.post("/jobs/new", dependencies=[needs(Role.EDITOR)])
def create(view: TheView, form: TheForm) -> Response:
    draft, do = read_draft(form), form.one("do", "save")
    if do != "save" or draft.definition is None:
        return _turned(view, None, draft, form, do)
    definition = dict(draft.definition)
    if form.one("disabled") == "yes":
        definition["enabled"] = False
    try:
        job = view.fleet.create_job(definition, view.actor, request_id=form.once)
    except (InvalidInput, Conflict) as error:
        return _page(view, None, draft, error=error, form=form)
    return go(view, address_of(job), Said(kind="ok", text=f"'{job['name']}' is made"))


@routes.post("/jobs/preview", dependencies=[needs(Role.EDITOR)])
def preview_new(view: TheView, form: TheForm) -> Response:
    return _preview(view, None, read_draft(form))


# ------------------------------------------------------------------ one that is there


@routes.get("/jobs/{name}/edit", dependencies=[needs(Role.EDITOR, job="name")])
def edit(view: TheView, name: str) -> Response:
    job = view.fleet.show_job(name)
    definition = without_switch(job["definition"])
    return _page(view, job, draft_of(definition, as_text=view.query("as") == "text"))


@routes.post("/jobs/{name}/edit", dependencies=[needs(Role.EDITOR, job="name")])
def change(view: TheView, form: TheForm, name: str) -> Response:
    """What its buttons ask for: another look at the draft, what it changes, or saving it."""
    draft, do = read_draft(form), form.one("do", "review")
    try:
        job = view.fleet.show_job(name)
    except NotFound:
        return _gone(view, draft, form, name)
    doing = {"review": _review, "save": _save}.get(do)
    if doing is None or draft.definition is None:
        return _turned(view, job, draft, form, do)
    return doing(view, job, draft, draft.definition, form)


def _gone(view: View, draft: Draft, form: Form, name: str) -> Response:
    """The job was deleted or renamed meanwhile: what was written could be another one."""
    error = Conflict(
        f"there is no job '{name[:120]}' any more: it was deleted or renamed meanwhile",
        code="no_such_job",
        hint="what you wrote is here; it can be made a new job",
    )
    return _page(view, None, draft, error=error, form=form)


def _review(view: View, job: Job, draft: Draft, definition: Job, form: Form) -> Response:
    version = _version(form, job)
    told = view.fleet.preview_job(definition, job["id"])
    if told["errors"]:
        return _page(view, job, draft, form=form, status=422)
    if version != job["version"]:
        return _conflict(view, job, definition, version)
    return show(
        view,
        "job_review.html",
        job=job,
        here=address_of(job),
        draft=draft,
        told=told,
        lines=diff(_present(job, told["definition"]), told["definition"]),
        version=version,
    )


def _save(view: View, job: Job, draft: Draft, definition: Job, form: Form) -> Response:
    version = _version(form, job)
    try:
        saved = view.fleet.edit_job(job["id"], definition, version, view.actor)
    except (InvalidInput, Conflict) as error:
        if error.code == STALE:
            return _conflict(view, view.fleet.show_job(job["id"]), definition, version)
        return _page(view, job, draft, error=error, form=form)
    said = f"'{saved['name']}' is saved as version {saved['version']}"
    return go(view, address_of(saved), Said(kind="ok", text=said))


@routes.post("/jobs/{name}/preview", dependencies=[needs(Role.EDITOR, job="name")])
def preview(view: TheView, form: TheForm, name: str) -> Response:
    return _preview(view, view.fleet.show_job(name), read_draft(form))


def _version(form: Form, job: Job) -> int:
    """The version that was looked at when editing began."""
    told = form.one("version")
    return int(told) if told.isascii() and told.isdecimal() and len(told) < 10 else job["version"]


def _turned(view: View, job: Job | None, draft: Draft, form: Form, do: str) -> Response:
    """The same draft again: previewed, or as a form where it was text and the other way round."""
    if draft.definition is not None and do in {"form", "text"}:
        draft = draft_of(draft.definition, as_text=do == "text")
    return _page(view, job, draft, form=form, status=422 if draft.fault else 200)


# ------------------------------------------------------------------ pages


def _page(
    view: View,
    job: Job | None,
    draft: Draft,
    *,
    error: CronherdError | None = None,
    form: Form | None = None,
    status: int = 200,
) -> Response:
    """The form with its preview. Faults stand beside their fields once somebody has written."""
    told, faults = _told(view, job, draft)
    if form is None and job is None:
        faults = {}
    if error is not None:
        status = 422 if isinstance(error, InvalidInput) else 409
        if not faults:
            faults = {REST: [{"text": sentence_of(error), "hint": ""}]}
    return show(
        view,
        "job_edit.html",
        status,
        job=job,
        here=address_of(job) if job else "",
        draft=draft,
        fields=FIELDS,
        told=told,
        faults=faults,
        lines=_lines(job, told),
        alone=False,
        version=_version(form, job) if form and job else job["version"] if job else 0,
        disabled=form is not None and form.one("disabled") == "yes",
        fresh=form is None,
        zones=_zones(view),
    )


def _preview(view: View, job: Job | None, draft: Draft) -> Response:
    told, faults = _told(view, job, draft)
    return show(
        view, "job_preview.html", job=job, draft=draft, fields=FIELDS, told=told, faults=faults,
        alone=True,
        lines=_lines(job, told),
    )  # fmt: skip


def _told(view: View, job: Job | None, draft: Draft) -> tuple[dict[str, Any] | None, Faults]:
    """What a draft means, and its faults by field."""
    fields = () if draft.as_text else KEYS
    if draft.definition is None:
        fault = draft.fault
        assert fault is not None
        where = {"where": fault.where, "text": fault.text, "hint": fault.hint}
        return None, by_field([where], fields)
    told = view.fleet.preview_job(draft.definition, job["id"] if job else None)
    return told, by_field(told["errors"], fields)


def _lines(job: Job | None, told: dict[str, Any] | None) -> list[dict[str, str]] | None:
    """What would change, for a job that is there; None where that cannot be told."""
    if job is None or told is None or told["definition"] is None:
        return None
    return diff(_present(job, told["definition"]), told["definition"])


def _present(job: Job, new: Job) -> Job:
    """What a new definition is compared with: the switch counts only where that names it."""
    old = without_switch(job["definition"])
    return {**old, "enabled": job["enabled"]} if "enabled" in new else old


def _zones(view: View) -> list[str]:
    """Some time zones to choose from: who looks' own first."""
    usual = ("UTC", "Europe/Berlin", "Europe/London", "America/New_York", "Asia/Tokyo")
    return list(dict.fromkeys([view.zone.key, *usual]))


def _conflict(view: View, job: Job, mine: Job, version: int) -> Response:
    """Somebody else saved first: what each of the two has changed, and how to go on."""
    theirs = without_switch(job["definition"])
    told = view.fleet.list_versions(job["id"], limit=VERSIONS_READ)["items"]
    base = next((each["definition"] for each in told if each["number"] == version), theirs)
    last = next((each for each in told if each["number"] == job["version"]), None)
    canonical = view.fleet.preview_job(mine, job["id"])["definition"] or mine
    own = without_switch(canonical)
    both = [key for key in changed_keys(base, own) if key in changed_keys(base, theirs)]
    clash = [key for key in both if own.get(key) != theirs.get(key)]
    merged = merge(base, theirs, own)
    return show(
        view,
        "job_conflict.html",
        409,
        job=job,
        here=address_of(job),
        version=version,
        last=last,
        their_lines=diff(base, theirs),
        my_lines=diff(base, own),
        clash=clash,
        mine=draft_of(own, as_text=True),
        merged=draft_of(merged, as_text=True),
        merged_lines=diff(theirs, merged),
    )
