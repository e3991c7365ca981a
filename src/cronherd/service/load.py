"""How busy the fleet was and will be: counts in equal steps, and the last runs of jobs as bars."""

import re
from collections.abc import Sequence

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import DAY_US, format_instant
from cronherd.domain.policy import FOREVER_US
from cronherd.service.desk import Desk, at_one_instant
from cronherd.service.told import Ahead, upcoming_slots
from cronherd.views import API_VERSION, Json, ended_view

_ID = re.compile(r"[0-9a-f]{32}")
TREND_JOBS = 200
TREND_RUNS = 100
STEPS = 500
LONGEST_US = 31 * DAY_US
ENDED_READ = 5_000  # runs of the past that one look goes through
JOBS_READ = 500  # jobs whose slots of the future are counted, those that are due first
SLOTS_COUNTED = 10_000


class LoadDesk(Desk):
    """What a person may ask of the past and the future at once."""

    @at_one_instant
    def trends(self, jobs: Sequence[str], count: int = 30) -> Json:
        """The last runs of jobs, by job id, oldest first. Raises Invalid for too many."""
        if len(jobs) > TREND_JOBS or not 1 <= count <= TREND_RUNS:
            text = f"at most {TREND_JOBS} jobs and {TREND_RUNS} runs of each"
            raise Invalid(text, code="bad_limit", where="jobs")
        wrong = next((job for job in jobs if not _ID.fullmatch(job)), None)
        if wrong is not None:
            raise Invalid(f"'{wrong[:40]}' is not the id of a job", code="bad_id", where="job")
        found: dict[str, list[Json]] = {job: [] for job in jobs}
        for ended in reversed(self._catalog.last_ended(list(found), count) if jobs else []):
            found[ended.job_id].append(ended_view(ended))
        for runs in found.values():
            runs.sort(key=lambda run: str(run["created_at"]))
        return {"api_version": API_VERSION, "jobs": found}

    @at_one_instant
    def load(self, past_s: int, next_s: int, step_s: int) -> Json:
        """Counts per step from `past_s` seconds ago to `next_s` from now, on whole steps.

        `steps`: of the past by outcome, of the future as slots to come. What was not read since
        there is too much of it is said: nothing before `complete_from`, after `complete_until`.
        """
        step_us, past_us, next_us = step_s * 1_000_000, past_s * 1_000_000, next_s * 1_000_000
        _check(step_us, past_us, next_us)
        now_us = self._store.now_us()
        from_us = (now_us - past_us) // step_us * step_us
        count = -(-(now_us + next_us - from_us) // step_us)
        steps: list[Json] = [
            {"from": format_instant(from_us + place * step_us), "ended": {}, "slots": 0}
            for place in range(count)
        ]
        since_us = self._count_past(steps, from_us, step_us)
        until_us = self._count_future(steps, from_us, step_us, now_us)
        return {
            "api_version": API_VERSION,
            "now": format_instant(now_us),
            "step_s": step_s,
            "complete_from": format_instant(since_us),
            "complete_until": format_instant(until_us),
            "steps": steps,
        }

    def _count_past(self, steps: list[Json], from_us: int, step_us: int) -> int:
        counts, since_us = self._catalog.ended_since(from_us, step_us, ENDED_READ)
        for begin_us, outcome, count in counts:
            place = (begin_us - from_us) // step_us
            if 0 <= place < len(steps):
                steps[place]["ended"][outcome.value] = count
        return from_us if since_us is None else since_us

    def _count_future(self, steps: list[Json], from_us: int, step_us: int, now_us: int) -> int:
        end_us, left = from_us + len(steps) * step_us, SLOTS_COUNTED
        rows = self._catalog.job_plans(JOBS_READ)
        if len(rows) == JOBS_READ:
            end_us = min(end_us, max(rows[-1].next_us or FOREVER_US, now_us))
        ahead = Ahead()
        for row in rows:
            for slot_us in upcoming_slots(row, now_us, now_us, left, ahead):
                if slot_us >= end_us:
                    break
                steps[(slot_us - from_us) // step_us]["slots"] += 1
                left -= 1
            if not left:
                return now_us
        return end_us


def _check(step_us: int, past_us: int, next_us: int) -> None:
    spans = 0 <= past_us <= LONGEST_US and 0 <= next_us <= LONGEST_US
    if not spans or step_us <= 0 or (past_us + next_us) // step_us > STEPS:
        text = f"at most 31 days to each side, in at most {STEPS} steps"
        raise Invalid(text, code="bad_stretch", where="step")
