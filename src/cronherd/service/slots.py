"""Slots: those to come, those somebody skips, and those of the past that run after all."""

import shlex
from collections.abc import Iterator, Sequence

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import format_instant, load_zone, parse_instant
from cronherd.domain.job import Job
from cronherd.domain.timing.rule import Schedule
from cronherd.service.desk import PAGE_LIMIT, Desk, at_one_instant, checked_limit
from cronherd.service.told import COUNT_LIMIT, schedule_words, upcoming_slots
from cronherd.service.versions import slots_within
from cronherd.store.facts import JobRow
from cronherd.views import API_VERSION, Json, pause_view, upcoming_us

BACKFILL_LIMIT = 1_000  # runs that one request may ask for


class SlotDesk(Desk):
    """What a person may ask of single slots."""

    @at_one_instant
    def next_slots(self, name: str, count: int, from_us: int | None = None) -> Json:
        """The next slots of a job that will run, and when each of them fires."""
        row = self._catalog.find_job(name)
        now_us = self._store.now_us()
        at_us = now_us if from_us is None else from_us
        slots = list(upcoming_slots(row, at_us, now_us, checked_limit(count)))
        return {
            "job": row.job.name,
            "schedule": row.job.schedule.text if row.job.schedule else None,
            "timezone": row.job.timezone,
            "enabled": row.enabled,
            **pause_view(row, now_us),
            "slots": [format_instant(slot_us) for slot_us in slots],
            "fires_at": [format_instant(row.job.due_at(slot_us)) for slot_us in slots],
            **schedule_words(row.job, at_us, slots),
        }

    def skip_next(self, name: str, actor: str, *, count: int = 1) -> Json:
        """Let so many more slots pass. All that are skipped now; raises Conflict without any."""
        row = self._catalog.find_job(name)
        slots = self._catalog.skip_next(row.id, _checked_count(count), actor)
        self._wake()
        return self._skip_view(row.id, slots, ())

    def undo_skip(self, name: str, actor: str) -> Json:
        """Let them run again; `undone` are the slots that were to be skipped, maybe none."""
        row = self._catalog.find_job(name)
        undone = list(_skipped(row))
        self._catalog.undo_skip(row.id, actor)
        self._wake()
        return self._skip_view(row.id, (), undone)

    def _skip_view(self, job_id: str, slots: Sequence[int], undone: Sequence[int]) -> Json:
        row = self._catalog.find_job(job_id)
        return {
            "job": row.job.name,
            "id": row.id,
            "timezone": row.job.timezone,
            "slots": [format_instant(slot_us) for slot_us in slots],
            "undone": [format_instant(slot_us) for slot_us in undone],
            "next_at": format_instant(upcoming_us(row)),
        }

    def backfill(
        self, name: str, actor: str, *, start: str, end: str, dry_run: bool = False
    ) -> Json:
        """A run for each slot in [start, end] that had none; an instant is in the job's zone.

        Slots are those of the schedule as it is today, up to the last one that was decided.
        """
        row = self._catalog.find_job(name)
        schedule = _dated(row.job)
        zone = load_zone(row.job.timezone)
        from_us, to_us = parse_instant(start, zone), parse_instant(end, zone)
        if to_us < from_us:
            raise Invalid(
                f"{format_instant(to_us)} is before {format_instant(from_us)}",
                code="bad_range",
                where="to",
            )
        until_us = min(to_us, row.last_slot_us or 0)
        slots = _slots_within(row.job, schedule, from_us, until_us)
        ran = self._ran(row, slots)
        made: dict[int, str] = {}
        if slots and not dry_run:
            asked = [(self._new_id(), slot_us) for slot_us in slots if slot_us not in ran]
            done = self._catalog.backfill(row.id, asked, actor) if asked else []
            made = {entry.slot_us: entry.run_id for entry in done if entry.made}
            ran |= {entry.slot_us: entry.run_id for entry in done if not entry.made}
            self._wake()
        return {
            "api_version": API_VERSION,
            "job": row.job.name,
            "id": row.id,
            "timezone": row.job.timezone,
            "from": format_instant(from_us),
            "to": format_instant(max(until_us, from_us)),
            "dry_run": dry_run,
            "made": len(made),
            "ran": len(ran),
            "slots": [
                {
                    "slot": format_instant(slot_us),
                    "run": made.get(slot_us) or ran.get(slot_us),
                    "ran": slot_us in ran,
                }
                for slot_us in slots
            ],
        }

    def _ran(self, row: JobRow, slots: Sequence[int]) -> dict[int, str]:
        """The runs that these slots have already."""
        if not slots:
            return {}
        runs = self._catalog.slot_runs(row.id, slots[0], slots[-1], COUNT_LIMIT)
        known = {run.scheduled_us: run.id for run in runs}
        return {slot_us: known[slot_us] for slot_us in slots if slot_us in known}


def _skipped(row: JobRow) -> Iterator[int]:
    """The slots to come that somebody skips."""
    if row.skip_us is None or row.next_us is None or row.job.schedule is None:
        return
    slot_us: int | None = row.next_us
    if not row.job.chained and row.last_slot_us is not None:
        slot_us = row.job.schedule.next_after(row.last_slot_us)
    while slot_us is not None and slot_us <= row.skip_us:
        yield slot_us
        slot_us = None if row.job.chained else row.job.schedule.next_after(slot_us)


def _checked_count(count: int) -> int:
    if not 1 <= count <= PAGE_LIMIT:
        raise Invalid(f"between 1 and {PAGE_LIMIT} slots", code="bad_count", where="count")
    return count


def _dated(job: Job) -> Schedule:
    """The schedule of a job whose slots of the past can be told. Raises Invalid."""
    if job.schedule is None:
        why = "has no schedule"
    elif job.chained:
        why = f"runs {job.schedule.text} the end of its previous run"
    elif job.at_boot and job.schedule.next_after(0) is None:
        why = "runs when its host starts"
    else:
        return job.schedule
    raise Invalid(
        f"'{job.name}' {why}, so no slots of the past can be told",
        code="no_slots",
        hint=f"cronherd job run {shlex.quote(job.name)}",
    )


def _slots_within(job: Job, schedule: Schedule, from_us: int, until_us: int) -> list[int]:
    """The slots in [from, until]. Raises Invalid when they are too many."""
    slots = slots_within(schedule, from_us, until_us, COUNT_LIMIT)
    if len(slots) > BACKFILL_LIMIT:
        number = f"{len(slots):,}" if len(slots) < COUNT_LIMIT else f"at least {COUNT_LIMIT:,}"
        raise Invalid(
            f"'{job.name}' has {number} slots in this range, at most {BACKFILL_LIMIT:,} are "
            "made at once",
            code="too_many_slots",
            hint=f"end it at {format_instant(slots[BACKFILL_LIMIT - 1])}, then go on from there",
        )
    return slots
