"""What belongs to no page: static files, the look, going anywhere, searching."""

from contextlib import suppress
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from cronherd.api.base import by_tls, needs, open_to_all
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import load_zone
from cronherd.domain.search import Search
from cronherd.pages.assets import assets
from cronherd.pages.base import NAV, TheView, act, show
from cronherd.pages.forms import TheForm
from cronherd.pages.view import CHOSEN_ZONE_COOKIE, THEME_COOKIE, THEMES, View

routes = APIRouter()

YEAR_S = 31_536_000
FOUND = 8  # jobs in the palette
LOOKED_AT = 500  # jobs that match by whatever of theirs, among which names are looked for
_BELOW = (("/locks", "Locks", "lock", ""),)  # pages that the palette knows and the frame does not


@routes.get("/static/{mark}/{name:path}", dependencies=[open_to_all()])
def static(request: Request, mark: str, name: str) -> Response:
    return assets().answer(request, mark, name)


@routes.get("/favicon.ico", dependencies=[open_to_all()])
def favicon() -> Response:
    return RedirectResponse(assets().url("icon.svg"), 308)


@routes.post("/prefs/theme", dependencies=[needs(Role.VIEWER)])
def choose_theme(view: TheView, form: TheForm) -> Response:
    theme = form.one("theme")
    answer = RedirectResponse(form.back("/"), 303)
    if theme in THEMES:
        _remember(view, answer, THEME_COOKIE, theme)
    return answer


@routes.post("/prefs/zone", dependencies=[needs(Role.VIEWER)])
def choose_zone(view: TheView, form: TheForm) -> Response:
    """A zone for all times on the pages; empty: the browser's."""
    name = form.one("zone").strip()

    def check() -> str:
        if name:
            load_zone(name)
        return f"Times are shown in {name}" if name else "Times are shown in the browser's zone"

    answer = act(view, form, "/settings", check)
    with suppress(Invalid):
        _remember(view, answer, CHOSEN_ZONE_COOKIE, load_zone(name).key if name else "")
    return answer


def _remember(view: View, answer: Response, name: str, value: str) -> None:
    secure = by_tls(view.request)
    answer.set_cookie(name, value, max_age=YEAR_S, httponly=True, samesite="lax", secure=secure)


@routes.get("/search", dependencies=[needs(Role.VIEWER)])
def search(view: TheView) -> Response:
    words = view.query("q").strip()
    return RedirectResponse(f"/jobs?{urlencode({'q': words})}" if words else "/jobs", 303)


@routes.get("/palette", dependencies=[needs(Role.VIEWER)])
def palette(view: TheView) -> Response:
    words = view.query("q").strip()[:400]
    pages = [entry for entry in (*NAV, *_BELOW) if words.lower() in entry[1].lower()]
    return show(view, "palette.html", pages=pages, jobs=_named(view, words), words=words)


def _named(view: View, words: str) -> list[dict[str, Any]]:
    """The first jobs with this in their name, those that begin with it before the others."""
    if not words:
        return []
    quoted = str(Search(values={}, words=(words,)))
    found = view.fleet.list_jobs(None, LOOKED_AT, q=quoted)["items"]
    named = [job for job in found if words.casefold() in job["name"].casefold()]
    named.sort(key=lambda job: not job["name"].casefold().startswith(words.casefold()))
    return named[:FOUND]
