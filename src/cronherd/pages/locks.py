"""Locks of the fleet: who holds which, until when, and taking one from a holder that is stuck."""

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.pages.base import TheView, act, show
from cronherd.pages.forms import TheForm

routes = APIRouter()

NOBODY = "somebody who shared it"


@routes.get("/locks", dependencies=[needs(Role.VIEWER)])
def locks(view: TheView) -> Response:
    """All that are held; with `name` only that one, which nobody may hold."""
    items = view.fleet.list_locks()["items"]
    name = view.query("name")
    shown = [hold for hold in items if hold["name"] == name] if name else items
    return show(view, "locks.html", items=shown, name=name)


@routes.post("/locks/{name}/clear", dependencies=[needs(Role.OPERATOR)])
def clear_lock(view: TheView, form: TheForm, name: str) -> Response:
    def doing() -> str:
        told = view.fleet.clear_lock(name, view.actor)
        by = ", ".join(hold["holder"] or NOBODY for hold in told["holders"])
        return f"The lock '{told['cleared']}' is cleared" + (f"; it was held by {by}" if by else "")

    return act(view, form, "/locks", doing)
