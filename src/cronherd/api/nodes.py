"""/nodes: the hosts of the fleet."""

from fastapi import APIRouter

from cronherd.api.base import Answer, TheFleet

routes = APIRouter(tags=["nodes"])


@routes.get("/nodes", summary="List nodes by name", operation_id="list_nodes")
def list_nodes(fleet: TheFleet) -> Answer:
    return Answer(fleet.list_nodes())
