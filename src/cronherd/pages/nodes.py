"""Nodes: the hosts of the fleet, their load, and what keeps them from starting runs."""

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid
from cronherd.pages.base import TheView, act, show
from cronherd.pages.forms import TheForm
from cronherd.pages.words import say_plural

routes = APIRouter()


@routes.get("/nodes", dependencies=[needs(Role.VIEWER)])
def nodes(view: TheView) -> Response:
    found = view.fleet.list_nodes()
    items = found["items"]
    versions = {node["version"] for node in items if node["alive"]}
    return show(
        view,
        "nodes.html",
        items=items,
        hold=found["hold"],
        alive=sum(node["alive"] for node in items),
        live=sum(node["live_runs"] for node in items),
        room=sum(node["capacity"] for node in items if node["alive"]),
        mixed=len(versions) > 1,
    )


@routes.post("/nodes/{name}/drain", dependencies=[needs(Role.ADMIN)])
def drain(view: TheView, form: TheForm, name: str) -> Response:
    def doing() -> str:
        node = view.fleet.set_drained(name, view.actor, drained=True)
        left = say_plural(node["live_runs"], "run")
        return f"'{node['name']}' is drained: it ends {left} and starts nothing more"

    return act(view, form, "/nodes", doing)


@routes.post("/nodes/{name}/resume", dependencies=[needs(Role.ADMIN)])
def resume(view: TheView, form: TheForm, name: str) -> Response:
    def doing() -> str:
        node = view.fleet.set_drained(name, view.actor, drained=False)
        return f"'{node['name']}' starts runs again"

    return act(view, form, "/nodes", doing)


@routes.get("/nodes/{name}/remove", dependencies=[needs(Role.ADMIN)])
def ask_remove(view: TheView, name: str) -> Response:
    found = [node for node in view.fleet.list_nodes()["items"] if node["name"] == name]
    if not found:
        raise Invalid(f"there is no node '{name[:120]}'", code="no_such_node")
    return show(view, "node_remove.html", node=found[0])


@routes.post("/nodes/{name}/remove", dependencies=[needs(Role.ADMIN)])
def remove(view: TheView, form: TheForm, name: str) -> Response:
    def doing() -> str:
        sure = form.one("confirm_dead") == "yes"
        told = view.fleet.remove_node(name, view.actor, confirm_dead=sure)
        lost, again = len(told["lost"]), len(told["started_again"])
        return (
            f"'{told['removed']}' was removed; {say_plural(lost, 'run')} lost, "
            f"{say_plural(again, 'run')} started again"
        )

    return act(view, form, "/nodes", doing)
