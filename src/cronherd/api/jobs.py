"""/jobs: definitions, and what one asks of a job."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Header, Query

from cronherd.api.base import (
    Actor,
    Answer,
    Cursor,
    Limit,
    Search,
    TheFleet,
    begin_of,
    job_answer,
    needs,
    takes,
    version_of,
)
from cronherd.api.body import Document, Mapping, member, only
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid
from cronherd.domain.joborder import JobKey
from cronherd.domain.search import JOB_KEYS, joined
from cronherd.domain.standing import Standing

routes = APIRouter(tags=["jobs"])

_KEY = "The same request sent again, within seven days, is answered with what it made"

_DEFINITION = {"schema": {"type": "object", "description": "A job in the words of a file"}}
_TAKES_JOB = {
    "requestBody": {"required": True, "content": {"application/json": _DEFINITION}},
}
_FLAG = {"type": "boolean", "default": False}
_VALUE = {"type": ["string", "number", "boolean"]}
_TAKES_REQUEST = takes(
    {
        "request_id": {"type": ["string", "null"], "maxLength": 62},
        "force": _FLAG,
        "params": {"type": "object", "additionalProperties": _VALUE},
        "node": {"type": "string", "description": "On this node alone"},
    }
)
_TAKES_PAUSE = takes(
    {"until": {"type": ["string", "null"]}, "for": {"type": ["string", "number", "null"]}}
)
_TAKES_JOBS = takes(
    {
        "definitions": {"type": "array", "items": {"type": "object"}},
        "source": {"type": "string"},
        "dry_run": _FLAG,
        "prune": _FLAG,
        "allow_empty": _FLAG,
        "adopt": _FLAG,
        "plan": {"type": ["string", "null"]},
    },
    "definitions",
    "source",
)


@routes.get(
    "/jobs",
    summary="List jobs by name, or in another order",
    dependencies=[needs(Role.VIEWER)],
    operation_id="list_jobs",
)
def list_jobs(
    *,
    fleet: TheFleet,
    cursor: Cursor = None,
    after: Annotated[str | None, Query(deprecated=True, description="As cursor")] = None,
    limit: Limit = 500,
    q: Search = None,
    state: Annotated[Standing | None, Query(description="Only jobs that stand so")] = None,
    tag: Annotated[str | None, Query(description="Only jobs that have this tag")] = None,
    node: Annotated[
        str | None, Query(description="Only jobs that no other registered node may run")
    ] = None,
    source: Annotated[str | None, Query(description="Only jobs that are kept there")] = None,
    sort: Annotated[
        str | None,
        Query(
            json_schema_extra={"pattern": f"^-?({'|'.join(JobKey)})$"},
            description="In another order, `-` before it for the other way round: of 1,000 jobs at"
            " most, and so far as nothing changes between pages",
        ),
    ] = None,
) -> Answer:
    after = begin_of(cursor, after, "after")
    text = joined(q, JOB_KEYS, state=state, source=source)
    return Answer(fleet.list_jobs(after, limit, tag=tag, node=node, q=text, sort=sort))


@routes.post(
    "/jobs",
    summary="Create a job",
    description="201 for a new job, 200 when the same request had made it before.",
    dependencies=[needs(Role.EDITOR)],
    operation_id="create_job",
    openapi_extra=_TAKES_JOB,
    status_code=HTTPStatus.CREATED,
)
def create_job(
    fleet: TheFleet,
    actor: Actor,
    definition: Document,
    source: Annotated[str, Query(description="Where the definition is kept")] = "command",
    idempotency_key: Annotated[str | None, Header(description=_KEY)] = None,
) -> Answer:
    key = bare_key(idempotency_key)
    job = fleet.create_job(definition, actor, source, request_id=key)
    return job_answer(job, HTTPStatus.OK if job.get("repeated") else HTTPStatus.CREATED)


@routes.get(
    "/jobs/{name}",
    summary="Show a job",
    dependencies=[needs(Role.VIEWER, job="name")],
    operation_id="show_job",
)
def show_job(fleet: TheFleet, name: str) -> Answer:
    return job_answer(fleet.show_job(name))


@routes.put(
    "/jobs/{name}",
    summary="Replace a job's definition",
    dependencies=[needs(Role.EDITOR, job="name")],
    operation_id="edit_job",
    openapi_extra=_TAKES_JOB,
)
def edit_job(
    fleet: TheFleet,
    actor: Actor,
    name: str,
    definition: Document,
    if_match: Annotated[
        str | None, Header(description='The ETag that was read, such as `"3"`, or `*`: needed')
    ] = None,
) -> Answer:
    return job_answer(fleet.edit_job(name, definition, version_of(if_match), actor))


@routes.delete(
    "/jobs/{name}",
    summary="Delete a job, keep its runs",
    dependencies=[needs(Role.EDITOR, job="name")],
    operation_id="delete_job",
)
def delete_job(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return Answer(fleet.delete_job(name, actor))


@routes.post(
    "/jobs/{name}/enable",
    summary="Enable a job",
    dependencies=[needs(Role.OPERATOR, job="name")],
    operation_id="enable_job",
)
def enable_job(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return job_answer(fleet.set_enabled(name, actor, enabled=True))


@routes.post(
    "/jobs/{name}/disable",
    summary="Disable a job",
    dependencies=[needs(Role.OPERATOR, job="name")],
    operation_id="disable_job",
)
def disable_job(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return job_answer(fleet.set_enabled(name, actor, enabled=False))


@routes.post(
    "/jobs/{name}/pause",
    summary="Pause a job",
    description="Until an instant (without an offset: in the job's zone), for a duration, or with "
    "neither until it is resumed. `started_before` names the runs that were first.",
    dependencies=[needs(Role.OPERATOR, job="name")],
    operation_id="pause_job",
    openapi_extra=_TAKES_PAUSE,
)
def pause_job(fleet: TheFleet, actor: Actor, name: str, body: Mapping) -> Answer:
    only(body, "until", "for")
    until = None if body.get("until") is None else member(body, "until", str, "")
    return job_answer(fleet.pause_job(name, actor, until=until, length=_length(body)))


def _length(body: Mapping) -> str | float | None:
    """A duration: text, or a number of seconds."""
    length = body.get("for")
    if length is None or (isinstance(length, str | int | float) and not isinstance(length, bool)):
        return length
    raise Invalid("must be text or a number of seconds", where="for")


@routes.post(
    "/jobs/{name}/resume",
    summary="Resume a paused job",
    dependencies=[needs(Role.OPERATOR, job="name")],
    operation_id="resume_job",
)
def resume_job(fleet: TheFleet, actor: Actor, name: str) -> Answer:
    return job_answer(fleet.resume_job(name, actor))


@routes.post(
    "/jobs/{name}/runs",
    summary="Run a job now",
    description="201 for a new run, 200 when the same request had been made before.",
    dependencies=[needs(Role.OPERATOR, job="name")],
    operation_id="run_job",
    openapi_extra=_TAKES_REQUEST,
    status_code=HTTPStatus.CREATED,
)
def run_job(
    fleet: TheFleet,
    actor: Actor,
    name: str,
    body: Mapping,
    idempotency_key: Annotated[str | None, Header(description=_KEY)] = None,
) -> Answer:
    only(body, "request_id", "force", "params", "node")
    request_id = _request_id(body, idempotency_key)
    force = member(body, "force", bool, default=False)
    params: dict[str, object] = member(body, "params", dict, {})
    node = member(body, "node", str, "") or None
    made = fleet.run_job(name, actor, request_id=request_id, force=force, params=params, node=node)
    return Answer(made, HTTPStatus.OK if made["repeated"] else HTTPStatus.CREATED)


def bare_key(key: str | None) -> str | None:
    """An Idempotency-Key: the draft standard writes a quoted string, most programs send it bare."""
    return (key.strip().removeprefix('"').removesuffix('"') or None) if key else None


def _request_id(body: Mapping, key: str | None) -> str | None:
    told = body.get("request_id")
    given = None if told is None else member(body, "request_id", str, "")
    key = bare_key(key)
    if given and key and given != key:
        raise Invalid("differs from Idempotency-Key", code="bad_request_id", where="request_id")
    return given or key or None


@routes.post(
    "/apply",
    summary="Make the jobs of one source what these definitions say",
    description="All or nothing. `changes` tell what becomes of each job: create, update, rename, "
    "delete, none, left (no longer said, and kept without `prune`), refused. `prune` deletes the "
    "jobs of the source that are not said any more, of no definitions only with `allow_empty`; "
    "`adopt` takes over jobs of other sources, which are refused without it. "
    "`plan` of a dry run, sent along, makes sure that what was looked at is what is done: 409 "
    "`plan_outdated` otherwise, and nothing is changed.",
    dependencies=[needs(Role.EDITOR)],
    operation_id="apply_jobs",
    openapi_extra=_TAKES_JOBS,
)
def apply_jobs(fleet: TheFleet, actor: Actor, body: Mapping) -> Answer:
    only(body, "definitions", "source", "dry_run", "prune", "allow_empty", "adopt", "plan")
    for key in ("definitions", "source"):
        if key not in body:
            raise Invalid("is required", code="missing", where=key)
    definitions: list[object] = member(body, "definitions", list, [])
    source = member(body, "source", str, "")
    dry_run = member(body, "dry_run", bool, default=False)
    plan = None if body.get("plan") is None else member(body, "plan", str, "")
    found = fleet.apply_jobs(
        definitions,
        source,
        actor,
        dry_run=dry_run,
        prune=member(body, "prune", bool, default=False),
        allow_empty=member(body, "allow_empty", bool, default=False),
        adopt=member(body, "adopt", bool, default=False),
        plan=plan,
    )
    return Answer(found)
