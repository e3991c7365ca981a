"""/secrets: values go in and never come out."""

from typing import Annotated

from fastapi import APIRouter, Query

from cronherd.api.base import Actor, Answer, Cursor, Limit, TheFleet, needs, takes
from cronherd.api.body import Mapping, member, only
from cronherd.domain.access import Role
from cronherd.domain.secret import VALUE_BYTES

routes = APIRouter(tags=["secrets"])

_TAKES_VALUE = takes(
    {"value": {"type": "string", "minLength": 1, "maxLength": VALUE_BYTES}}, "value"
)
_FORCE = "Also while jobs use it: their runs are not started then"


@routes.get(
    "/secrets",
    summary="List secrets by name, without values",
    dependencies=[needs(Role.EDITOR)],
    operation_id="list_secrets",
)
def list_secrets(fleet: TheFleet, limit: Limit = 1000, cursor: Cursor = None) -> Answer:
    return Answer(fleet.list_secrets(limit, cursor=cursor))


@routes.put(
    "/secrets/{name}",
    summary="Make a secret, or replace its value",
    dependencies=[needs(Role.ADMIN)],
    operation_id="set_secret",
    openapi_extra=_TAKES_VALUE,
)
def set_secret(fleet: TheFleet, actor: Actor, name: str, body: Mapping) -> Answer:
    only(body, "value")
    return Answer(fleet.set_secret(name, member(body, "value", str, ""), actor))


@routes.delete(
    "/secrets/{name}",
    summary="Forget a secret",
    dependencies=[needs(Role.ADMIN)],
    operation_id="remove_secret",
)
def remove_secret(
    *,
    fleet: TheFleet,
    actor: Actor,
    name: str,
    force: Annotated[bool, Query(description=_FORCE)] = False,
) -> Answer:
    return Answer(fleet.remove_secret(name, actor, force=force))


@routes.post(
    "/secrets/reseal",
    summary="Seal all secrets by the first key of the file",
    dependencies=[needs(Role.ADMIN)],
    operation_id="reseal_secrets",
)
def reseal_secrets(fleet: TheFleet, actor: Actor) -> Answer:
    return Answer(fleet.reseal_secrets(actor))
