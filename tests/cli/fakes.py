"""A fleet that lives in memory and answers with the documents of views.py."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from cronherd.cli.host import Finding, Place
from cronherd.cli.main import run
from cronherd.client import Fleet
from cronherd.config.load import Config
from cronherd.definition.jobs import read_job
from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.instant import SECOND_US, format_instant
from cronherd.service.applying import step_view
from cronherd.service.sourceplan import Wanted, plan_source
from cronherd.store.facts import Kept, KeptJob
from tests.people import PeopleStandIn

Json = dict[str, Any]
NOW_US = 1_795_255_200 * SECOND_US  # 2026-11-21T10:00:00Z


def make_run(number: int = 1, **given: object) -> Json:
    """A finished run that went well, unless told otherwise."""
    run: Json = {
        "id": f"{number:08x}" + "0" * 24,
        "job": "backup",
        "job_id": "j1",
        "cause": "manual",
        "state": "finished",
        "outcome": "succeeded",
        "scheduled_at": None,
        "created_at": "2026-11-21T09:59:00Z",
        "started_at": "2026-11-21T09:59:01Z",
        "ended_at": "2026-11-21T09:59:04Z",
        "duration_s": 3.0,
        "late_s": None,
        "attempt": 1,
        "fence": 1,
        "node": "web-1",
        "silent_since": None,
        "exit_code": 0,
        "signal": None,
        "error": "",
        "waits_for": None,
        "cancel_requested": False,
        "output_dropped_bytes": 0,
        "progress": None,
    }
    return run | given


def _kept(job: Json) -> KeptJob:
    """A job as the store knows it; as it was applied, unless it says that it drifted."""
    spec = {key: value for key, value in job["definition"].items() if key != "enabled"}
    drifted = bool(job.get("drifted"))
    return KeptJob(
        id=job["id"],
        key=job["name"].lower(),
        name=job["name"],
        spec=spec,
        version=job["version"],
        enabled=job["enabled"],
        source=job["source"],
        applied=job["version"] - drifted,
        drifted=drifted,
        deleted=False,
    )


def make_attempt(**given: object) -> Json:
    attempt: Json = {
        "number": 1,
        "node": "web-1",
        "started_at": "2026-11-21T09:59:01Z",
        "ended_at": "2026-11-21T09:59:04Z",
        "exit_code": 0,
        "signal": None,
        "killed_by": "",
        "error": "",
        "error_text": "",
        "cpu_s": 0.1,
        "peak_memory_bytes": 1,
        "output_dropped_bytes": 0,
    }
    return attempt | given


def make_piece(seq: int, raw: bytes, stream: str = "stdout", dropped: int = 0) -> Json:
    return {
        "attempt": 1,
        "seq": seq,
        "stream": stream,
        "at": "2026-11-21T09:59:02Z",
        "dropped_bytes": dropped,
        "bytes": raw.decode("latin-1"),
    }


class FakeFleet(PeopleStandIn):
    """Jobs by key; runs, attempts and output are what a test puts there."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: dict[str, Json] = {}
        self.ended: list[Json] = []
        self.attempts: list[Json] = []
        self.pieces: list[Json] = []
        self.started: Json = make_run()
        self.calls: list[str] = []
        self.turn = 0
        self.nodes = {"web-1": True}
        self.rules: dict[str, str] = {}
        self.drained: set[str] = set()
        self.first: list[str] = []
        self.hold: Json | None = None
        self.pools: list[Json] = []
        self.versions: list[Json] = []
        self.secrets: dict[str, str] = {}
        self.locks: list[Json] = []
        self.alerts: list[Json] = []
        self.secret_users: list[str] = []
        self.key_made: str | None = None
        self.closed: list[str] = []
        self.broken: BaseException | None = None
        self.old = False  # of a version that does not know how to choose jobs
        self.stuck: set[str] = set()
        self.told: list[Json] = []
        self.slots: list[Json] = []
        self.holes: set[str] = set()
        self.kept_since = "2026-10-01T00:00:00Z"

    def _add(self, definition: object, source: str) -> Json:
        job = read_job(definition, timezone="UTC", now_us=NOW_US)
        old = self.jobs.get(job.key)
        following = job.schedule.next_after(NOW_US) if job.schedule else None
        view: Json = {
            "id": f"id-{job.key}",
            "name": job.name,
            "description": str(job.spec.get("description", "")),
            "enabled": bool(job.spec.get("enabled", old["enabled"] if old else True)),
            "paused": False,
            "paused_until": None,
            "skipped_until": None,
            "schedule": job.schedule.text if job.schedule else None,
            "timezone": job.timezone,
            "command": job.command if isinstance(job.command, str) else list(job.command),
            "source": source,
            "version": old["version"] + 1 if old else 1,
            "next_at": format_instant(following),
            "live_runs": 0,
            "last_run": self.ended[0] if self.ended else None,
            "created_at": "2026-11-20T10:00:00Z",
            "updated_at": "2026-11-20T10:00:00Z",
            "definition": dict(job.spec),
        }
        self.jobs[job.key] = view
        return view

    def _find(self, name: str) -> Json:
        for job in self.jobs.values():
            if name.lower() in {job["name"].lower(), job["id"]}:
                return job
        raise NotFound(f"there is no job '{name}'", hint="did you mean 'backup'?")

    def _refuse(self, job: Json) -> None:
        if job["name"] in self.stuck:
            raise Conflict(f"'{job['name']}' is stuck", code="stuck")

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
        if self.broken:
            raise self.broken
        keys = [key for key in sorted(self.jobs) if after is None or key > after][:2]
        more = bool(keys) and keys[-1] != max(self.jobs)
        items = [self.jobs[key] for key in keys]
        if tag is not None:
            items = [job for job in items if tag in job["definition"].get("tags", ())]
        if node is not None:
            items = [job for job in items if job["definition"].get("run_on") == {"node": node}]
        asked = (("tag", tag), ("node", node), ("sort", sort))
        chosen = {key: value for key, value in asked if value is not None}
        told = {} if self.old else chosen
        return {"api_version": "v1", "items": items, "next": keys[-1] if more else None, **told}

    def show_job(self, name: str) -> Json:
        return {**self._find(name), "runs": self.ended, "missed": []}

    def create_job(
        self,
        definition: object,
        actor: str,
        source: str = "command",
        *,
        request_id: str | None = None,
    ) -> Json:
        job = read_job(definition, timezone="UTC", now_us=NOW_US)
        if job.key in self.jobs:
            raise Conflict(f"there is a job '{job.name}' already", code="name_taken")
        self._add(definition, source)
        return self.show_job(job.name)

    def edit_job(self, name: str, definition: object, version: int | None, actor: str) -> Json:
        job = self._find(name)
        if version not in {None, job["version"]}:
            raise Conflict("somebody changed the job meanwhile", code="version_conflict")
        return self._add(definition, job["source"])

    def set_enabled(self, name: str, actor: str, *, enabled: bool) -> Json:
        self._find(name)["enabled"] = enabled
        return {**self.show_job(name), "started_before": self.first}

    def pause_job(
        self,
        name: str,
        actor: str,
        *,
        until: str | None = None,
        length: str | float | None = None,
    ) -> Json:
        job = self._find(name)
        self._refuse(job)
        self.calls.append(f"pause {job['name']} {until} {length}")
        job["paused"] = True
        job["paused_until"] = "2026-11-22T05:00:00Z" if until or length else None
        return {**self.show_job(name), "started_before": self.first}

    def resume_job(self, name: str, actor: str) -> Json:
        job = self._find(name)
        if not job["paused"]:
            raise Conflict(f"the job '{job['name']}' is not paused", code="not_paused")
        job |= {"paused": False, "paused_until": None}
        return self.show_job(name)

    def delete_job(self, name: str, actor: str) -> Json:
        job = self._find(name)
        del self.jobs[job["name"].lower()]
        return {"deleted": job["name"], "id": job["id"], "started_before": self.first}

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
        self.calls.append(f"apply {source} {'dry' if dry_run else 'for good'}")
        jobs = [read_job(each, timezone="UTC", now_us=NOW_US) for each in definitions]
        wanted = [
            Wanted(key=job.key, name=job.name, job=job, formerly=job.spec.get("formerly"))
            for job in jobs
        ]
        kept = Kept(turn=self.turn, jobs=[_kept(job) for job in self.jobs.values()])
        found = plan_source(wanted, kept, source, prune=prune, adopt=adopt)
        if not dry_run:
            if plan not in {None, found.mark}:
                raise Conflict("somebody else meanwhile", code="plan_outdated")
            self.turn += 1
            for step in found.steps:
                if step.row is not None and step.change.value in {"delete", "rename"}:
                    del self.jobs[step.row.key]
            for job in jobs:
                self._add(dict(job.spec), source)
        changes = [step_view(step, source) for step in found.steps]
        answer = {"api_version": "v1", "applied": not dry_run, "changes": changes}
        return {**answer, "plan": found.mark, "settles": len(found.settled)}

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
        self._find(name)
        self.calls.append(f"run {name} by {actor.partition(':')[0]}{' force' if force else ''}")
        if node:
            self.calls[-1] += f" on {node}"
        if params:
            self.calls[-1] += " " + " ".join(f"{key}={value}" for key, value in params.items())
        return {"run": {**self.started, "state": "ready", "outcome": None}, "repeated": False}

    def list_runs(
        self,
        job: str | None = None,
        state: str | None = None,
        outcome: str | None = None,
        before: str | None = None,
        limit: int = 50,
        *,
        q: str | None = None,
        most: int | None = None,
    ) -> Json:
        if job:
            self._find(job)
        self.calls.append(f"runs {q}") if q else None
        found = [
            run
            for run in self.ended
            if outcome in {None, run["outcome"]} and state in {None, run["state"]}
        ]
        told = {"q": q} if q and not self.old else {}
        return {"api_version": "v1", "items": found[:limit], "next": None, **told}

    def show_run(self, prefix: str) -> Json:
        for found in [self.started, *self.ended]:
            if found["id"].startswith(prefix):
                return {**found, "attempts": self.attempts}
        raise NotFound(f"there is no run '{prefix}'")

    def cancel_run(self, prefix: str, actor: str) -> Json:
        self.calls.append(f"cancel {prefix[:8]}")
        return self.show_run(prefix)

    def deliver_run(self, run: str, attempt: int, token: str, worker: str) -> Json:
        raise NotImplementedError

    def run_delivered(self, run: str, attempt: int, token: str, code: int | None) -> Json:
        raise NotImplementedError

    def run_output(
        self, prefix: str, attempt: int | None = None, after: int = -1, limit: int = 64
    ) -> Json:
        found = [p for p in self.pieces if p["attempt"] == attempt and p["seq"] > after][:2]
        return {"api_version": "v1", "run": self.show_run(prefix), "items": found}

    def follow_output(self, prefix: str) -> Iterator[Json]:
        yield from self.pieces
        if self.broken:
            raise self.broken
        yield {"run": self.started}

    def next_slots(self, name: str, count: int, from_us: int | None = None) -> Json:
        job = self._find(name)
        return {
            "job": job["name"],
            "schedule": job["schedule"],
            "timezone": job["timezone"],
            "enabled": job["enabled"],
            "paused": job["paused"],
            "paused_until": job["paused_until"],
            "slots": [] if job["paused"] else [job["next_at"]][:count],
        }

    def skip_next(self, name: str, actor: str, *, count: int = 1) -> Json:
        job = self._find(name)
        self._refuse(job)
        self.calls.append(f"skip {job['name']} {count}")
        day = 22 if job["next_at"] else 0
        slots = [f"2026-11-{day + number}T01:30:00Z" for number in range(count)]
        job |= {"skipped_until": slots[-1], "next_at": f"2026-11-{day + count}T01:30:00Z"}
        return self._skip_view(job, slots, [])

    def undo_skip(self, name: str, actor: str) -> Json:
        job = self._find(name)
        self.calls.append(f"undo {job['name']}")
        until, job["skipped_until"] = job["skipped_until"], None
        return self._skip_view(job, [], [until] if until else [])

    def _skip_view(self, job: Json, slots: list[str], undone: list[str]) -> Json:
        keys = ("id", "timezone", "next_at")
        told = {key: job[key] for key in keys}
        return {"job": job["name"], "slots": slots, "undone": undone, **told}

    def backfill(
        self, name: str, actor: str, *, start: str, end: str, dry_run: bool = False
    ) -> Json:
        job = self._find(name)
        self.calls.append(f"backfill {start} {end}{' dry' if dry_run else ''}")
        slots = [slot for slot in self.slots if dry_run or start <= slot["slot"] <= end]
        made = 0 if dry_run else sum(not slot["ran"] for slot in slots)
        return {
            "api_version": "v1",
            "job": job["name"],
            "id": job["id"],
            "timezone": job["timezone"],
            "from": start,
            "to": end,
            "dry_run": dry_run,
            "made": made,
            "ran": sum(slot["ran"] for slot in slots),
            "slots": slots,
        }

    def why(self, name: str, at: str | None = None) -> Json:
        job = self._find(name)
        self.calls.append(f"why {at}")
        return {
            "api_version": "v1",
            "job": job["name"],
            "id": job["id"],
            "timezone": job["timezone"],
            "now": format_instant(NOW_US),
            "items": self.told,
        }

    def timers(self, limit: int = 500, cursor: str | None = None) -> Json:
        items = [
            {
                "next_at": job["next_at"],
                "last_at": None,
                "job": job["name"],
                "node": None,
                "timezone": job["timezone"],
                "paused": job["paused"],
                "paused_until": job["paused_until"],
                "last_outcome": None,
            }
            for job in self.jobs.values()
            if job["next_at"]
        ]
        now = format_instant(NOW_US)
        return {"api_version": "v1", "items": items, "next": None, "now": now}

    def trends(self, jobs: Sequence[str], count: int = 30) -> Json:
        del count
        return {"api_version": "v1", "jobs": {job: [] for job in jobs}}

    def load(self, past_s: int, next_s: int, step_s: int) -> Json:
        del past_s, next_s
        return {"api_version": "v1", "step_s": step_s, "steps": []}

    def status(self) -> Json:
        return {
            "api_version": "v1",
            "version": "0.1.0",
            "now": format_instant(NOW_US),
            "timezone": "UTC",
            "schema": "1",
            "database": None,
            "hold": self.hold,
            "counts": {"jobs": len(self.jobs)},
            "nodes": self.list_nodes()["items"],
            "missed": [],
            "events": [],
        }

    def overview(self) -> Json:
        return {"api_version": "v1", "counts": {"jobs": len(self.jobs)}}

    def list_nodes(self, limit: int = 1000, *, cursor: str | None = None) -> Json:
        items = [self._node(name, alive=alive) for name, alive in self.nodes.items()]
        return {"api_version": "v1", "items": items, "next": None}

    def _node(self, name: str, *, alive: bool) -> Json:
        drained = name in self.drained
        state = ("drained" if drained else "alive") if alive else "silent"
        return {
            "id": f"id-{name}",
            "name": name,
            "state": state,
            "alive": alive,
            "drained": drained,
            "silent_since": None if alive else "2026-11-21T09:55:00Z",
            "labels": {"zone": "eu"},
            "capacity": 32,
            "live_runs": len(self.first),
            "version": "0.1.0",
            "tzdata": self.rules.get(name, "2026.1"),
            "boot_id": "b1",
            "beats": 7,
            "started_at": "2026-11-21T09:00:00Z",
            "lease_until": "2026-11-21T10:00:10Z" if alive else "2026-11-21T09:55:00Z",
        }

    def set_drained(self, name: str, actor: str, *, drained: bool) -> Json:
        if name not in self.nodes:
            raise NotFound(f"there is no node '{name}'", code="no_such_node")
        (self.drained.add if drained else self.drained.discard)(name)
        return self._node(name, alive=self.nodes[name])

    def remove_node(self, name: str, actor: str, *, confirm_dead: bool) -> Json:
        self.calls.append(f"remove {name}{' for dead' if confirm_dead else ''}")
        del self.nodes[name]
        lost, again = self.first[:1], self.first[1:]
        return {"removed": name, "id": f"id-{name}", "lost": lost, "started_again": again}

    def list_alerts(
        self, state: str | None = None, limit: int = 50, *, cursor: str | None = None
    ) -> Json:
        items = [alert for alert in self.alerts if state in {None, alert["state"]}][:limit]
        states = [alert["state"] for alert in self.alerts]
        counts = {word: states.count(word) for word in ("waiting", "sent", "failed")}
        return {"api_version": "v1", "items": items, "next": None, "counts": counts}

    def send_test(self, channel: str, target: str, actor: str) -> Json:
        self.calls.append(f"test {channel} {target}")
        return {"api_version": "v1", "alert": {"id": "a1b2", "channel": channel}}

    def retry_alerts(self, actor: str) -> Json:
        return {"api_version": "v1", "retried": len(self.alerts)}

    def preview_job(self, definition: object, name: str | None = None) -> Json:
        raise NotImplementedError  # only pages ask for it

    def timeline(self, start: str, end: str, step_s: int = 60, *, job: str | None = None) -> Json:
        raise NotImplementedError

    def list_versions(self, name: str, before: int | None = None, limit: int = 50) -> Json:
        self._find(name)
        told = [each for each in self.versions if before is None or each["number"] < before]
        return {"api_version": "v1", "job": name, "items": told[:limit], "next": None}

    def rollback_job(self, name: str, to: int, version: int | None, actor: str) -> Json:
        self.calls.append(f"rollback to {to} from {version} by {actor.partition(':')[0]}")
        return {**self.show_job(name), "version": 9}

    def list_pools(self) -> Json:
        return {"api_version": "v1", "items": self.pools, "next": None}

    def show_pool(self, name: str) -> Json:
        for pool in self.pools:
            if pool["name"] == name:
                return {**pool, "holders": [self.started], "jobs": ["backup"]}
        raise NotFound(f"there is no pool '{name}'", code="no_such_pool")

    def set_pool(self, name: str, permits: int, actor: str) -> Json:
        self.calls.append(f"pool {name} {permits} by {actor.partition(':')[0]}")
        return {"name": name, "permits": permits, "held": 0, "free": permits, "waiting": 0}

    def remove_pool(self, name: str, actor: str) -> Json:
        self.calls.append(f"remove pool {name} by {actor.partition(':')[0]}")
        return {"removed": name}

    def list_secrets(self, limit: int = 1000, *, cursor: str | None = None) -> Json:
        items = [self._secret(name) for name in sorted(self.secrets)]
        return {"api_version": "v1", "items": items, "next": None}

    def _secret(self, name: str) -> Json:
        return {"name": name, "set_at": "2026-11-21T09:59:00Z", "set_by": "local:ann"}

    def set_secret(self, name: str, value: str, actor: str) -> Json:
        self.secrets[name] = value
        return {**self._secret(name), "masked": len(value) > 3, "key_made": self.key_made}

    def remove_secret(self, name: str, actor: str, *, force: bool = False) -> Json:
        if name not in self.secrets:
            raise NotFound(f"there is no secret '{name}'", code="no_such_secret")
        if self.secret_users and not force:
            raise Conflict(f"the secret '{name}' is used", code="secret_in_use")
        del self.secrets[name]
        return {"removed": name, "used_by": self.secret_users}

    def reseal_secrets(self, actor: str) -> Json:
        return {"api_version": "v1", "resealed": len(self.secrets), "closed": self.closed}

    def list_locks(self) -> Json:
        return {"api_version": "v1", "items": self.locks, "next": None}

    def acquire_lock(
        self, name: str, token: str, holder: str, *, shared: bool, expires: str | float
    ) -> Json:
        held = not any(lock["name"] == name for lock in self.locks)
        return {"api_version": "v1", "held": held, "lock": {"fence": 7}, "holders": []}

    def renew_lock(self, name: str, token: str, *, expires: str | float) -> Json:
        return {"api_version": "v1", "held": True}

    def release_lock(self, name: str, token: str, *, gap: str | float = 0) -> Json:
        self.calls.append(f"release {name}")
        return {"api_version": "v1", "released": True}

    def clear_lock(self, name: str, actor: str) -> Json:
        taken = [lock for lock in self.locks if lock["name"] == name]
        if not taken:
            raise NotFound(f"nobody holds the lock '{name}'", code="no_such_lock")
        self.locks = [lock for lock in self.locks if lock not in taken]
        return {"api_version": "v1", "cleared": name, "holders": taken}

    def set_hold(self, actor: str, *, hold: bool) -> Json:
        self.hold = {"since": "2026-11-21T09:59:00Z", "by": "ann"} if hold else None
        return {"api_version": "v1", "hold": self.hold}

    def list_ledger(
        self,
        job: str | None = None,
        limit: int = 50,
        *,
        cursor: str | None = None,
        reason: str | None = None,
    ) -> Json:
        return {"api_version": "v1", "items": [], "next": None}

    def audit(
        self,
        job: str | None = None,
        start: str | None = None,
        end: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Json:
        del limit
        self.calls.append(f"audit {job} {start} {end} {after}")
        names = sorted(found["name"] for found in self.jobs.values()) if job is None else [job]
        items = [self._audited(self._find(name)) for name in names]
        return {"api_version": "v1", "items": items, "next": None}

    def _audited(self, job: Json) -> Json:
        none: Json = {"count": 0, "first": []}
        lost = {"count": 2, "first": ["2026-11-21T01:30:00Z", "2026-11-22T01:30:00Z"]}
        hole = job["name"] in self.holes
        return {
            "job": job["name"],
            "timezone": job["timezone"],
            "from": "2026-11-15T00:00:00Z",
            "kept_since": self.kept_since,
            "slots": 10,
            "ran": 5,
            "told": {"overlap": 3},
            "sound": not hole,
            "unexplained": lost if hole else none,
            "twice": none,
            "uncalled": none,
            "miscounted": none,
        }

    def list_events(
        self,
        limit: int = 50,
        *,
        cursor: str | None = None,
        kind: str | None = None,
        subject: str | None = None,
    ) -> Json:
        return {"api_version": "v1", "items": [], "next": None}

    def health(self) -> Json:
        return {"status": "ok"}


class FakeHost:
    """A machine room without machines."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.calls: list[str] = []
        self.allowed: set[str] = set()

    def user_refusal(self, user: str) -> str:
        return "" if user in self.allowed else f"no line '{user}' in the list"

    def up(self, config: Config, place: Place, *, apply: bool) -> int:
        self.calls.append(f"up apply={apply}")
        return 0

    def agent(self, config: Config, place: Place) -> int:
        self.calls.append("agent")
        return 7

    def reload_agent(self, place: Place) -> int:
        self.calls.append("reload")
        return 4711

    def web(self, config: Config, place: Place) -> int:
        self.calls.append(f"web {' '.join(config.web.listen)}")
        return 0

    def tick(self, config: Config, place: Place) -> int:
        return 0

    def upgrade(self, config: Config, place: Place) -> str:
        return "the schema is up to date"

    def open_fleet(self, config: Config, place: Place) -> AbstractContextManager[Fleet]:
        self.calls.append("open")
        return nullcontext(self.fleet)

    def findings(self, config: Config, place: Place) -> list[Finding]:
        return [Finding("ok", "python", "3.11"), Finding("error", "clock", "it is an hour off")]


if __name__ == "__main__":
    known = FakeFleet()
    for number in range(300):
        name = "backup" if not number else f"job-{number:03}"
        known.create_job({"name": name, "command": "true", "schedule": "30 2 * * *"}, "test")
    known.ended = [known.started]
    known.attempts = [make_attempt()]
    known.pieces = [make_piece(0, b"\xff\x00 raw\x1b[0m\n"), make_piece(1, b"bad\n", "stderr")]
    run(lambda: FakeHost(known), lambda: NOW_US)
