"""Pools: permits that runs of any job share, who holds them and who waits for some."""

from typing import Any
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.waiting import WaitsFor
from cronherd.pages.base import TheView, act, show
from cronherd.pages.forms import Form, TheForm
from cronherd.pages.view import View
from cronherd.pages.words import say_plural

routes = APIRouter()

NO_NUMBER = -1  # is refused as every number is that no pool can have
LOOKED_AT = 200  # waiting runs of the fleet, among which those of one pool are looked for


def address_of(name: str) -> str:
    """The page of a pool."""
    return f"/pools/{quote(name, safe='')}"


@routes.get("/pools", dependencies=[needs(Role.VIEWER)])
def pools(view: TheView) -> Response:
    items = view.fleet.list_pools()["items"]
    return show(view, "pools.html", items=items, waiting=sum(pool["waiting"] for pool in items))


@routes.get("/pools/{name}", dependencies=[needs(Role.VIEWER)])
def show_pool(view: TheView, name: str) -> Response:
    pool = view.fleet.show_pool(name)
    return show(
        view,
        "pool.html",
        pool=pool,
        here=address_of(pool["name"]),
        waiters=_waiters(view, pool["name"]) if pool["waiting"] else [],
    )


def _waiters(view: View, name: str) -> list[dict[str, Any]]:
    """The runs that stand in front of this pool, as far as one look at the waiting ones tells."""
    found = view.fleet.list_runs(q="state:waiting", limit=LOOKED_AT)["items"]
    wanted = {"kind": WaitsFor.POOL.value, "name": name}
    return [run for run in found if wanted.items() <= (run["waits_for"] or {}).items()]


@routes.post("/pools", dependencies=[needs(Role.OPERATOR)])
def make_pool(view: TheView, form: TheForm) -> Response:
    fields = ("name", "permits")
    return act(view, form, "/pools", lambda: _set(view, form, form.one("name").strip()), fields)


@routes.post("/pools/{name}", dependencies=[needs(Role.OPERATOR)])
def set_pool(view: TheView, form: TheForm, name: str) -> Response:
    return act(view, form, address_of(name), lambda: _set(view, form, name))


def _set(view: View, form: Form, name: str) -> str:
    text = form.one("permits").strip()
    number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else NO_NUMBER
    pool = view.fleet.set_pool(name, number, view.actor)
    if not pool["permits"]:
        return f"The pool '{pool['name']}' is closed: nothing gets a permit of it"
    return f"The pool '{pool['name']}' has {say_plural(pool['permits'], 'permit')}"


@routes.post("/pools/{name}/remove", dependencies=[needs(Role.EDITOR)])
def remove_pool(view: TheView, form: TheForm, name: str) -> Response:
    def doing() -> str:
        return f"The pool '{view.fleet.remove_pool(name, view.actor)['removed']}' is removed"

    return act(view, form, "/pools", doing)
