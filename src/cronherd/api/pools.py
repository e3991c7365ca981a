"""/pools: permits that runs of any job share."""

from fastapi import APIRouter

from cronherd.api.base import Actor, Answer, TheFleet, needs, takes
from cronherd.api.body import Mapping, member, only
from cronherd.domain.access import Role

routes = APIRouter(tags=["pools"])

_TAKES_PERMITS = takes({"permits": {"type": "integer", "minimum": 0}}, "permits")


@routes.get(
    "/pools",
    summary="List pools by name, with what is held and who waits",
    dependencies=[needs(Role.VIEWER)],
    operation_id="list_pools",
)
def list_pools(fleet: TheFleet) -> Answer:
    return Answer(fleet.list_pools())


@routes.get(
    "/pools/{name}",
    summary="One pool, the runs that hold it and the jobs that ask for it",
    dependencies=[needs(Role.VIEWER)],
    operation_id="show_pool",
)
def show_pool(fleet: TheFleet, name: str) -> Answer:
    return Answer(fleet.show_pool(name))


@routes.put(
    "/pools/{name}",
    summary="Make a pool, or change how many permits it has",
    dependencies=[needs(Role.OPERATOR)],
    operation_id="set_pool",
    openapi_extra=_TAKES_PERMITS,
)
def set_pool(fleet: TheFleet, actor: Actor, name: str, body: Mapping) -> Answer:
    only(body, "permits")
    return Answer(fleet.set_pool(name, member(body, "permits", int, -1), actor))


@routes.delete(
    "/pools/{name}",
    summary="Forget a pool that nobody uses",
    dependencies=[needs(Role.EDITOR)],
    operation_id="remove_pool",
)
def remove_pool(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.remove_pool(name, actor))
