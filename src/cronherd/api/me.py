"""/me and /login: oneself, for programs; people have the pages."""

from http import HTTPStatus

from fastapi import APIRouter
from starlette.requests import Request

from cronherd.accountviews import token_view
from cronherd.api.access import Origin, TheEntrance, session_key
from cronherd.api.base import Answer, TheCaller, needs, open_to_all, takes
from cronherd.api.body import Mapping, member, only, required
from cronherd.api.line import KEY, LOCAL
from cronherd.domain.access import Role
from cronherd.views import API_VERSION

routes = APIRouter(tags=["accounts"])

_TEXT = {"type": "string"}
_OWN = [needs(Role.VIEWER, own=True)]


@routes.get("/me", summary="Who asks, and what they may do", dependencies=_OWN, operation_id="me")
def me(caller: TheCaller) -> Answer:
    return Answer(
        {
            "api_version": API_VERSION,
            "actor": caller.actor,
            "account": caller.account,
            "role": caller.role.value,
            "way": caller.way.value,
            "jobs": None if caller.jobs is None else list(caller.jobs),
        }
    )


@routes.post(
    "/me/password",
    summary="Change one's own password",
    description="Every other session of the account ends, its tokens are void.",
    dependencies=_OWN,
    operation_id="change_password",
    openapi_extra=takes({"old": _TEXT, "new": _TEXT}, "old", "new"),
)
def change_password(
    request: Request, caller: TheCaller, entrance: TheEntrance, origin: Origin, body: Mapping
) -> Answer:
    only(body, "old", "new")
    old, new = required(body, "old"), required(body, "new")
    key = session_key(request) if caller.session else None
    entrance.change_password(caller, old, new, origin, key=key)
    return Answer({"api_version": API_VERSION, "account": caller.account})


@routes.post(
    "/login",
    summary="Get a token for a name and a password",
    description="It lives ninety days, has the role of the account, and ends with its password. "
    "`label` names it; an earlier one of the same account and label is revoked.",
    dependencies=[open_to_all()],
    operation_id="login",
    openapi_extra=takes({"name": _TEXT, "password": _TEXT, "label": _TEXT}, "name", "password"),
    status_code=HTTPStatus.CREATED,
)
def login(entrance: TheEntrance, origin: Origin, body: Mapping) -> Answer:
    only(body, "name", "password", "label")
    name, password = required(body, "name"), required(body, "password")
    label = member(body, "label", str, name)
    token, key = entrance.login_token(name, password, label, origin)
    made = {"api_version": API_VERSION, **token_view(token), "token": key}
    return Answer(made, HTTPStatus.CREATED)


@routes.post(
    "/logout",
    summary="Revoke the token this is sent with",
    dependencies=_OWN,
    operation_id="logout",
)
def logout(request: Request, caller: TheCaller, entrance: TheEntrance) -> Answer:
    if request.scope.get(KEY) != LOCAL:
        entrance.revoke_own(caller)
    return Answer({"api_version": API_VERSION, "revoked": caller.token})
