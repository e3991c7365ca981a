"""/preview, /jobs/{name}/versions and /rollback: definitions before and after."""

from typing import Annotated

from fastapi import APIRouter, Header, Query

from cronherd.api.base import (
    NUMBER_MAX,
    Actor,
    Answer,
    Limit,
    TheFleet,
    job_answer,
    needs,
    takes,
    version_of,
)
from cronherd.api.body import Mapping, member, only
from cronherd.domain.access import Role
from cronherd.domain.errors import Invalid

routes = APIRouter(tags=["jobs"])


@routes.post(
    "/preview",
    summary="What a definition would mean",
    description="Its schedule in words, the next slots, its faults in `errors`, and what it would "
    "change at `job`. Nothing is saved.",
    dependencies=[needs(Role.EDITOR)],
    operation_id="preview_job",
    openapi_extra=takes(
        {"definition": {"type": "object"}, "job": {"type": ["string", "null"]}}, "definition"
    ),
)
def preview_job(fleet: TheFleet, body: Mapping) -> Answer:
    only(body, "definition", "job")
    if "definition" not in body:
        raise Invalid("is required", code="missing", where="definition")
    job = None if body.get("job") is None else member(body, "job", str, "")
    return Answer(fleet.preview_job(body["definition"], job))


@routes.get(
    "/jobs/{name}/versions",
    summary="The definitions a job has had, newest first",
    dependencies=[needs(Role.VIEWER, job="name")],
    operation_id="list_versions",
)
def list_versions(
    fleet: TheFleet,
    name: str,
    before: Annotated[
        int | None, Query(ge=1, le=NUMBER_MAX, description="The `next` of the page before")
    ] = None,
    limit: Limit = 50,
) -> Answer:
    return Answer(fleet.list_versions(name, before, limit))


@routes.post(
    "/jobs/{name}/rollback",
    summary="Make an earlier definition the present one again",
    description="It becomes a new version. Whether the job is enabled stays as it is.",
    dependencies=[needs(Role.EDITOR, job="name")],
    operation_id="rollback_job",
    openapi_extra=takes({"to": {"type": "integer", "minimum": 1}}, "to"),
)
def rollback_job(
    fleet: TheFleet,
    actor: Actor,
    name: str,
    body: Mapping,
    if_match: Annotated[
        str | None, Header(description='The ETag that was read, such as `"3"`, or `*`: needed')
    ] = None,
) -> Answer:
    only(body, "to")
    to = body.get("to")
    if not isinstance(to, int) or isinstance(to, bool) or not 1 <= to <= NUMBER_MAX:
        raise Invalid("must be the number of a version", code="bad_version", where="to")
    return job_answer(fleet.rollback_job(name, to, version_of(if_match), actor))
