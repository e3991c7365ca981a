"""The whole: health, status, timers, the ledger and events."""

from fastapi import APIRouter

from cronherd.api.base import Actor, Answer, Limit, TheFleet, needs
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
    "/timers",
    summary="Jobs by their next slot",
    dependencies=[needs(Role.VIEWER)],
    operation_id="timers",
)
def timers(fleet: TheFleet, limit: Limit = 500) -> Answer:
    return Answer(fleet.timers(limit))


@routes.get(
    "/ledger",
    summary="Slots that did not run, newest first",
    dependencies=[needs(Role.VIEWER)],
    operation_id="list_ledger",
)
def list_ledger(fleet: TheFleet, job: str | None = None, limit: Limit = 50) -> Answer:
    return Answer(fleet.list_ledger(job, limit))


@routes.get(
    "/events",
    summary="Events, newest first",
    dependencies=[needs(Role.VIEWER)],
    operation_id="list_events",
)
def list_events(fleet: TheFleet, limit: Limit = 50) -> Answer:
    return Answer(fleet.list_events(limit))


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
