"""/alerts: the outbox of mail, webhooks and pings."""

from typing import Annotated

from fastapi import APIRouter, Query

from cronherd.api.base import Actor, Answer, Cursor, Limit, TheFleet, needs, takes
from cronherd.api.body import Mapping, member, only
from cronherd.domain.access import Role
from cronherd.domain.alert import ChannelName

routes = APIRouter(tags=["alerts"])

_TAKES_TEST = takes(
    {
        "channel": {"type": "string", "enum": [name.value for name in ChannelName]},
        "target": {"type": "string", "description": "An address, or a URL"},
    },
    "channel",
    "target",
)
_STATE = "Only those of this state: waiting, sent or failed"


@routes.get(
    "/alerts",
    summary="List messages, newest first",
    dependencies=[needs(Role.OPERATOR)],
    operation_id="list_alerts",
)
def list_alerts(
    fleet: TheFleet,
    state: Annotated[str | None, Query(description=_STATE)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Answer:
    return Answer(fleet.list_alerts(state, limit, cursor=cursor))


@routes.post(
    "/alerts/test",
    summary="Send a message that only says that it arrives",
    dependencies=[needs(Role.ADMIN)],
    operation_id="send_test",
    openapi_extra=_TAKES_TEST,
)
def send_test(fleet: TheFleet, actor: Actor, body: Mapping) -> Answer:
    only(body, "channel", "target")
    channel, target = member(body, "channel", str, ""), member(body, "target", str, "")
    return Answer(fleet.send_test(channel, target, actor))


@routes.post(
    "/alerts/retry",
    summary="Send again what was given up or waits for its next try",
    dependencies=[needs(Role.OPERATOR)],
    operation_id="retry_alerts",
)
def retry_alerts(fleet: TheFleet, actor: Actor) -> Answer:
    return Answer(fleet.retry_alerts(actor))
