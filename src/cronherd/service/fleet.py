"""The fleet at a glance: its status, what comes next, what did not run, what happened."""

from collections import Counter
from collections.abc import Sequence

from cronherd import __version__
from cronherd.domain.instant import format_instant
from cronherd.domain.job import Job
from cronherd.domain.node import Node
from cronherd.domain.place import shown_place
from cronherd.domain.policy import FOREVER_US
from cronherd.service.desk import PAGE_SIZE, Desk, checked_limit
from cronherd.store.facts import RunFilter
from cronherd.views import (
    API_VERSION,
    SILENT_STATES,
    Json,
    event_view,
    hold_view,
    ledger_view,
    node_view,
    page,
    pause_view,
    upcoming_us,
)


class FleetDesk(Desk):
    """What a person may ask of the whole."""

    def timers(self, limit: int = 500) -> Json:
        """Jobs by their next slot; those that are paused without an end come last."""
        rows = self._catalog.next_jobs(checked_limit(limit))
        now_us = self._store.now_us()
        items = [
            {
                "next_at": format_instant(next_us),
                "last_at": format_instant(row.last.created_us) if row.last else None,
                "job": row.job.name,
                "node": _target(row.job),
                "timezone": row.job.timezone,
                **pause_view(row, now_us),
                "last_outcome": row.last.outcome if row.last else None,
            }
            for next_us, row in sorted(
                ((upcoming_us(row), row) for row in rows), key=lambda pair: pair[0] or FOREVER_US
            )
        ]
        return {**page(items, None), "now": format_instant(now_us)}

    def status(self) -> Json:
        """The fleet at a glance."""
        now_us = self._store.now_us()
        meta = self._catalog.meta()
        nodes = self._catalog.nodes()
        return {
            "api_version": API_VERSION,
            "version": __version__,
            "now": format_instant(now_us),
            "timezone": meta.get("timezone", self._timezone),
            "schema": meta.get("schema", ""),
            "database": meta.get("database"),
            "hold": hold_view(meta),
            "counts": {**self._catalog.counts(), **self._silent_counts(nodes, now_us)},
            "nodes": [node_view(node, now_us) for node in nodes],
            "missed": [ledger_view(row) for row in self._catalog.ledger(None, 5)],
            "events": [event_view(event) for event in self._catalog.events(5)],
        }

    def _silent_counts(self, nodes: Sequence[Node], now_us: int) -> dict[str, int]:
        """How many of the running runs are suspected or unknown; empty while nobody is silent."""
        if not any(node.live and not node.alive(now_us) for node in nodes):
            return {}
        found = Counter(run["state"] for run in self._running(RunFilter()))
        return {f"runs_{state}": found[state] for state in SILENT_STATES if found[state]}

    def list_ledger(self, job: str | None = None, limit: int = PAGE_SIZE) -> Json:
        """Slots that did not run, newest first."""
        job_id = self._catalog.find_job(job).id if job else None
        rows = self._catalog.ledger(job_id, checked_limit(limit))
        return page([ledger_view(row) for row in rows], None)

    def list_events(self, limit: int = PAGE_SIZE) -> Json:
        """Facts about people, nodes and alarms, newest first."""
        return page(
            [event_view(event) for event in self._catalog.events(checked_limit(limit))], None
        )

    def health(self) -> Json:
        """Whether the database answers; raises Unavailable when it does not."""
        return {"status": "ok", "version": __version__, "now": format_instant(self._store.now_us())}


def _target(job: Job) -> str | None:
    """Where a job runs, in few words."""
    where = shown_place(job.place)
    if job.on_all:
        return f"all: {where}" if where else "all"
    return where.removeprefix("node=") or None
