"""The whole: health, status, timers, the ledger and events."""

from typing import Annotated

from fastapi import APIRouter, Query

from cronherd.api.base import Actor, Answer, Cursor, Limit, TheFleet, needs
from cronherd.domain.access import Role

routes = APIRouter(tags=["fleet"])


@routes.get(
    "/health",
    summary="Whether the database answers",
    dependencies=[needs(Role.VIEWER)],
    operation_id="health",
)
def health(fleet: TheFleet) -> Answer:
    return Answer(fleet.health())


@routes.get(
    "/status",
    summary="The fleet at a glance",
    dependencies=[needs(Role.VIEWER)],
    operation_id="status",
)
def status(fleet: TheFleet) -> Answer:
    return Answer(fleet.status())


@routes.get(
    "/overview",
    summary="How jobs stand, and the few that matter most",
    description="`counts` has a number for each state that `GET /jobs` chooses by. Cheap: it is "
    "what live views are made of.",
    dependencies=[needs(Role.VIEWER)],
    operation_id="overview",
)
def overview(fleet: TheFleet) -> Answer:
    return Answer(fleet.overview())


@routes.get(
    "/timers",
    summary="Jobs by their next slot",
    dependencies=[needs(Role.VIEWER)],
    operation_id="timers",
)
def timers(fleet: TheFleet, limit: Limit = 500, cursor: Cursor = None) -> Answer:
    return Answer(fleet.timers(limit, cursor))


@routes.get(
    "/ledger",
    summary="Slots that did not run, newest first",
    dependencies=[needs(Role.VIEWER)],
    operation_id="list_ledger",
)
def list_ledger(
    fleet: TheFleet,
    job: Annotated[str | None, Query(description="Of this job only")] = None,
    reason: Annotated[str | None, Query(description="For this reason only")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Answer:
    return Answer(fleet.list_ledger(job, limit, cursor=cursor, reason=reason))


@routes.get(
    "/events",
    summary="Events, newest first",
    dependencies=[needs(Role.VIEWER)],
    operation_id="list_events",
)
def list_events(
    fleet: TheFleet,
    kind: Annotated[str | None, Query(description="Of this kind only")] = None,
    subject: Annotated[str | None, Query(description="About this job, run or node only")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Answer:
    return Answer(fleet.list_events(limit, cursor=cursor, kind=kind, subject=subject))


@routes.post(
    "/maintenance/on",
    summary="Hold the fleet: nothing fires, no silent node is judged",
    dependencies=[needs(Role.ADMIN)],
    operation_id="start_maintenance",
)
def start_maintenance(fleet: TheFleet, actor: Actor) -> Answer:
    return Answer(fleet.set_hold(actor, hold=True))


@routes.post(
    "/maintenance/off",
    summary="Let a held fleet go on",
    dependencies=[needs(Role.ADMIN)],
    operation_id="end_maintenance",
)
def end_maintenance(fleet: TheFleet, actor: Actor) -> Answer:
    return Answer(fleet.set_hold(actor, hold=False))
