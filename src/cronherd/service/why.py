"""Why a slot ran, or did not: what is on record of it, gathered for domain/why.py to judge."""

import re
from collections.abc import Iterator, Mapping, Sequence

from cronherd.domain.errors import NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.instant import MINUTE_US, SECOND_US, format_instant, load_zone
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.planner import Skip
from cronherd.domain.run import Reason, Run, RunState
from cronherd.domain.search import RunSearch
from cronherd.domain.timing.frame import Frame, parse_instants
from cronherd.domain.why import Answer, Because, Facts, Verdict, how_late, judge_instant
from cronherd.service.desk import Desk, at_one_instant
from cronherd.service.versions import Version, Versions, previous_slot, slots_within
from cronherd.store.facts import JobRow, LedgerRow, RunFilter
from cronherd.views import API_VERSION, Json, event_view, hold_view, ledger_view

SLOTS_SHOWN = 60  # of one minute
ROWS_READ = 20
# A row of the ledger and the event of the same transaction are written one after the other.
TOGETHER_US = SECOND_US
# What began to keep slots back, and what ended it.
_KINDS: Mapping[str, tuple[tuple[EventKind, ...], tuple[EventKind, ...]]] = {
    Reason.PAUSED: ((EventKind.JOB_PAUSED,), (EventKind.JOB_RESUMED,)),
    Reason.DISABLED: (
        (EventKind.JOB_DISABLED, EventKind.JOB_DELETED),
        (EventKind.JOB_ENABLED, EventKind.JOB_CREATED),
    ),
    Reason.SKIPPED: ((EventKind.SLOTS_SKIPPED,), (EventKind.SKIP_UNDONE,)),
    Reason.EDITED: ((EventKind.JOB_CHANGED,), ()),
}
_CLOCK = re.compile(r"[T ](\d{1,2}(?::\d{2})*)")


class WhyDesk(Desk):
    """What a person may ask of one instant of a job."""

    @at_one_instant
    def why(self, name: str, at: str | None = None) -> Json:
        """Why a job ran at an instant, or did not; without one its newest slot that is past.

        An instant without seconds means the slot in that minute, one without an offset is in the
        job's zone. `items` has an answer for each of the instants that a wall time names.
        """
        row = self._catalog.find_job(name, deleted=True)
        now_us = self._store.now_us()
        versions = Versions(self._catalog.versions(row.id))
        spans = self._spans(row, at, now_us)
        return {
            "api_version": API_VERSION,
            "job": row.job.name,
            "id": row.id,
            "timezone": row.job.timezone,
            "now": format_instant(now_us),
            "items": [self._answer(row, versions, span, now_us) for span in spans],
        }

    def _spans(self, row: JobRow, at: str | None, now_us: int) -> list[tuple[int, int]]:
        """Where to look for slots, from one instant to another."""
        if at is None:
            newest_us = self._newest(row, now_us)
            return [(newest_us, newest_us)]
        found = parse_instants(at, load_zone(row.job.timezone), Frame(fold="both"))
        clock = _CLOCK.search(at.strip())
        exact = clock is not None and clock[1].count(":") > 1
        return [(at_us, at_us if exact else at_us + MINUTE_US - 1) for at_us in found]

    def _newest(self, row: JobRow, now_us: int) -> int:
        """The newest slot that is past; the next one of a job that has none."""
        job = row.job
        dated = job.schedule if not job.chained and not job.ended(row.fired) else None
        slot_us = previous_slot(dated, now_us + 1) if dated else None
        if slot_us is not None and slot_us > max(row.last_slot_us or 0, row.created_us):
            return slot_us
        last_us = self._catalog.last_slot(row.id)
        if last_us is None and dated:
            last_us = dated.next_after(max(now_us, row.last_slot_us or 0))
        return now_us if last_us is None else last_us

    def _answer(self, row: JobRow, versions: Versions, span: tuple[int, int], now_us: int) -> Json:
        version = versions.at(span[0]) or versions.at(span[1])
        job = version.job if version else None
        runs = self._catalog.slot_runs(row.id, *span, SLOTS_SHOWN)
        ledger = self._catalog.slot_ledger(row.id, *span, ROWS_READ)
        slots = _slots_of(row, job, [*_edges(runs, ledger)], span)
        at_us = slots[0] if slots else span[0]
        runs = [run for run in runs if run.scheduled_us == at_us]
        ledger = [entry for entry in ledger if entry.from_us <= at_us <= entry.to_us]
        facts = self._facts(row, version, at_us, now_us, runs, ledger)
        verdict = judge_instant(facts)
        entry = next((each for each in ledger if verdict.row == _skip(each)), None)
        return {
            "at": format_instant(at_us),
            "asked": format_instant(span[0]),
            "answer": verdict.answer.value,
            "reason": str(verdict.reason) or None,
            "details": list(verdict.details),
            "schedule": job.schedule.text if job and job.schedule else None,
            "version": _version_view(version, row),
            "fires_at": format_instant(_fires_us(job, at_us, verdict)),
            "runs": [self._told(run, job) for run in runs],
            "ledger": ledger_view(entry) if entry else None,
            "in_the_way": self._in_the_way(row, verdict),
            "event": self._event(row, version, at_us, verdict, entry),
            "account_from": format_instant(max(row.created_us, row.forgotten_us)),
            "previous": format_instant(versions.previous(at_us)),
            "next": format_instant(_next(row, versions, at_us)),
            "also": [format_instant(slot_us) for slot_us in slots[1:]],
        }

    def _facts(
        self,
        row: JobRow,
        version: Version | None,
        at_us: int,
        now_us: int,
        runs: Sequence[Run],
        ledger: Sequence[LedgerRow],
    ) -> Facts:
        poison = None
        if (row.last_slot_us or 0) < at_us <= now_us:  # nobody has decided it
            names = [row.job.name, row.id]
            poison = self._catalog.event_before(names, [EventKind.JOB_POISONED], now_us)
        return Facts(
            at_us=at_us,
            now_us=now_us,
            job=version.job if version else None,
            unreadable=version is not None and version.job is None,
            created_us=row.created_us,
            runs=tuple(runs),
            rows=tuple(_skip(entry) for entry in ledger),
            enabled=row.enabled,
            paused_until_us=row.paused_until_us,
            skip_us=row.skip_us,
            next_us=row.next_us,
            watermark_us=row.last_slot_us or 0,
            last_slot_us=self._catalog.last_slot(row.id) or 0,
            fired=row.fired,
            forgotten_us=row.forgotten_us,
            hold=hold_view(self._catalog.meta()) is not None,
            alive=any(node.alive(now_us) for node in self._catalog.nodes()),
            poison=poison.text if poison is not None and poison.at_us >= at_us else "",
        )

    def _told(self, run: Run, job: Job | None) -> Json:
        """A run with why it was late, and the run that it waited for."""
        before = None
        limited = job is None or job.permits != UNLIMITED
        if limited and run.started_us is not None:
            before = self._catalog.ended_last(run.job_id, run.created_us, run.started_us)
        return {
            **self._run_view(run),
            "late_because": how_late(run, job, before),
            "waited_for": before.id if before else None,
        }

    def _in_the_way(self, row: JobRow, verdict: Verdict) -> Json | None:
        """The run in the way, as it is now; None when it is not known any more."""
        if verdict.row is not None and verdict.row.ref and len(verdict.row.ref) == 32:
            try:
                return self._run_view(self._catalog.find_run(verdict.row.ref))
            except NotFound:
                return None
        if verdict.reason in {Because.POOL, Because.ROLLING}:
            waiting = RunFilter(job_id=row.id, search=RunSearch.of(RunState.WAITING), limit=1)
            keys = [run.wait_key for run in self._catalog.runs(waiting) if run.wait_key]
            holders = [view for key in keys for view in self._holders(key)]
            return holders[0] if holders else None
        if verdict.reason == Because.PERMIT:
            running = RunFilter(job_id=row.id, search=RunSearch.of(RunState.RUNNING), limit=1)
            runs = self._catalog.runs(running)
            return self._run_view(runs[-1]) if runs else None
        return None

    def _event(
        self,
        row: JobRow,
        version: Version | None,
        at_us: int,
        verdict: Verdict,
        entry: LedgerRow | None,
    ) -> Json | None:
        """Who kept the slot back."""
        if verdict.reason not in _KINDS:
            return None
        began, ended = _KINDS[verdict.reason]
        names = list({row.job.name, row.id, *([version.name] if version else [])})
        told_us = entry.at_us if entry and entry.at_us else self._store.now_us()
        first_us = entry.from_us if entry else at_us
        newest = self._catalog.event_before(names, (*began, *ended), first_us)
        if newest is not None and newest.kind in began and ended:
            return event_view(newest)
        # It came later than the slot, which nobody had looked at; or nobody knows who it was.
        event = self._catalog.event_before(names, began, told_us + TOGETHER_US)
        if event is None or (newest is not None and ended and event.at_us <= newest.at_us):
            return None
        return event_view(event)


def _edges(runs: Sequence[Run], ledger: Sequence[LedgerRow]) -> Iterator[int]:
    """Instants that were slots, whatever the schedule says by now."""
    yield from (run.scheduled_us for run in runs if run.scheduled_us is not None)
    for entry in ledger:
        yield from (entry.from_us, entry.to_us)


def _slots_of(
    row: JobRow, job: Job | None, known: Sequence[int], span: tuple[int, int]
) -> list[int]:
    """The slots from one instant to another, in order."""
    slots = {slot_us for slot_us in known if span[0] <= slot_us <= span[1]}
    if job is not None and job.schedule is not None:
        if not job.chained:
            slots.update(slots_within(job.schedule, *span, SLOTS_SHOWN))
        elif row.next_us is not None and span[0] <= row.next_us <= span[1]:
            slots.add(row.next_us)
    return sorted(slots)


def _skip(entry: LedgerRow) -> Skip:
    return Skip(
        from_us=entry.from_us,
        to_us=entry.to_us,
        count=entry.count,
        reason=entry.reason,
        ref=entry.ref,
    )


def _fires_us(job: Job | None, at_us: int, verdict: Verdict) -> int | None:
    """When a slot fires that its jitter delays."""
    if job is None or verdict.answer in {Answer.NO_SLOT, Answer.UNKNOWN}:
        return None
    fires_us = job.due_at(at_us)
    return fires_us if fires_us != at_us else None


def _next(row: JobRow, versions: Versions, at_us: int) -> int | None:
    if row.job.chained or row.job.ended(row.fired):
        return row.next_us if row.next_us is not None and row.next_us > at_us else None
    return versions.next(at_us)


def _version_view(version: Version | None, row: JobRow) -> Json | None:
    if version is None:
        return None
    return {
        "number": version.number,
        "by": version.by,
        "at": format_instant(version.at_us),
        "present": version.number == row.version,
    }
