"""An example of each operation, shown in the description of the API and run by a test."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

# What the parameters of paths are in examples.
NAMES = {
    "/jobs/{name}": "nightly",
    "/nodes/{name}": "db-1",
    "/pools/{name}": "database",
    "/secrets/{name}": "DB_PASSWORD",
    "/accounts/{name}": "ann",
    "/tokens/{name}": "ci",
    "/locks/{name}": "report",
    "{run}": "$RUN",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A request: what follows the address, and its body if it has one."""

    query: str = ""
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


_JOB = {"name": "nightly", "command": "echo hello", "schedule": "30 2 * * *", "tags": ["backup"]}

EXAMPLES: Mapping[str, Example] = {
    "list_jobs": Example(query="?state=error&q=backup&limit=20"),
    "create_job": Example(body=_JOB, headers={"Idempotency-Key": "nightly-1"}),
    "edit_job": Example(body={**_JOB, "timeout": "1h"}, headers={"If-Match": '"1"'}),
    "preview_job": Example(body={"definition": _JOB, "job": "nightly"}),
    "rollback_job": Example(body={"to": 1}, headers={"If-Match": "*"}),
    "timeline": Example(query="?from=2026-11-01T00:00:00Z&to=2026-11-02T00:00:00Z&step=600"),
    "pause_job": Example(body={"for": "2h"}),
    "run_job": Example(body={"force": True}, headers={"Idempotency-Key": "click-1"}),
    "apply_jobs": Example(body={"definitions": [_JOB], "source": "jobs.yaml", "dry_run": True}),
    "skip_next": Example(body={"count": 2}),
    "backfill": Example(
        body={"from": "2026-11-01 00:00", "to": "2026-11-03 23:59", "dry_run": True}
    ),
    "next_slots": Example(query="?count=3"),
    "why": Example(query="?at=2026-11-01T02:30"),
    "list_runs": Example(query="?q=state:error+tag:backup+since:24h"),
    "run_output": Example(query="?follow=true"),
    "list_events": Example(query="?kind=job_created&limit=10"),
    "list_ledger": Example(query="?job=nightly"),
    "audit": Example(query="?job=nightly"),
    "send_test": Example(body={"channel": "mail", "target": "ops@example.org"}),
    "list_alerts": Example(query="?state=failed"),
    "set_pool": Example(body={"permits": 3}),
    "deliver_run": Example(query="?attempt=1&token=0123456789abcdef&worker=web-1"),
    "run_delivered": Example(query="?attempt=1&token=0123456789abcdef&code=0"),
    "add_account": Example(
        body={"name": "ann", "role": "operator", "password": "correct horse battery"}
    ),
    "set_role": Example(body={"role": "viewer"}),
    "set_password": Example(body={"password": "staple battery horse"}),
    "make_link": Example(body={"account": "ann"}),
    "create_token": Example(body={"name": "ci", "role": "operator", "expires": "90d"}),
    "change_password": Example(
        body={"old": "correct horse battery", "new": "staple battery horse"}
    ),
    "login": Example(body={"name": "ann", "password": "staple battery horse", "label": "laptop"}),
    "acquire_lock": Example(
        body={"token": "0123456789abcdef", "holder": "web-1", "expires": "10m"}
    ),
    "renew_lock": Example(body={"token": "0123456789abcdef", "expires": "10m"}),
    "release_lock": Example(body={"token": "0123456789abcdef"}),
    "set_secret": Example(body={"value": "correct horse"}),
    "stream": Example(query="?topic=overview&topic=job:nightly"),
}


def curl_of(method: str, path: str, example: Example) -> str:
    """The request as a command of a shell; `$CRONHERD_URL` and `$CRONHERD_TOKEN` say where."""
    for part, name in NAMES.items():
        path = path.replace(part, part.replace(part[part.rindex("{") :], name))
    words = ["curl", "-sS"]
    if example.query.startswith(("?topic", "?follow")):
        words.append("-N")
    if method != "get":
        words += ["-X", method.upper()]
    line = [*words, '-H "Authorization: Bearer $CRONHERD_TOKEN"']
    for name, value in example.headers.items():
        line.append(f"-H {shlex.quote(f'{name}: {value}')}")
    if example.body is not None:
        body = shlex.quote(json.dumps(example.body))
        line.append(f"-H 'Content-Type: application/json' -d {body}")
    line.append(f'"$CRONHERD_URL{path}{example.query}"')
    return " ".join(line)
