"""The definitions of a job that were in force one after the other, and the slots they named."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cronherd.domain.errors import CronherdError
from cronherd.domain.instant import DAY_US, SECOND_US
from cronherd.domain.job import Job, build_job
from cronherd.domain.timing.rule import Schedule

Told = tuple[int, Mapping[str, object], str, int]
DECADE_US = 3_653 * DAY_US
LOOKED_AT = 50  # versions on the way to the slot before or behind


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A definition and since when it was in force; `job` None when nobody here can read it."""

    number: int
    by: str
    at_us: int
    name: str
    job: Job | None


class Versions:
    """All of a job, newest first as the catalog tells them; each is read when it is asked for."""

    def __init__(self, told: Sequence[Told]) -> None:
        self._told = told
        self._known: dict[int, Version] = {}

    def at(self, at_us: int) -> Version | None:
        """The one in force at an instant; a slot at the very instant of a change is of the old."""
        place = self._place(at_us)
        return None if place is None else self._read(place)

    def next(self, at_us: int) -> int | None:
        """The first slot behind an instant by whatever is in force then."""
        place = self._place(at_us)
        place = len(self._told) - 1 if place is None else place
        for turn in range(place, max(place - LOOKED_AT, -1), -1):
            schedule = _dated(self._read(turn))
            after_us = max(at_us, self._told[turn][3])
            slot_us = schedule.next_after(after_us) if schedule else None
            if slot_us is not None and (turn == 0 or slot_us <= self._told[turn - 1][3]):
                return slot_us
        return None

    def previous(self, at_us: int) -> int | None:
        """The last slot before an instant by whatever was in force then."""
        place = self._place(at_us)
        if place is None:
            return None
        for turn in range(place, min(place + LOOKED_AT, len(self._told))):
            schedule = _dated(self._read(turn))
            slot_us = previous_slot(schedule, at_us) if schedule else None
            begins_us = self._told[turn][3]
            if slot_us is not None and slot_us > begins_us:
                return slot_us
            at_us = min(at_us, begins_us + 1)
        return None

    def _place(self, at_us: int) -> int | None:
        return next((turn for turn, told in enumerate(self._told) if told[3] < at_us), None)

    def _read(self, turn: int) -> Version:
        if turn not in self._known:
            self._known[turn] = self._build(turn)
        return self._known[turn]

    def _build(self, turn: int) -> Version:
        number, spec, by, at_us = self._told[turn]
        job: Job | None
        try:
            job = build_job(spec)
        except (CronherdError, KeyError, TypeError, ValueError):  # of another version of ours
            job = None
        return Version(number=number, by=by, at_us=at_us, name=str(spec.get("name", "")), job=job)


def slots_within(schedule: Schedule, from_us: int, until_us: int, limit: int) -> list[int]:
    """The slots in [from, until], at most so many."""
    slots: list[int] = []
    slot_us = schedule.next_after(from_us - 1)
    while slot_us is not None and slot_us <= until_us and len(slots) < limit:
        slots.append(slot_us)
        slot_us = schedule.next_after(slot_us)
    return slots


def previous_slot(schedule: Schedule, at_us: int) -> int | None:
    """The last slot before an instant; None when there is none in the ten years before."""
    span_us = SECOND_US
    while span_us < DECADE_US and not _has_one(schedule, max(at_us - span_us, 0), at_us):
        span_us *= 4
    low_us, high_us = max(at_us - min(span_us, DECADE_US), 0), at_us - 1
    if not _has_one(schedule, low_us, at_us):
        return None
    # Between the two there is one after `low_us` and none after `high_us`: the last is in between.
    while high_us - low_us > 1:
        middle_us = (low_us + high_us) // 2
        if _has_one(schedule, middle_us, at_us):
            low_us = middle_us
        else:
            high_us = middle_us
    return schedule.next_after(low_us)


def _has_one(schedule: Schedule, after_us: int, before_us: int) -> bool:
    slot_us = schedule.next_after(after_us)
    return slot_us is not None and slot_us < before_us


def _dated(version: Version) -> Schedule | None:
    """Its schedule, when that names instants."""
    job = version.job
    return None if job is None or job.chained else job.schedule
