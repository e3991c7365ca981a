"""The versions of a job: who changed what and when, and the way back."""

from itertools import pairwise
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.errors import Conflict, CronherdError, NotFound
from cronherd.pages.base import TheView, go, sentence_of, show
from cronherd.pages.definitions import diff
from cronherd.pages.forms import TheForm
from cronherd.pages.job import address_of
from cronherd.pages.said import Said
from cronherd.pages.view import View

routes = APIRouter()

VERSIONS = 20  # on a page
VERSIONS_READ = 1_000
Version = dict[str, Any]


@routes.get("/jobs/{name}/changes", dependencies=[needs(Role.VIEWER, job="name")])
def changes(view: TheView, name: str) -> Response:
    """All versions, newest first; `from` and `to` compare any two of them."""
    job = view.fleet.show_job(name)
    before = _number(view.query("before"))
    found = view.fleet.list_versions(job["id"], before, VERSIONS + 1)
    items = found["items"]
    older = {one["number"]: each for one, each in pairwise(items)}
    shown = items[:VERSIONS]
    return show(
        view,
        "job_changes.html",
        job=job,
        here=address_of(job),
        items=[
            {
                **each,
                "lines": diff(older[each["number"]]["definition"], each["definition"])
                if each["number"] in older
                else None,
            }
            for each in shown
        ],
        compared=_compared(view, job),
        following=view.with_query(before=shown[-1]["number"]) if len(items) > VERSIONS else "",
        first=view.with_query(before="") if before else "",
        source=found["source"],
    )


def _compared(view: View, job: dict[str, Any]) -> dict[str, Any] | None:
    """Two versions that an address names; without `from` the one before."""
    to = _number(view.query("to"))
    if to is None:
        return None
    told = view.fleet.list_versions(job["id"], limit=VERSIONS_READ)["items"]
    start = _number(view.query("from")) or to - 1
    new, old = _find(told, to), _find(told, start)
    if new is None:
        raise NotFound(f"'{job['name']}' has no version {to}", code="no_such_version")
    return {
        "to": new,
        "from": old,
        "lines": diff(old["definition"] if old else None, new["definition"]),
    }


def _find(told: list[Version], number: int) -> Version | None:
    return next((each for each in told if each["number"] == number), None)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


@routes.get("/jobs/{name}/rollback", dependencies=[needs(Role.EDITOR, job="name")])
def ask_rollback(view: TheView, name: str) -> Response:
    """What going back would change, before it is done."""
    job = view.fleet.show_job(name)
    told = view.fleet.list_versions(job["id"], limit=VERSIONS_READ)["items"]
    wanted = _find(told, _number(view.query("to")) or 0)
    if wanted is None:
        raise NotFound(f"'{job['name']}' has no such version", code="no_such_version")
    now = _find(told, job["version"])
    return show(
        view,
        "job_rollback.html",
        job=job,
        here=address_of(job),
        wanted=wanted,
        lines=diff(now["definition"] if now else None, wanted["definition"]),
    )


@routes.post("/jobs/{name}/rollback", dependencies=[needs(Role.EDITOR, job="name")])
def rollback(view: TheView, form: TheForm, name: str) -> Response:
    job = view.fleet.show_job(name)
    to, version = _number(form.one("to")), _number(form.one("version"))
    back = f"{address_of(job)}/changes"
    try:
        saved = view.fleet.rollback_job(job["id"], to or 0, version, view.actor)
    except Conflict as error:
        hint = "" if error.code != "version_conflict" else ": look at the newest version first"
        return go(view, back, Said(kind="bad", text=f"{error.text}{hint}"))
    except CronherdError as error:
        return go(view, back, Said(kind="bad", text=sentence_of(error)))
    said = f"'{saved['name']}' is as it was in version {to}; this is version {saved['version']}"
    return go(view, f"{address_of(saved)}/changes", Said(kind="ok", text=said))
