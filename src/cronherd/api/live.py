"""/stream: what changes, as it changes."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cronherd.api.base import TheFleet, needs
from cronherd.api.hub import JOB, RUN, Hub
from cronherd.api.seat import Message, Seat
from cronherd.api.stream import EVENTS, Stream, place_of, spell_event
from cronherd.client import Fleet
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid
from cronherd.domain.job import name_key
from cronherd.domain.pulse import Watched

routes = APIRouter(tags=["fleet"])

TOPICS_MAX = 20
PLAIN = ("overview", "runs", "events")
MISSED = Message(kind="reload", content=b'{"reason":"missed"}')

_TOPIC = "`overview`, `runs`, `events`, `job:NAME` or `run:ID`; several times, one run at most"
_LAST = "The id of the last event that was read; EventSource sends it"


@routes.get(
    "/stream",
    summary="What changes, as server-sent events",
    description="`overview`, `events` and `job` tell the whole document again when it has changed, "
    "`runs` those runs that changed, `run` a run, `output` what it wrote, and `end` that it ended. "
    "`reload` says that something was missed: load what you show again. `problem`: the database "
    "does not answer; the stream goes on. It ends after ten minutes, to be opened again.",
    dependencies=[needs(Role.VIEWER)],
    operation_id="stream",
    responses={200: {"content": {EVENTS: {"schema": {"type": "string"}}}}},
)
async def stream(
    *,
    request: Request,
    fleet: TheFleet,
    topic: Annotated[list[str], Query(description=_TOPIC)],
    last_event_id: Annotated[str | None, Header(description=_LAST)] = None,
) -> Response:
    hub: Hub = request.app.state.hub
    if len(topic) > TOPICS_MAX:
        raise Invalid(f"at most {TOPICS_MAX} topics", code="bad_topic", where="topic")
    topics = frozenset([await run_in_threadpool(_checked, fleet, one) for one in topic])
    runs = [one.removeprefix(RUN) for one in topics if one.startswith(RUN)]
    if len(runs) > 1:
        raise Invalid("one run at most", code="bad_topic", where="topic")
    number, (attempt, after) = place_of(hub, last_event_id)
    watched = Watched(run_id=runs[0], attempt=attempt, after=after) if runs else None
    seat = Seat(topics, seen=number or 0, watched=watched)
    hub.open(seat)
    first = _missed(hub, seat, number) if last_event_id else ()
    return Stream(hub, seat, spell_event(hub, seat), EVENTS, first=first)


def _missed(hub: Hub, seat: Seat, number: int | None) -> tuple[Message, ...]:
    """Changes are told once: who missed some that are not kept any more is told so."""
    if "runs" not in seat.topics:
        return ()
    kept = hub.missed_since(number) if number is not None else None
    return (MISSED,) if kept is None else tuple(kept)


def _checked(fleet: Fleet, topic: str) -> str:
    """The topic with whole names. Raises NotFound, Invalid."""
    if topic in PLAIN:
        return topic
    if topic.startswith(JOB):
        return JOB + name_key(fleet.show_job(topic.removeprefix(JOB))["name"])
    if topic.startswith(RUN):
        return RUN + str(fleet.show_run(topic.removeprefix(RUN))["id"])
    raise Invalid(
        f"'{topic[:40]}' is no topic", code="bad_topic", hint=_TOPIC.replace("`", ""), where="topic"
    )
