"""/nodes: the hosts of the fleet."""

from typing import Annotated

from fastapi import APIRouter, Query

from cronherd.api.base import Actor, Answer, Cursor, Limit, TheFleet, needs
from cronherd.domain.access import Role

routes = APIRouter(tags=["nodes"])

_DEAD = "You swear that nothing of it runs any more: its runs end as lost, or start again"


@routes.get(
    "/nodes",
    summary="List nodes by name",
    dependencies=[needs(Role.VIEWER)],
    operation_id="list_nodes",
)
def list_nodes(fleet: TheFleet, limit: Limit = 1000, cursor: Cursor = None) -> Answer:
    return Answer(fleet.list_nodes(limit, cursor=cursor))


@routes.post(
    "/nodes/{name}/drain",
    summary="Let a node end what it runs and start nothing more",
    dependencies=[needs(Role.ADMIN)],
    operation_id="drain_node",
)
def drain_node(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.set_drained(name, actor, drained=True))


@routes.post(
    "/nodes/{name}/resume",
    summary="Let a drained node start runs",
    dependencies=[needs(Role.ADMIN)],
    operation_id="resume_node",
)
def resume_node(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.set_drained(name, actor, drained=False))


@routes.delete(
    "/nodes/{name}",
    summary="Forget a node that is not alive",
    dependencies=[needs(Role.ADMIN)],
    operation_id="remove_node",
)
def remove_node(
    *,
    fleet: TheFleet,
    actor: Actor,
    name: str,
    confirm_dead: Annotated[bool, Query(description=_DEAD)] = False,
) -> Answer:
    return Answer(fleet.remove_node(name, actor, confirm_dead=confirm_dead))
