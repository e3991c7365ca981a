"""A fleet in memory: the words of Service, and answers of the same shape."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cronherd.domain.errors import Conflict, Invalid, InvalidInput, NotFound
from cronherd.domain.instant import format_instant
from cronherd.domain.pulse import Pulse, Watched
from cronherd.domain.standing import Standing
from tests.people import PeopleStandIn

Json = dict[str, Any]


def page(items: list[Json]) -> Json:
    return {"api_version": "v1", "items": items, "next": None}


def _told(**given: str | None) -> Json:
    return {key: value for key, value in given.items() if value is not None}


class StandIn(PeopleStandIn):
    """`heard` holds each call that changes something, `asked` counts what the hub looks at.

    `fault` is raised by `health` and `pulse`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, Json] = {}
        self.runs: dict[str, Json] = {}
        self.nodes: dict[str, Json] = {"db-1": {"name": "db-1", "alive": True}}
        self.requests: dict[tuple[str, str], str] = {}
        self.pieces: dict[str, list[Json]] = {}
        self.pools: dict[str, int] = {}
        self.secrets: dict[str, str] = {}
        self.locks: dict[str, str] = {}
        self.heard: list[tuple[object, ...]] = []
        self.fault: Exception | None = None
        self.asked: Counter[str] = Counter()

    def add_piece(self, run: str, text: str) -> None:
        pieces = self.pieces.setdefault(run, [])
        pieces.append({"attempt": 1, "seq": len(pieces), "stream": "stdout", "bytes": text})

    def finish(self, run: str) -> None:
        self.runs[run] |= {"state": "finished", "outcome": "succeeded"}

    def _job(self, name: str) -> Json:
        for job in self.jobs.values():
            if name.lower() in {job["name"].lower(), job["id"]}:
                return job
        raise NotFound(f"there is no job '{name}'", code="no_job", hint="see 'job list'")

    def _run(self, prefix: str) -> Json:
        if prefix not in self.runs:
            raise NotFound(f"there is no run '{prefix}'", code="no_run")
        return self.runs[prefix]

    def list_jobs(
        self,
        after: str | None = None,
        limit: int = 500,
        *,
        tag: str | None = None,
        node: str | None = None,
        q: str | None = None,
        sort: str | None = None,
    ) -> Json:
        if not 1 <= limit <= 1_000:
            raise Invalid("a limit is between 1 and 1000", code="bad_limit")
        names = sorted(name for name in self.jobs if not after or name > after)
        asked = (("tag", tag), ("q", q), ("sort", sort))
        chosen = {key: value for key, value in asked if value}
        return (
            page([self.jobs[name] for name in names[:limit]])
            | chosen
            | ({"node": node} if node else {})
        )

    def show_job(self, name: str) -> Json:
        return self._job(name)

    def create_job(
        self,
        definition: object,
        actor: str,
        source: str = "command",
        *,
        request_id: str | None = None,
    ) -> Json:
        if not isinstance(definition, dict) or "name" not in definition:
            where = "name"
            faults = [
                Invalid("is required", code="missing", where=where),
                Invalid("unknown setting", code="unknown", hint="did you mean 'timeout'?"),
            ]
            raise InvalidInput(faults)
        name = definition["name"]
        if request_id and ("create", request_id) in self.requests:
            return {**self.show_job(self.requests["create", request_id]), "repeated": True}
        if name.lower() in self.jobs:
            raise Conflict(f"there is a job '{name}'", code="name_taken", where="name")
        job = {"id": f"id{len(self.jobs)}", "name": name, "version": 1, "enabled": True}
        self.jobs[name.lower()] = {**job, "source": source, "definition": definition}
        self.heard.append(("create_job", name, actor, source))
        if request_id:
            self.requests["create", request_id] = name
        return {**self.show_job(name), "repeated": False}

    def edit_job(self, name: str, definition: object, version: int | None, actor: str) -> Json:
        job = self._job(name)
        if version not in {None, job["version"]}:
            raise Conflict("somebody edited this job", code="version_conflict", hint="look again")
        job |= {"definition": definition, "version": job["version"] + 1}
        self.heard.append(("edit_job", name, version, actor))
        return job

    def preview_job(self, definition: object, name: str | None = None) -> Json:
        if name is not None:
            self._job(name)
        return {"api_version": "v1", "errors": [], "definition": definition, "slots": []}

    def list_versions(self, name: str, before: int | None = None, limit: int = 50) -> Json:
        job = self._job(name)
        return {**page([{"number": job["version"], "by": "x"}]), "version": job["version"]}

    def rollback_job(self, name: str, to: int, version: int | None, actor: str) -> Json:
        job = self._job(name)
        self.heard.append(("rollback", job["name"], to, version, actor))
        if to > job["version"]:
            raise NotFound(f"there is no version {to}", code="no_such_version")
        return job

    def set_enabled(self, name: str, actor: str, *, enabled: bool) -> Json:
        self.heard.append(("set_enabled", name, actor, enabled))
        job = self._job(name)
        job["enabled"] = enabled
        return {**job, "started_before": []}

    def pause_job(
        self,
        name: str,
        actor: str,
        *,
        until: str | None = None,
        length: str | float | None = None,
    ) -> Json:
        job = self._job(name)
        self.heard.append(("pause_job", name, actor, until, length))
        job["paused"] = True
        return {**job, "started_before": list(self.runs)}

    def resume_job(self, name: str, actor: str) -> Json:
        job = self._job(name)
        if not job.get("paused"):
            raise Conflict(f"the job '{name}' is not paused", code="not_paused")
        self.heard.append(("resume_job", name, actor))
        job["paused"] = False
        return job

    def delete_job(self, name: str, actor: str) -> Json:
        job = self._job(name)
        del self.jobs[job["name"].lower()]
        self.heard.append(("delete_job", name, actor))
        return {"deleted": job["name"], "id": job["id"], "started_before": []}

    def apply_jobs(
        self,
        definitions: Sequence[object],
        source: str,
        actor: str,
        *,
        dry_run: bool,
        prune: bool = False,
        allow_empty: bool = False,
        adopt: bool = False,
        plan: str | None = None,
    ) -> Json:
        self.heard.append(("apply_jobs", len(definitions), source, actor, dry_run))
        if prune or allow_empty or adopt or plan:
            self.heard.append(("prune", prune, allow_empty, adopt, plan))
        changes = [{"name": str(one), "change": "create"} for one in definitions[:3]]
        return {"api_version": "v1", "applied": not dry_run, "changes": changes}

    def run_job(
        self,
        name: str,
        actor: str,
        *,
        request_id: str | None = None,
        force: bool = False,
        params: Mapping[str, object] | None = None,
        node: str | None = None,
    ) -> Json:
        job = self._job(name)
        key = job["id"], request_id or f"#{len(self.runs)}"
        repeated = key in self.requests
        if not repeated:
            run_id = f"{len(self.runs):032x}"
            self.requests[key] = run_id
            self.runs[run_id] = {"id": run_id, "job": job["name"], "state": "running"}
            self.heard.append(("run_job", name, actor, request_id, force, params or {}))
        return {"run": self.runs[self.requests[key]], "repeated": repeated}

    def list_runs(
        self,
        job: str | None = None,
        state: str | None = None,
        outcome: str | None = None,
        before: str | None = None,
        limit: int = 50,
        *,
        q: str | None = None,
    ) -> Json:
        name = self._job(job)["name"] if job else None
        runs = [
            run
            for run in self.runs.values()
            if name in {None, run["job"]}
            and state in {None, run["state"]}
            and outcome in {None, run.get("outcome")}
            and (before is None or run["id"] < before)
        ]
        found = page(sorted(runs, key=lambda run: str(run["id"]), reverse=True)[:limit])
        return found | ({"q": q} if q else {})

    def show_run(self, prefix: str) -> Json:
        return {**self._run(prefix), "attempts": []}

    def deliver_run(self, run: str, attempt: int, token: str, worker: str) -> Json:
        self.heard.append(("deliver_run", run, attempt, token, worker))
        return {"receipt": "won", "code": None}

    def run_delivered(self, run: str, attempt: int, token: str, code: int | None) -> Json:
        self.heard.append(("run_delivered", run, attempt, token, code))
        return {"wanted": True}

    def cancel_run(self, prefix: str, actor: str) -> Json:
        run = self._run(prefix)
        if run["state"] == "finished":
            raise Conflict("the run has already ended", code="already_ended")
        self.heard.append(("cancel_run", prefix, actor))
        run |= {"cancel_requested": True}
        return self.show_run(prefix)

    def run_output(
        self, prefix: str, attempt: int | None = None, after: int = -1, limit: int = 64
    ) -> Json:
        run = self._run(prefix)
        items = [
            piece
            for piece in self.pieces.get(prefix, [])
            if attempt in {None, piece["attempt"]} and piece["seq"] > after
        ]
        return {"api_version": "v1", "run": run, "items": items[:limit]}

    def follow_output(self, prefix: str) -> Iterator[Json]:
        raise NotImplementedError  # what is served is followed by the hub

    # What the hub asks

    def pulse(self) -> Pulse:
        self.asked["pulse"] += 1
        if self.fault is not None:
            raise self.fault
        rows = {run["id"]: (run["job"], str(run)) for run in self.runs.values()}
        return Pulse(live=rows, past={}, event=str(len(self.heard)), nodes=frozenset(), hold="")

    def live_jobs(self, keys: Sequence[str]) -> dict[str, Json]:
        self.asked["live_jobs"] += 1
        found = {key: job for key, job in self.jobs.items() if key in keys}
        return {key: {"job": dict(job), "runs": []} for key, job in found.items()}

    def live_runs(self, ids: Sequence[str]) -> dict[str, Json]:
        self.asked["live_runs"] += 1
        return {one: {"attempt": 1, **self.runs[one]} for one in ids if one in self.runs}

    def fresh_output(self, watched: Sequence[Watched]) -> set[str]:
        self.asked["fresh_output"] += 1
        return {
            one.run_id
            for one in watched
            for piece in self.pieces.get(one.run_id, [])
            if piece["seq"] > one.after
        }

    def gauges(self, named: int) -> Json:
        self.asked["gauges"] += 1
        return {**self.overview(), "troubles": {"error": list(self.jobs)[:named]}}

    def next_slots(self, name: str, count: int, from_us: int | None = None) -> Json:
        job = self._job(name)
        return {"job": job["name"], "slots": [format_instant(from_us)] * count}

    def skip_next(self, name: str, actor: str, *, count: int = 1) -> Json:
        self.heard.append(("skip_next", name, actor, count))
        return {"job": self._job(name)["name"], "slots": ["x"] * count}

    def undo_skip(self, name: str, actor: str) -> Json:
        self.heard.append(("undo_skip", name, actor))
        return {"job": self._job(name)["name"], "slots": []}

    def backfill(
        self, name: str, actor: str, *, start: str, end: str, dry_run: bool = False
    ) -> Json:
        self.heard.append(("backfill", name, actor, start, end, dry_run))
        return {"job": self._job(name)["name"], "made": 0 if dry_run else 1}

    def why(self, name: str, at: str | None = None) -> Json:
        return {"job": self._job(name)["name"], "items": [{"at": at}]}

    def timeline(self, start: str, end: str, step_s: int = 60, *, job: str | None = None) -> Json:
        return {"from": start, "to": end, "step_s": step_s, "job": job, "runs": [], "slots": []}

    def timers(self, limit: int = 500, cursor: str | None = None) -> Json:
        return {**page([{"limit": limit, **_told(cursor=cursor)}]), "now": None}

    def overview(self) -> Json:
        self.asked["overview"] += 1
        counts = dict.fromkeys((word.value for word in Standing), 0)
        counts["jobs"] = len(self.jobs)
        return {"api_version": "v1", "now": "now", "hold": None, "counts": counts, "nodes": []}

    def trends(self, jobs: Sequence[str], count: int = 30) -> Json:
        return {"api_version": "v1", "jobs": {job: [] for job in jobs}}

    def load(self, past_s: int, next_s: int, step_s: int) -> Json:
        return {"api_version": "v1", "step_s": step_s, "steps": []}

    def status(self) -> Json:
        return {"api_version": "v1", "version": "0", "counts": {"enabled": len(self.jobs)}}

    def list_nodes(self, limit: int = 1000, *, cursor: str | None = None) -> Json:
        return page([node for node in self.nodes.values() if node["name"] > (cursor or "")])

    def _node(self, name: str) -> Json:
        if name.lower() not in self.nodes:
            raise NotFound(
                f"there is no node '{name}'", code="no_such_node", hint="see 'node list'"
            )
        return self.nodes[name.lower()]

    def set_drained(self, name: str, actor: str, *, drained: bool) -> Json:
        node = self._node(name)
        self.heard.append(("set_drained", name, actor, drained))
        node["drained"] = drained
        return node

    def remove_node(self, name: str, actor: str, *, confirm_dead: bool) -> Json:
        node = self._node(name)
        if node["alive"]:
            raise Conflict("the node is alive", code="node_alive", hint="stop it first")
        if not confirm_dead:
            raise Conflict("the node holds a run", code="node_holds_runs")
        self.heard.append(("remove_node", name, actor, confirm_dead))
        del self.nodes[name.lower()]
        return {"removed": node["name"], "lost": [], "started_again": []}

    def list_alerts(
        self, state: str | None = None, limit: int = 50, *, cursor: str | None = None
    ) -> Json:
        items = [{"id": "a1", "state": state, **_told(cursor=cursor)}]
        return {**page(items[:limit]), "counts": {}}

    def send_test(self, channel: str, target: str, actor: str) -> Json:
        self.heard.append(("send_test", channel, target, actor))
        return {"api_version": "v1", "alert": {"id": "a2", "channel": channel}}

    def retry_alerts(self, actor: str) -> Json:
        self.heard.append(("retry_alerts", actor))
        return {"api_version": "v1", "retried": 1}

    def list_pools(self) -> Json:
        return page([{"name": name} for name in sorted(self.pools)])

    def show_pool(self, name: str) -> Json:
        return {"name": name, "permits": self._pool(name), "holders": [], "jobs": []}

    def _pool(self, name: str) -> int:
        if name not in self.pools:
            raise NotFound(f"there is no pool '{name}'", code="no_such_pool")
        return self.pools[name]

    def set_pool(self, name: str, permits: int, actor: str) -> Json:
        self.pools[name] = permits
        self.heard.append(("set_pool", name, permits, actor))
        return {"name": name, "permits": permits}

    def remove_pool(self, name: str, actor: str) -> Json:
        self._pool(name)
        del self.pools[name]
        self.heard.append(("remove_pool", name, actor))
        return {"removed": name}

    def list_secrets(self, limit: int = 1000, *, cursor: str | None = None) -> Json:
        return page([{"name": name} for name in sorted(self.secrets) if name > (cursor or "")])

    def set_secret(self, name: str, value: str, actor: str) -> Json:
        self.secrets[name] = value
        self.heard.append(("set_secret", name, actor))
        return {"name": name, "masked": True, "key_made": None}

    def remove_secret(self, name: str, actor: str, *, force: bool = False) -> Json:
        if name not in self.secrets:
            raise NotFound(f"there is no secret '{name}'", code="no_such_secret")
        self.heard.append(("remove_secret", name, actor, force))
        del self.secrets[name]
        return {"removed": name, "used_by": []}

    def reseal_secrets(self, actor: str) -> Json:
        self.heard.append(("reseal_secrets", actor))
        return {"api_version": "v1", "resealed": len(self.secrets), "closed": []}

    def list_locks(self) -> Json:
        return page([{"name": name} for name in sorted(self.locks)])

    def acquire_lock(
        self, name: str, token: str, holder: str, *, shared: bool, expires: str | float
    ) -> Json:
        self.heard.append(("acquire_lock", name, token, holder, shared, expires))
        held = self.locks.setdefault(name, token) == token
        return {"api_version": "v1", "held": held, "lock": {"fence": 7}, "holders": []}

    def renew_lock(self, name: str, token: str, *, expires: str | float) -> Json:
        self.heard.append(("renew_lock", name, token, expires))
        return {"api_version": "v1", "held": self.locks.get(name) == token}

    def release_lock(self, name: str, token: str, *, gap: str | float = 0) -> Json:
        self.heard.append(("release_lock", name, token, gap))
        return {"api_version": "v1", "released": self.locks.pop(name, None) == token}

    def clear_lock(self, name: str, actor: str) -> Json:
        if name not in self.locks:
            raise NotFound(f"nobody holds the lock '{name}'", code="no_such_lock")
        self.heard.append(("clear_lock", name, actor))
        del self.locks[name]
        return {"api_version": "v1", "cleared": name, "holders": []}

    def set_hold(self, actor: str, *, hold: bool) -> Json:
        self.heard.append(("set_hold", actor, hold))
        return {"api_version": "v1", "hold": {"since": "x", "by": actor} if hold else None}

    def list_ledger(
        self,
        job: str | None = None,
        limit: int = 50,
        *,
        cursor: str | None = None,
        reason: str | None = None,
    ) -> Json:
        name = self._job(job)["name"] if job else None
        return page([{"job": name, "limit": limit, **_told(cursor=cursor, reason=reason)}])

    def audit(
        self,
        job: str | None = None,
        start: str | None = None,
        end: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Json:
        self.heard.append(("audit", job, start, end, after, limit))
        return page([{"job": job or "nightly", "sound": True}])

    def list_events(
        self,
        limit: int = 50,
        *,
        cursor: str | None = None,
        kind: str | None = None,
        subject: str | None = None,
    ) -> Json:
        told = _told(cursor=cursor, kind=kind, subject=subject)
        return page([{"kind": "job_created", "limit": limit, **told}])

    def health(self) -> Json:
        if self.fault is not None:
            raise self.fault
        return {"status": "ok", "version": "0", "now": None}
