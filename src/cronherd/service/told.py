"""What is said of a job's schedule: its words, and marks at slots that a clock change touches."""

from collections.abc import Iterator

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import format_instant, load_zone
from cronherd.domain.job import Job
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.timing.explained import explain
from cronherd.domain.timing.preview import mark_slots
from cronherd.domain.timing.schedule import Schedule
from cronherd.store.facts import JobPlan, JobRow
from cronherd.views import Json, upcoming_us

COUNT_LIMIT = 100_000  # no sentence needs a larger number


def schedule_words(job: Job, from_us: int, slots: list[int]) -> Json:
    """`explained`: sentences; `marks`: by slot, where there is one. Slots are after from_us."""
    if job.schedule is None:
        return {"explained": [], "marks": {}}
    zone = load_zone(job.timezone)
    marked = mark_slots(job.schedule, zone, from_us, slots)
    return {
        "explained": explain(job.schedule, zone),
        "marks": {format_instant(slot_us): mark for slot_us, mark in marked if mark},
    }


class Ahead:
    """What schedules say next, worked out once for all jobs of one answer that share them."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], int | None] = {}

    def next_after(self, schedule: Schedule, after_us: int) -> int | None:
        """As the schedule's own, which lives at least as long as this."""
        key = id(schedule), after_us
        if key not in self._known:
            self._known[key] = schedule.next_after(after_us)
        return self._known[key]


def upcoming_slots(
    row: JobRow | JobPlan, at_us: int, now_us: int, count: int, ahead: Ahead | None = None
) -> Iterator[int]:
    """The slots that fire after `at_us` and start a run, as far as is known now.

    None that a pause swallows or somebody skips, and none behind the last of `max_runs`.
    """
    job = row.job
    if job.schedule is None or not row.enabled or row.paused_until_us == FOREVER_US:
        return
    if job.chained:
        following = upcoming_us(row)
        yield from [] if following is None else [following]
        return
    left = None if job.max_runs is None else job.max_runs - row.fired
    begin_us = at_us if left is None else min(at_us, now_us)
    # A slot that is past may still fire, later by its jitter; what is decided may not.
    begin_us = max(begin_us - job.jitter_us, row.last_slot_us or 0, row.skip_us or 0)
    ahead = ahead or Ahead()
    slot_us = ahead.next_after(job.schedule, max(begin_us, (row.paused_until_us or 0) - 1))
    passed = 0
    while slot_us is not None and count and left != 0:
        fires_us = job.due_at(slot_us)
        if fires_us > now_us:
            left = None if left is None else left - 1
            if fires_us > at_us:
                yield slot_us
                count -= 1
            else:
                passed = _counted(job, passed, at_us)
        slot_us = ahead.next_after(job.schedule, slot_us)


def _counted(job: Job, passed: int, at_us: int) -> int:
    """One more slot before an instant. Raises Invalid when they are too many to be counted."""
    if passed >= COUNT_LIMIT:
        text = f"'{job.name}' has more than {COUNT_LIMIT:,} slots before {format_instant(at_us)}"
        raise Invalid(text, code="too_many_slots", where="from")
    return passed + 1
