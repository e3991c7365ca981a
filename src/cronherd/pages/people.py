"""Accounts, tokens and sessions: who may come in, and as what."""

from collections.abc import Callable, Sequence
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import MAY, Role
from cronherd.domain.errors import CronherdError
from cronherd.pages.base import TheView, act, refuse
from cronherd.pages.forms import Form, TheForm
from cronherd.pages.settings import show_tab
from cronherd.pages.view import View
from cronherd.pages.words import say_plural

routes = APIRouter()

PEOPLE = "/settings/people"
TOKENS = "/settings/tokens"


@routes.get(PEOPLE, dependencies=[needs(Role.ADMIN)])
def people(view: TheView) -> Response:
    return show_tab(
        view,
        "people.html",
        items=view.fleet.list_accounts()["items"],
        sessions=view.fleet.list_sessions()["items"],
        roles=MAY,
    )


@routes.get(TOKENS, dependencies=[needs(Role.ADMIN)])
def tokens(view: TheView) -> Response:
    return show_tab(view, "tokens.html", items=view.fleet.list_tokens()["items"], roles=MAY)


def _once(
    view: View,
    form: Form,
    back: str,
    making: Callable[[], dict[str, Any]],
    fields: Sequence[str] = (),
) -> Response:
    """What is shown in this answer and never again: it goes through no address and no cookie."""
    try:
        made = making()
    except CronherdError as error:
        return refuse(view, form, back, fields, error)
    return show_tab(view, "once.html", made=made, back=back)


@routes.post(PEOPLE, dependencies=[needs(Role.ADMIN)])
def add_account(view: TheView, form: TheForm) -> Response:
    def making() -> dict[str, Any]:
        made = view.fleet.add_account(form.one("name").strip(), form.one("role"), view.actor)
        return {"title": f"{made['name']} may come in", "what": "link", **made["link"]}

    return _once(view, form, PEOPLE, making, ("name", "role"))


@routes.post("/settings/people/{name}/link", dependencies=[needs(Role.ADMIN)])
def new_link(view: TheView, form: TheForm, name: str) -> Response:
    def making() -> dict[str, Any]:
        made = view.fleet.make_link(name, view.actor)
        return {"title": f"A new password for {name}", "what": "link", **made["link"]}

    return _once(view, form, PEOPLE, making)


@routes.post(TOKENS, dependencies=[needs(Role.ADMIN)])
def create_token(view: TheView, form: TheForm) -> Response:
    def making() -> dict[str, Any]:
        made = view.fleet.create_token(
            form.one("name").strip(),
            form.one("role"),
            view.actor,
            expires=form.one("expires").strip() or None,
            jobs=form.one("jobs").split(),
        )
        return {"title": f"The token {made['name']}", "what": "token", **made}

    return _once(view, form, TOKENS, making, ("name", "role", "expires", "jobs"))


def _change(view: View, form: Form, name: str, word: str) -> str:
    if word == "role":
        told = view.fleet.set_role(name, form.one("role"), view.actor)
        return f"{told['name']} has the role {told['role']}"
    if word == "enable":
        return (
            f"{view.fleet.set_account_enabled(name, view.actor, enabled=True)['name']} may come in"
        )
    if word == "disable":
        told = view.fleet.set_account_enabled(name, view.actor, enabled=False)
        return f"{told['name']} is disabled; all sessions have ended"
    if word == "leave":
        ended = view.fleet.end_sessions(name, view.actor)["ended"]
        return f"{name} was logged out: {say_plural(ended, 'session')} ended"
    return f"{view.fleet.remove_account(name, view.actor)['removed']} is removed"


def _changes(word: str) -> Callable[..., Response]:
    def change(view: TheView, form: TheForm, name: str) -> Response:
        return act(view, form, PEOPLE, lambda: _change(view, form, name, word))

    return change


for _word in ("role", "enable", "disable", "leave", "remove"):
    routes.post(f"/settings/people/{{name}}/{_word}", dependencies=[needs(Role.ADMIN)])(
        _changes(_word)
    )


@routes.post("/settings/tokens/{name}/revoke", dependencies=[needs(Role.ADMIN)])
def revoke_token(view: TheView, form: TheForm, name: str) -> Response:
    return act(
        view,
        form,
        TOKENS,
        lambda: f"The token {view.fleet.revoke_token(name, view.actor)['revoked']} opens nothing",
    )
