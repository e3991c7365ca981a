"""The fleet at a glance: its status, what comes next, what did not run, what happened."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import TypeVar

from cronherd import __version__
from cronherd.domain.errors import Invalid
from cronherd.domain.event import EventKind
from cronherd.domain.instant import format_instant
from cronherd.domain.job import Job
from cronherd.domain.node import Node
from cronherd.domain.place import shown_place
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Outcome, Reason, Run, RunState
from cronherd.domain.search import JobSearch, RunSearch
from cronherd.domain.standing import BAD, Standing
from cronherd.service.desk import (
    PAGE_SIZE,
    Desk,
    at_one_instant,
    bad_cursor,
    checked_limit,
    mark_text,
    read_mark,
)
from cronherd.store.facts import EventFilter, LedgerFilter, RunFilter
from cronherd.views import (
    API_VERSION,
    SILENT_STATES,
    Json,
    event_view,
    hold_view,
    job_view,
    ledger_view,
    live_node_view,
    node_view,
    page,
    pause_view,
    upcoming_us,
)

_PLACE = re.compile(r"(\d{1,18})\.([0-9a-f]{32})", re.ASCII)
FEW = 5  # of each kind in the overview
TROUBLES = (Standing.ERROR, Standing.OVERDUE)
# From so many jobs on, how they stand is counted for all who look within so long.
LARGE = 10_000
KEPT_US = 2_000_000
Word = TypeVar("Word", EventKind, Reason)


class FleetDesk(Desk):
    """What a person may ask of the whole."""

    _counted: tuple[int, dict[str, int]] | None = None

    @at_one_instant
    def timers(self, limit: int = 500, cursor: str | None = None) -> Json:
        """Jobs by their next slot; those that are paused without an end come last."""
        rows = self._catalog.next_jobs(checked_limit(limit), _read_place(cursor))
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
                ((upcoming_us(row), row) for row in rows),
                key=lambda pair: (pair[0] or FOREVER_US, pair[1].job.key),
            )
        ]
        following = f"{rows[-1].next_us}.{rows[-1].id}" if len(rows) == limit else None
        return {**page(items, following), "now": format_instant(now_us)}

    @at_one_instant
    def status(self) -> Json:
        """The fleet at a glance; `counts` as they were at `counted_at`, see `overview`."""
        now_us = self._store.now_us()
        counted_us, counts = self._standings(now_us)
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
            "counts": {
                "jobs_enabled": counts["jobs"] - counts["disabled"],
                "jobs_disabled": counts["disabled"],
                **{key: number for key, number in counts.items() if key.startswith("runs_")},
                **self._catalog.ended_counts(),
                **self._silent_counts(nodes, now_us),
            },
            "counted_at": format_instant(counted_us),
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

    @at_one_instant
    def overview(self) -> Json:
        """How jobs stand, and the few that matter most of each: cheap, whatever there is.

        `counts` has a number for each word of domain/standing.py, `jobs` all of them, and
        `runs_STATE` for live runs, as they were at `counted_at`: up to two seconds ago in a fleet
        of many jobs.
        """
        now_us = self._store.now_us()
        counted_us, counts = self._standings(now_us)
        nodes = self._catalog.nodes()
        late, _ = self._catalog.job_page(JobSearch(standing=Standing.OVERDUE), None, FEW)
        return {
            "api_version": API_VERSION,
            "now": format_instant(now_us),
            "hold": hold_view(self._catalog.meta()),
            "counts": counts,
            "counted_at": format_instant(counted_us),
            "nodes": [live_node_view(node, now_us) for node in nodes],
            "running": self._run_views(self._few_runs(RunState.RUNNING)),
            "failed": self._run_views(self._few_runs(*sorted(BAD))),
            "overdue": [job_view(row, now_us) for row in late],
            "missed": [ledger_view(row) for row in self._catalog.ledger(None, FEW)],
            "timers": self.timers(FEW)["items"],
        }

    @at_one_instant
    def gauges(self, named: int) -> Json:
        """Numbers for a scrape: `counts` as in the overview, and who is in `troubles`, by standing.

        At most so many jobs of each are named.
        """
        _, counts = self._standings(self._store.now_us())
        return {
            "hold": hold_view(self._catalog.meta()),
            "counts": counts,
            "troubles": {
                word.value: self._catalog.job_names(word, named) if counts[word] else []
                for word in TROUBLES
            },
        }

    def _standings(self, now_us: int) -> tuple[int, dict[str, int]]:
        """When jobs were counted, and how they stood then."""
        kept = self._counted
        if kept and kept[1]["jobs"] >= LARGE and 0 <= now_us - kept[0] < KEPT_US:
            return kept
        self._counted = counted = now_us, dict(self._catalog.standings())
        return counted

    def _few_runs(self, *words: RunState | Outcome) -> list[Run]:
        return self._catalog.runs(RunFilter(search=RunSearch.of(*words), limit=FEW))

    def list_ledger(
        self,
        job: str | None = None,
        limit: int = PAGE_SIZE,
        *,
        cursor: str | None = None,
        reason: str | None = None,
    ) -> Json:
        """Slots that did not run, newest first."""
        which = LedgerFilter(
            job_id=self._catalog.find_job(job).id if job else None,
            reason=_member(Reason, reason, code="bad_reason"),
            mark=read_mark(cursor),
            limit=checked_limit(limit),
        )
        rows, mark = self._catalog.ledger_page(which)
        return page([ledger_view(row) for row in rows], mark_text(mark))

    def list_events(
        self,
        limit: int = PAGE_SIZE,
        *,
        cursor: str | None = None,
        kind: str | None = None,
        subject: str | None = None,
    ) -> Json:
        """Facts about people, nodes and alarms, newest first."""
        which = EventFilter(
            kind=_member(EventKind, kind, code="bad_kind"),
            subject=subject,
            mark=read_mark(cursor),
            limit=checked_limit(limit),
        )
        events, mark = self._catalog.event_page(which)
        return page([event_view(event) for event in events], mark_text(mark))

    def health(self) -> Json:
        """Whether the database answers; raises Unavailable when it does not."""
        return {"status": "ok", "version": __version__, "now": format_instant(self._store.now_us())}


def _target(job: Job) -> str | None:
    """Where a job runs, in few words."""
    where = shown_place(job.place)
    if job.on_all:
        return f"all: {where}" if where else "all"
    return where.removeprefix("node=") or None


def _member(kind: type[Word], text: str | None, *, code: str) -> Word | None:
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        what, known = code.removeprefix("bad_"), ", ".join(kind)
        raise Invalid(f"unknown {what} '{text[:40]}'", code=code, hint=known) from None


def _read_place(cursor: str | None) -> tuple[int, str] | None:
    """An instant and the id of a job, as the `next` of timers has them."""
    if not cursor:
        return None
    found = _PLACE.fullmatch(cursor)
    if found is None:
        raise bad_cursor()
    return int(found[1]), found[2]
