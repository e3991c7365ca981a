"""/accounts, /links and /tokens: who may come in. A key is in the one answer that makes it."""

from http import HTTPStatus
from typing import Any

from fastapi import APIRouter

from cronherd.api.base import Actor, Answer, TheFleet, needs, takes
from cronherd.api.body import Mapping, member, only, required
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid

routes = APIRouter(tags=["accounts"])

_ADMIN = [needs(Role.ADMIN)]
_ROLE = {"type": "string", "enum": [role.value for role in Role]}
_TEXT = {"type": "string"}
_TAKES_ACCOUNT = takes({"name": _TEXT, "role": _ROLE, "password": _TEXT}, "name", "role")
_TAKES_TOKEN = takes(
    {
        "name": _TEXT,
        "role": _ROLE,
        "expires": {"type": ["string", "number", "null"]},
        "jobs": {"type": "array", "items": _TEXT},
    },
    "name",
    "role",
)


@routes.get(
    "/accounts", summary="List accounts by name", dependencies=_ADMIN, operation_id="list_accounts"
)
def list_accounts(fleet: TheFleet) -> Answer:
    return Answer(fleet.list_accounts())


@routes.post(
    "/accounts",
    summary="Make an account",
    description="Without a password the answer has a link by which its owner sets one.",
    dependencies=_ADMIN,
    operation_id="add_account",
    openapi_extra=_TAKES_ACCOUNT,
    status_code=HTTPStatus.CREATED,
)
def add_account(fleet: TheFleet, actor: Actor, body: Mapping) -> Answer:
    only(body, "name", "role", "password")
    name, role = required(body, "name"), required(body, "role")
    password = None if body.get("password") is None else member(body, "password", str, "")
    made = fleet.add_account(name, role, actor, password=password)
    return Answer(made, HTTPStatus.CREATED)


@routes.delete(
    "/accounts/{name}",
    summary="Remove an account, its sessions and its tokens",
    dependencies=_ADMIN,
    operation_id="remove_account",
)
def remove_account(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.remove_account(name, actor))


@routes.post(
    "/accounts/{name}/role",
    summary="Give an account another role",
    dependencies=_ADMIN,
    operation_id="set_role",
    openapi_extra=takes({"role": _ROLE}, "role"),
)
def set_role(fleet: TheFleet, actor: Actor, name: str, body: Mapping) -> Answer:
    only(body, "role")
    return Answer(fleet.set_role(name, required(body, "role"), actor))


@routes.post(
    "/accounts/{name}/enable",
    summary="Enable an account",
    dependencies=_ADMIN,
    operation_id="enable_account",
)
def enable_account(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.set_account_enabled(name, actor, enabled=True))


@routes.post(
    "/accounts/{name}/disable",
    summary="Disable an account: its sessions end, its tokens open nothing",
    dependencies=_ADMIN,
    operation_id="disable_account",
)
def disable_account(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.set_account_enabled(name, actor, enabled=False))


@routes.post(
    "/accounts/{name}/password",
    summary="Set the password of an account: its sessions end, its tokens are void",
    dependencies=_ADMIN,
    operation_id="set_password",
    openapi_extra=takes({"password": _TEXT}, "password"),
)
def set_password(fleet: TheFleet, actor: Actor, name: str, body: Mapping) -> Answer:
    only(body, "password")
    return Answer(fleet.set_password(name, required(body, "password"), actor))


@routes.get(
    "/accounts/{name}/sessions",
    summary="Where an account is logged in",
    dependencies=_ADMIN,
    operation_id="list_account_sessions",
)
def list_account_sessions(fleet: TheFleet, name: str) -> Answer:
    return Answer(fleet.list_sessions(name))


@routes.delete(
    "/accounts/{name}/sessions",
    summary="Log an account out everywhere",
    dependencies=_ADMIN,
    operation_id="end_sessions",
)
def end_sessions(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.end_sessions(name, actor))


@routes.get(
    "/sessions", summary="Who is logged in", dependencies=_ADMIN, operation_id="list_sessions"
)
def list_sessions(fleet: TheFleet) -> Answer:
    return Answer(fleet.list_sessions())


@routes.post(
    "/links",
    summary="Make a link by which an account gets a password, once and within an hour",
    description="Without an account: for the first admin, while there is none.",
    dependencies=_ADMIN,
    operation_id="make_link",
    openapi_extra=takes({"account": {"type": ["string", "null"]}}),
    status_code=HTTPStatus.CREATED,
)
def make_link(fleet: TheFleet, actor: Actor, body: Mapping) -> Answer:
    only(body, "account")
    name = None if body.get("account") is None else member(body, "account", str, "")
    return Answer(fleet.make_link(name, actor), HTTPStatus.CREATED)


@routes.get(
    "/tokens",
    summary="List tokens by name, without themselves",
    dependencies=_ADMIN,
    operation_id="list_tokens",
)
def list_tokens(fleet: TheFleet) -> Answer:
    return Answer(fleet.list_tokens())


@routes.post(
    "/tokens",
    summary="Make a token for a program",
    description="`token` is in this answer and never again. With `jobs`, names in which * stands "
    "for any characters, or `tag:` and a tag, it is told of these jobs and their runs only.",
    dependencies=_ADMIN,
    operation_id="create_token",
    openapi_extra=_TAKES_TOKEN,
    status_code=HTTPStatus.CREATED,
)
def create_token(fleet: TheFleet, actor: Actor, body: Mapping) -> Answer:
    only(body, "name", "role", "expires", "jobs")
    name, role = required(body, "name"), required(body, "role")
    jobs: list[Any] = member(body, "jobs", list, [])
    if not all(isinstance(one, str) for one in jobs):
        raise Invalid("must be a list of texts", where="jobs")
    expires = body.get("expires")
    if isinstance(expires, bool) or not (expires is None or isinstance(expires, str | int | float)):
        raise Invalid("must be text or a number of seconds", where="expires")
    made = fleet.create_token(name, role, actor, expires=expires, jobs=jobs)
    return Answer(made, HTTPStatus.CREATED)


@routes.delete(
    "/tokens/{name}", summary="Revoke a token", dependencies=_ADMIN, operation_id="revoke_token"
)
def revoke_token(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.revoke_token(name, actor))
