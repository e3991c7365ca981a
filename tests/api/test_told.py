"""What answers say of a job's schedule: its words, and the slots that a clock change touches."""

from cronherd.domain.instant import parse_instant
from cronherd.domain.job import Job, build_job
from cronherd.domain.timing.preview import next_slots
from cronherd.service.told import schedule_words


def job(**spec: object) -> Job:
    return build_job({"name": "x", "command": "true", "timezone": "Europe/Berlin", **spec})


def test_a_schedule_has_words_and_marks():
    found = job(schedule="30 2 * * *", excluding="Sat")
    assert found.schedule is not None
    from_us = parse_instant("2027-03-27")
    told = schedule_words(found, from_us, next_slots(found.schedule, from_us, 3))
    assert told["explained"][:2] == ["At 02:30 every day.", "Not on Saturday."]
    assert told["marks"] == {"2027-03-28T01:00:00Z": "moved: 02:30 does not exist on this day"}


def test_a_job_without_a_schedule_has_none():
    assert schedule_words(job(), 0, []) == {"explained": [], "marks": {}}
