"""A stretch of time: what ran in it, what did not, and what will."""

from collections.abc import Iterator, Sequence

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import DAY_US, HOUR_US, format_instant, parse_instant
from cronherd.domain.run import RunState
from cronherd.service.desk import Desk, at_one_instant
from cronherd.service.told import Ahead, upcoming_slots
from cronherd.store.facts import JobPlan, JobRow, RunSpan
from cronherd.views import API_VERSION, Json, ledger_view, seconds, silent_word

LONGEST_US = 31 * DAY_US
STEPS = 1_000
RUNS_READ = 500  # of the past, newest first
RUNS_LIVE = 250
MISSED_READ = 300
JOBS_READ = 300  # those that are due first
SLOTS_COUNTED = 5_000
LOOK_BACK_US = HOUR_US  # runs that began so long before and ended within are seen


class TimelineDesk(Desk):
    """What a person may ask of the past and the future at once."""

    @at_one_instant
    def timeline(self, start: str, end: str, step_s: int = 60, *, job: str | None = None) -> Json:
        """Runs, missed slots and slots to come between two instants.

        Slots of one job within one step are told as one with a `count`. What was not read since
        there is too much of it is said: nothing before `complete_from`, after `complete_until`.
        Raises Invalid for a stretch that is too long.
        """
        from_us, to_us = parse_instant(start), parse_instant(end)
        step_us = step_s * 1_000_000
        span_us = to_us - from_us
        if not 0 < span_us <= LONGEST_US or step_us <= 0 or span_us // step_us > STEPS:
            text = f"at most 31 days, in at most {STEPS:,} steps"
            raise Invalid(text, code="bad_stretch", where="to")
        row = self._catalog.find_job(job) if job else None
        now_us = self._store.now_us()
        runs, since_us = self._runs(row, from_us, min(to_us, now_us))
        slots, until_us = self._slots(row, step_us, now_us, (from_us, to_us))
        missed = [
            ledger_view(entry)
            for entry in self._catalog.ledger(row.id if row else None, MISSED_READ)
            if entry.to_us >= from_us and entry.from_us <= to_us
        ]
        return {
            "api_version": API_VERSION,
            "now": format_instant(now_us),
            "from": format_instant(from_us),
            "to": format_instant(to_us),
            "step_s": step_s,
            "job": row.job.name if row else None,
            "complete_from": format_instant(since_us),
            "complete_until": format_instant(until_us),
            "runs": [_run_view(run, now_us) for run in runs],
            "missed": missed,
            "slots": slots,
        }

    def _runs(self, row: JobRow | None, from_us: int, to_us: int) -> tuple[list[RunSpan], int]:
        """The runs that touch [from, to], newest first, and from when on they are all of them."""
        job_id, before_us = row.id if row else None, to_us + 1_000
        found = self._catalog.run_spans(job_id, before_us, RUNS_READ)
        since_us = from_us
        kept = [run for run in found if run.created_us >= from_us - LOOK_BACK_US]
        if len(found) == RUNS_READ:
            since_us = max(from_us, found[-1].created_us)
        # What runs still may be older than all of these.
        seen = {run.run_id for run in kept}
        live = self._catalog.run_spans(job_id, before_us, RUNS_LIVE, running=True)
        kept += [run for run in live if run.run_id not in seen]
        runs = [run for run in kept if run.ended_us is None or run.ended_us >= from_us]
        return sorted(runs, key=lambda run: run.created_us, reverse=True), since_us

    def _slots(
        self, row: JobRow | None, step_us: int, now_us: int, span: tuple[int, int]
    ) -> tuple[list[Json], int]:
        """Slots to come between two instants, and until when they are all of them."""
        from_us, to_us = span
        rows: Sequence[JobRow | JobPlan] = [row] if row else self._catalog.job_plans(JOBS_READ)
        until_us = to_us
        if len(rows) == JOBS_READ:
            until_us = min(until_us, max(rows[-1].next_us or to_us, now_us))
        told: list[Json] = []
        left, ahead = SLOTS_COUNTED, Ahead()
        # Those that are due last are the rarest: what they do not need is for the others.
        for place, each in enumerate(reversed(rows)):
            most = max(left // (len(rows) - place), 1)
            slots = list(_until(upcoming_slots(each, now_us, now_us, most, ahead), to_us))
            left -= len(slots)
            if len(slots) == most:
                until_us = min(until_us, slots[-1])
            told += _steps(each, [slot for slot in slots if slot >= from_us], step_us)
        return told, until_us


def _run_view(run: RunSpan, now_us: int) -> Json:
    """What a picture shows of a run; the run itself has all that is known of it."""
    silent = run.state is RunState.RUNNING and run.lease_us is not None and run.lease_us < now_us
    return {
        "id": run.run_id,
        "job": run.job_name,
        "state": silent_word(run.lease_us, now_us) if silent else run.state.value,
        "outcome": run.outcome.value if run.outcome else None,
        "created_at": format_instant(run.created_us),
        "started_at": format_instant(run.started_us),
        "ended_at": format_instant(run.ended_us),
        "duration_s": seconds(run.started_us, run.ended_us),
        "node": run.node,
    }


def _until(slots: Iterator[int], to_us: int) -> Iterator[int]:
    for slot_us in slots:
        if slot_us > to_us:
            return
        yield slot_us


def _steps(row: JobRow | JobPlan, slots: Sequence[int], step_us: int) -> list[Json]:
    """The slots of a job, those within one step as one."""
    counts: dict[int, list[int]] = {}
    for slot_us in slots:
        counts.setdefault(slot_us // step_us, []).append(slot_us)
    told = []
    for some in counts.values():
        at = format_instant(some[0])
        last = at if len(some) == 1 else format_instant(some[-1])
        count = len(some)
        told.append({"job": row.job.name, "job_id": row.id, "at": at, "last": last, "count": count})
    return told
