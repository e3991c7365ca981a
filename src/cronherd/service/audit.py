"""The audit: whether each slot of the past has its outcome, job by job."""

from collections.abc import Mapping
from typing import Any

from cronherd.domain.audit import Audit, InForce, audit
from cronherd.domain.errors import CronherdError, Invalid
from cronherd.domain.instant import DAY_US, format_instant, load_zone, parse_instant
from cronherd.domain.job import build_job
from cronherd.service.desk import Desk, at_one_instant, checked_limit
from cronherd.store.facts import JobRow
from cronherd.views import Json, page

LONGEST_US = 400 * DAY_US  # as long as the ledger is kept
USUAL_US = 7 * DAY_US
SHOWN = 20  # findings of a kind that are listed; their number is always told


class AuditDesk(Desk):
    """What a person may ask of the account."""

    @at_one_instant
    def audit(
        self,
        job: str | None = None,
        start: str | None = None,
        end: str | None = None,
        after: str | None = None,
        limit: int = 50,
    ) -> Json:
        """Recount the slots of one job, or of a page of all; from the last seven days on.

        A stretch ends where the job was worked off to, and begins no earlier than its account.
        """
        if job is not None:
            rows, following = [self._catalog.find_job(job)], None
        else:
            rows = self._catalog.jobs(after, checked_limit(limit))
            following = rows[-1].job.key if len(rows) == limit else None
        now_us = self._store.now_us()
        return page([self._audit(row, start, end, now_us) for row in rows], following)

    def _audit(self, row: JobRow, start: str | None, end: str | None, now_us: int) -> Json:
        zone = load_zone(row.job.timezone)
        asked_us = now_us - USUAL_US if start is None else parse_instant(start, zone)
        end_us = now_us if end is None else parse_instant(end, zone)
        _check_stretch(asked_us, end_us)
        from_us = max(asked_us, row.created_us, row.forgotten_us)
        until_us = max(from_us, min(end_us, row.last_slot_us or 0))
        versions = [
            _in_force(row, number, spec, at_us)
            for number, spec, _, at_us in reversed(self._catalog.versions(row.id))
        ]
        ran, told = self._catalog.account(row.id, from_us, until_us)
        found = audit(versions, ran, told, from_us=from_us, until_us=until_us)
        return _view(row, found, now_us)


def _check_stretch(from_us: int, until_us: int) -> None:
    if from_us >= until_us:
        text = f"{format_instant(from_us)} is not before the end, {format_instant(until_us)}"
        hint = "give --from an instant before --to; without --to the end is now"
    elif until_us - from_us > LONGEST_US:
        text = "an audit looks at a stretch of at most 400 days"
        hint = "give --from an instant at most 400 days before --to"
    else:
        return
    raise Invalid(text, code="bad_stretch", hint=hint, where="from")


def _in_force(row: JobRow, number: int, spec: Mapping[str, Any], at_us: int) -> InForce:
    try:
        job = build_job(spec)
    except (CronherdError, ArithmeticError, LookupError, TypeError, ValueError):
        return InForce(from_us=at_us, schedule=None)
    ends = job.max_runs is not None and (number < row.version or job.ended(row.fired))
    return InForce(from_us=at_us, schedule=job.schedule, ends=ends)


def _view(row: JobRow, found: Audit, now_us: int) -> Json:
    return {
        "job": row.job.name,
        "id": row.id,
        "timezone": row.job.timezone,
        "from": format_instant(found.from_us),
        "to": format_instant(found.until_us),
        "kept_since": format_instant(max(row.created_us, row.forgotten_us)),
        "slots": found.slots,
        "ran": found.ran,
        "told": {reason: count for reason, count in sorted(found.told.items()) if count},
        "pending": _pending(row, now_us),
        "sound": found.sound,
        "unexplained": _list(found.unexplained),
        "twice": _list(found.twice),
        "uncalled": _list(found.uncalled),
        "miscounted": _list([told.from_us for told in found.miscounted]),
    }


def _pending(row: JobRow, now_us: int) -> bool:
    """Whether a slot is due that nobody has worked off yet."""
    return row.next_us is not None and row.next_us <= now_us


def _list(instants: list[int]) -> Json:
    return {"count": len(instants), "first": [format_instant(at_us) for at_us in instants[:SHOWN]]}
