"""What people and programs are told: domain values as plain JSON documents.

Stable: snake_case, instants as RFC 3339 in UTC, durations in seconds, ids in their shown form.
"""

from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any, cast

from cronherd.domain.alert import ChannelName, host_of
from cronherd.domain.event import Event
from cronherd.domain.instant import format_instant, load_zone
from cronherd.domain.job import Job
from cronherd.domain.node import Node
from cronherd.domain.policy import FOREVER_US, UNKNOWN_AFTER_US
from cronherd.domain.run import Attempt, OutputPiece, Run
from cronherd.domain.search import SILENT
from cronherd.domain.secret import Secret
from cronherd.domain.telling import Progress, Told
from cronherd.domain.timing.explained import explain
from cronherd.domain.timing.rule import Schedule
from cronherd.domain.waiting import waiting_for
from cronherd.store.facts import Ended, JobPlan, JobRank, JobRow, LedgerRow, PoolRow
from cronherd.store.lockbook import LockHold
from cronherd.store.postbox import Post

API_VERSION = "v1"
Json = dict[str, Any]
# What a running run is called while its node is silent: shown, and no states of their own.
SILENT_STATES = SILENT
_FIRST = ("name", "description", "command", "task", "args", "schedule", "timezone", "enabled")


def job_view(row: JobRow, now_us: int) -> Json:
    """A job as a list shows it."""
    return {
        "id": row.id,
        "name": row.job.name,
        "description": str(row.job.spec.get("description", "")),
        "enabled": row.enabled,
        **pause_view(row, now_us),
        "standing": sorted(row.standing),
        "schedule": row.job.schedule.text if row.job.schedule else None,
        "timezone": row.job.timezone,
        "command": _command(row.job),
        "task": row.job.task,
        "gearman": row.job.gearman.function if row.job.gearman else None,
        "frequency": _frequency(row.job),
        "window": row.job.spec.get("window"),
        "timeout_s": seconds(0, row.job.timeout_us),
        "source": row.source,
        "applied_version": row.applied,
        "drifted": row.drifted,
        "tags": list(row.job.spec.get("tags", ())),
        "version": row.version,
        "next_at": format_instant(upcoming_us(row)),
        "live_runs": row.live,
        "last_run": run_view(row.last) if row.last else None,
        "created_at": format_instant(row.created_us),
        "updated_at": format_instant(row.updated_us),
    }


def job_details(row: JobRow, now_us: int) -> Json:
    """A job with its whole definition in the words of a file."""
    return {**job_view(row, now_us), "definition": definition_of(row)}


def is_paused(row: JobRow, now_us: int) -> bool:
    """Whether a pause holds the job at this instant."""
    return row.paused_until_us is not None and row.paused_until_us > now_us


def pause_view(row: JobRow, now_us: int) -> Json:
    """`paused_until` is null for a pause that lasts until the job is resumed.

    `skipped_until` is the last slot to come that somebody skips.
    """
    paused = is_paused(row, now_us)
    until_us = row.paused_until_us if paused and row.paused_until_us != FOREVER_US else None
    return {
        "paused": paused,
        "paused_until": format_instant(until_us),
        "skipped_until": format_instant(row.skip_us),
    }


def pause_words(row: JobRow, told: Event | None, now_us: int) -> Json:
    """Who paused a job, when and why, as the event of its pause tells; null when nobody knows.

    `pause_reason` is null for a pause that a person asked for.
    """
    until_us = row.paused_until_us
    words = "until resumed" if until_us == FOREVER_US else f"until {format_instant(until_us)}"
    said, _, reason = told.text.partition(": ") if told else ("", "", "")
    if told is None or said != words or not is_paused(row, now_us):  # of another pause
        return {"paused_by": None, "paused_at": None, "pause_reason": None}
    return {
        "paused_by": told.actor,
        "paused_at": format_instant(told.at_us),
        "pause_reason": reason or None,
    }


def upcoming_us(row: JobRow | JobRank | JobPlan) -> int | None:
    """When it fires next: no slot that a pause swallows or somebody skips, nor the pause's end."""
    until_us, skip_us = row.paused_until_us, row.skip_us
    paused = row.next_us is not None and until_us is not None and until_us >= row.next_us
    if row.next_us is None or not (paused or skip_us is not None):
        return row.next_us
    if until_us == FOREVER_US or row.job.schedule is None:
        return None
    if row.job.chained:  # a slot that is skipped has no end: it counts as one
        return None if paused else row.job.schedule.next_after(row.next_us)
    slot_us = row.job.schedule.next_after(max((until_us or 0) - 1, skip_us or 0))
    return None if slot_us is None else row.job.due_at(slot_us)


def definition_of(row: JobRow) -> Json:
    """The definition as it could stand in a file; `enabled` only when it is not."""
    spec = dict(row.job.spec)
    spec.pop("enabled", None)
    return spec if row.enabled else {**spec, "enabled": False}


def in_order(definition: Json) -> Json:
    """A definition in the order people write one: what it is first, the rest by name."""
    rest = sorted(key for key in definition if key not in _FIRST)
    return {key: definition[key] for key in (*_FIRST, *rest) if key in definition}


def run_view(run: Run, lease_us: int | None = None, now_us: int = 0) -> Json:
    """A run; `state` is `finished` exactly when `outcome` is set.

    `lease_us` is when the lease of a silent node ran out, None or 0 when nobody knows.
    """
    return {
        "id": run.id,
        "job": run.job_name,
        "job_id": run.job_id,
        "cause": run.cause.value,
        "state": _state(run, lease_us, now_us),
        "outcome": run.outcome.value if run.outcome else None,
        "scheduled_at": format_instant(run.scheduled_us),
        "created_at": format_instant(run.created_us),
        "started_at": format_instant(run.started_us),
        "ended_at": format_instant(run.ended_us),
        "duration_s": seconds(run.started_us, run.ended_us),
        "late_s": seconds(run.scheduled_us, run.started_us),
        "attempt": run.attempt,
        "fence": run.fence,
        "node": run.node,
        "silent_since": format_instant(lease_us or None) if run.suspected else None,
        "exit_code": run.exit_code,
        "signal": run.signal,
        "error": run.error_text,
        "waits_for": _waits(run),
        "forced": run.forced,
        "only_on": run.target,
        "cancel_requested": run.cancel,
        "output_dropped_bytes": run.dropped,
        "params": dict(run.params),
        "progress": _progress(run.progress),
    }


def pool_view(pool: PoolRow) -> Json:
    """A pool in numbers: runs that hold and that wait may want several permits each."""
    return {
        "name": pool.name,
        "permits": pool.capacity,
        "held": pool.held,
        "free": max(0, pool.capacity - pool.held),
        "waiting": pool.waiting,
    }


def ended_view(ended: Ended) -> Json:
    """A finished run as a bar: how it ended and how long it took."""
    return {
        "id": ended.run_id,
        "outcome": ended.outcome.value,
        "created_at": format_instant(ended.created_us),
        "duration_s": seconds(ended.started_us, ended.ended_us),
    }


def told_view(told: Told) -> Json:
    """What the last attempt of a task told; `exception` is why it failed, as its language says."""
    return {"result": told.result, "exception": told.error, "notes": list(told.notes)}


def attempt_view(attempt: Attempt) -> Json:
    """One try of a run."""
    return {
        "number": attempt.number,
        "node": attempt.node,
        "started_at": format_instant(attempt.started_us),
        "ended_at": format_instant(attempt.ended_us),
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "killed_by": attempt.killed_by,
        "error": attempt.error,
        "error_text": attempt.error_text,
        "cpu_s": attempt.cpu_us / 1_000_000,
        "peak_memory_bytes": attempt.peak_rss_bytes or None,
        "output_dropped_bytes": attempt.dropped,
        "read_bytes": attempt.read_bytes,
        "written_bytes": attempt.written_bytes,
        "pid": attempt.pid or None,
        "ended_how": attempt.how,
        "leaked_processes": attempt.leaked,
    }


def piece_view(piece: OutputPiece) -> Json:
    """A stretch of output; `bytes` holds one character per byte (latin-1), nothing is lost."""
    return {
        "attempt": piece.attempt,
        "seq": piece.seq,
        "stream": "stderr" if piece.stream == 2 else "stdout",
        "at": format_instant(piece.at_us),
        "dropped_bytes": piece.dropped,
        "bytes": piece.chunk.decode("latin-1"),
    }


def ledger_view(row: LedgerRow) -> Json:
    """Slots that did not run."""
    return {
        "job": row.job_name,
        "from": format_instant(row.from_us),
        "to": format_instant(row.to_us),
        "count": row.count,
        "reason": row.reason.value,
        "ref": row.ref,
        "node": row.node,
        "recorded_at": format_instant(row.at_us),
    }


def event_view(event: Event) -> Json:
    """A fact about people, nodes and alarms."""
    return {
        "at": format_instant(event.at_us),
        "kind": event.kind.value,
        "subject": event.subject,
        "actor": event.actor,
        "text": event.text,
    }


def secret_view(secret: Secret) -> Json:
    """That a secret is there; its value is in no document."""
    return {
        "name": secret.name,
        "set_at": format_instant(secret.at_us),
        "set_by": secret.by,
    }


def lock_view(hold: LockHold, now_us: int) -> Json:
    """One hold of a lock of the fleet; a shared one has no fence."""
    return {
        "name": hold.name,
        "holder": hold.holder,
        "mode": "shared" if hold.shared else "exclusive",
        "since_at": format_instant(hold.since_us),
        "until_at": format_instant(hold.until_us),
        "held_s": max(0, now_us - hold.since_us) / 1_000_000,
        "left_s": max(0, hold.until_us - now_us) / 1_000_000,
        "fence": hold.fence or None,
    }


def post_view(post: Post) -> Json:
    """A message of the outbox; of a URL only the host, since its path may be a secret."""
    mail = post.channel is ChannelName.MAIL
    waits = post.done_us is None
    return {
        "id": post.id,
        "channel": post.channel.value,
        "target": post.target if mail else host_of(post.target),
        "event": post.payload["event"],
        "job": post.payload.get("job") or None,
        "run": post.payload.get("run_id"),
        "state": post.state.value,
        "tries": post.tries,
        "error": post.error,
        "created_at": format_instant(post.created_us),
        "next_at": format_instant(post.next_us) if waits else None,
        "done_at": format_instant(post.done_us),
    }


def node_view(node: Node, now_us: int) -> Json:
    """A host of the fleet."""
    state = node_state(node, now_us)
    return {
        "id": node.id,
        "name": node.name,
        "state": state,
        "alive": node.alive(now_us),
        "drained": node.drained,
        "silent_since": format_instant(node.lease_us) if state == "silent" else None,
        "labels": dict(node.labels),
        "capacity": node.capacity,
        "live_runs": node.live,
        "version": node.version,
        "tzdata": node.tzdata,
        "boot_id": node.boot_id,
        "beats": node.beat,
        "started_at": format_instant(node.started_us),
        "lease_until": format_instant(node.lease_us or None),
    }


def live_node_view(node: Node, now_us: int) -> Json:
    """The same without what each beat changes."""
    changing = {"beats", "lease_until"}
    return {key: value for key, value in node_view(node, now_us).items() if key not in changing}


def node_state(node: Node, now_us: int) -> str:
    """Is it alive, drained, silent or stopped? Only a clean stop leaves no lease at all."""
    if node.alive(now_us):
        return "drained" if node.drained else "alive"
    return "silent" if node.lease_us else "stopped"


def hold_view(meta: Mapping[str, str]) -> Json | None:
    """Who holds the fleet and since when; None while nobody does."""
    since, _, by = meta.get("hold", "").partition(" by ")
    return {"since": since, "by": by} if since else None


def page(items: list[Json], following: str | None) -> Json:
    """One page of a list; `next` is what to ask for to get the following one."""
    return {"api_version": API_VERSION, "items": items, "next": following}


def changed(old: Mapping[str, object], new: Mapping[str, object]) -> list[Json]:
    """What differs between two definitions, by key."""
    keys = sorted({*old, *new})
    return [
        {"key": key, "old": old.get(key), "new": new.get(key)}
        for key in keys
        if old.get(key) != new.get(key)
    ]


def _state(run: Run, lease_us: int | None, now_us: int) -> str:
    return silent_word(lease_us, now_us) if run.suspected else run.state.value


def silent_word(lease_us: int | None, now_us: int) -> str:
    """The state of a run whose node is silent; its lease ran out then, if anybody knows."""
    return "unknown" if lease_us and now_us - lease_us > UNKNOWN_AFTER_US else "suspected"


def _frequency(job: Job) -> str | None:
    return _say_often(cast("Hashable", job.schedule), job.timezone) if job.schedule else None


@lru_cache(maxsize=4_096)  # lists ask for the same ones again and again
def _say_often(schedule: Hashable, timezone: str) -> str:
    """The first sentence about a schedule: how often, without what is said around it."""
    first = explain(cast("Schedule", schedule), load_zone(timezone))[0]
    return first.rstrip(".").split(", counted from")[0]


def _command(job: Job) -> str | list[str]:
    return job.command if isinstance(job.command, str) else list(job.command)


def _waits(run: Run) -> Json | None:
    waiting = waiting_for(run)
    if waiting is None:
        return None
    return {"kind": waiting.kind.value, "name": waiting.name or None, "text": waiting.text}


def _progress(progress: Progress | None) -> Json | None:
    if progress is None:
        return None
    return {"done": progress.done, "total": progress.total, "text": progress.text}


def seconds(from_us: int | None, to_us: int | None) -> float | None:
    """How long it is from one instant to another, None while one of them is not known."""
    if from_us is None or to_us is None:
        return None
    return round((to_us - from_us) / 1_000_000, 6)
