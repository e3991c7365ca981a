"""/locks: locks of the fleet, for what is outside cronherd."""

from typing import Any

from fastapi import APIRouter

from cronherd.api.base import Actor, Answer, TheFleet, needs, takes
from cronherd.api.body import Mapping, member, only
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid
from cronherd.domain.lock import HOLDER_LENGTH, TOKEN

routes = APIRouter(tags=["locks"])

_HOUR = "1h"
_TOKEN = {"type": "string", "pattern": f"^{TOKEN.pattern}$", "description": "Drawn by who asks"}
_EXPIRES = {"type": ["string", "number"], "default": _HOUR}
_TAKES_HOLD = takes(
    {
        "token": _TOKEN,
        "holder": {"type": "string", "minLength": 1, "maxLength": HOLDER_LENGTH},
        "shared": {"type": "boolean", "default": False},
        "expires": _EXPIRES,
    },
    "token",
    "holder",
)
_TAKES_RENEWAL = takes({"token": _TOKEN, "expires": _EXPIRES}, "token")
_TAKES_RELEASE = takes({"token": _TOKEN, "gap": {**_EXPIRES, "default": 0}}, "token")


@routes.get(
    "/locks",
    summary="List the locks that are held, by name",
    dependencies=[needs(Role.VIEWER)],
    operation_id="list_locks",
)
def list_locks(fleet: TheFleet) -> Answer:
    return Answer(fleet.list_locks())


@routes.post(
    "/locks/{name}/acquire",
    summary="Take a lock unless somebody is in the way",
    dependencies=[needs(Role.OPERATOR)],
    operation_id="acquire_lock",
    openapi_extra=_TAKES_HOLD,
)
def acquire_lock(fleet: TheFleet, name: str, body: Mapping) -> Answer:
    only(body, "token", "holder", "shared", "expires")
    token, holder = member(body, "token", str, ""), member(body, "holder", str, "")
    shared, expires = member(body, "shared", bool, default=False), _duration(body, "expires", _HOUR)
    return Answer(fleet.acquire_lock(name, token, holder, shared=shared, expires=expires))


@routes.post(
    "/locks/{name}/renew",
    summary="Hold a lock for longer",
    dependencies=[needs(Role.OPERATOR)],
    operation_id="renew_lock",
    openapi_extra=_TAKES_RENEWAL,
)
def renew_lock(fleet: TheFleet, name: str, body: Mapping) -> Answer:
    only(body, "token", "expires")
    token, expires = member(body, "token", str, ""), _duration(body, "expires", _HOUR)
    return Answer(fleet.renew_lock(name, token, expires=expires))


@routes.post(
    "/locks/{name}/release",
    summary="Give a lock back",
    dependencies=[needs(Role.OPERATOR)],
    operation_id="release_lock",
    openapi_extra=_TAKES_RELEASE,
)
def release_lock(fleet: TheFleet, name: str, body: Mapping) -> Answer:
    only(body, "token", "gap")
    token, gap = member(body, "token", str, ""), _duration(body, "gap", 0)
    return Answer(fleet.release_lock(name, token, gap=gap))


@routes.delete(
    "/locks/{name}",
    summary="Take a lock from whoever holds it",
    dependencies=[needs(Role.OPERATOR)],
    operation_id="clear_lock",
)
def clear_lock(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.clear_lock(name, actor))


def _duration(body: dict[str, Any], key: str, default: str | float) -> str | float:
    value = body.get(key, default)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    raise Invalid("must be a duration", hint="write 90s, 1h, or a number of seconds", where=key)
