"""How a job changes: what a definition would mean, the versions before it, and the way back."""

from collections.abc import Mapping

from cronherd.definition.jobs import read_job
from cronherd.domain.errors import Conflict, Invalid, InvalidInput, NotFound
from cronherd.domain.instant import format_instant
from cronherd.domain.job import Job
from cronherd.domain.timing.preview import next_slots
from cronherd.service.desk import PAGE_SIZE, at_one_instant, checked_limit
from cronherd.service.jobs import JobDesk
from cronherd.service.told import schedule_words
from cronherd.store.facts import JobRow
from cronherd.views import API_VERSION, Json, changed

PREVIEWED = 5  # slots that a preview names
# What says when a job runs: previewed even while the rest of a definition is not finished.
_TIMING = (
    "timezone", "schedule", "window", "excluding", "start", "end", "dst_gap", "dst_fold",
    "jitter", "max_runs",
)  # fmt: skip


class ChangeDesk(JobDesk):
    """What a person may ask of the definitions of a job."""

    def preview_job(self, definition: object, name: str | None = None) -> Json:
        """What a definition would mean, saved as a new job or in the place of the job `name`.

        `errors` are its faults; what can be said in spite of them is said. `changes` are null
        while there are faults, `definition` is the canonical one. Nothing is changed.
        """
        row = self._catalog.find_job(name) if name else None
        now_us = self._store.now_us()
        errors: list[Invalid] = []
        whole: Job | None = None
        try:
            whole = self._read(definition)
            errors += self._taken(whole, row)
        except InvalidInput as error:
            errors += error.errors
        job = whole or self._timed(definition)
        schedule = job.schedule if job else None
        dated = schedule if job and not job.chained else None
        slots = next_slots(dated, now_us, PREVIEWED) if dated else []
        return {
            "api_version": API_VERSION,
            "errors": [
                {"where": one.where, "text": one.text, "code": one.code, "hint": one.hint}
                for one in errors
            ],
            "definition": dict(whole.spec) if whole else None,
            "timezone": job.timezone if job else None,
            "schedule": schedule.text if schedule else None,
            "slots": [format_instant(slot_us) for slot_us in slots],
            "fires_at": [format_instant(job.due_at(slot_us)) for slot_us in slots] if job else [],
            **(schedule_words(job, now_us, slots) if job else {"explained": [], "marks": {}}),
            "changes": None if whole is None else _changes(row, whole),
            "version": row.version if row else None,
            "now": format_instant(now_us),
        }

    def _taken(self, job: Job, row: JobRow | None) -> list[Invalid]:
        other = self._catalog.jobs_by_key([job.key]).get(job.key)
        if other is None or (row is not None and other.id == row.id):
            return []
        text = f"another job is named '{other.job.name}'"
        return [Invalid(text, code="name_taken", where="name")]

    def _timed(self, definition: object) -> Job | None:
        """A job of the times of a definition alone; None when they are at fault too."""
        if not isinstance(definition, Mapping):
            return None
        times = {key: definition[key] for key in _TIMING if key in definition}
        name = definition.get("name")
        kept = name if isinstance(name, str) and name.strip() else "preview"  # `H` draws by it
        for tried in (kept, "preview"):
            try:
                return self._read({"name": tried, "command": "true", **times})
            except InvalidInput:
                continue
        return None

    @at_one_instant
    def list_versions(self, name: str, before: int | None = None, limit: int = PAGE_SIZE) -> Json:
        """The definitions a job has had, newest first; `changes`: against the one before.

        Whether a job is enabled is a switch and no part of a version.
        """
        row = self._catalog.find_job(name)
        told = self._catalog.versions(row.id)
        most = checked_limit(limit)
        items = []
        for place, (number, spec, by, at_us) in enumerate(told):
            if before is not None and number >= before:
                continue
            older = told[place + 1][1] if place + 1 < len(told) else None
            items.append(
                {
                    "number": number,
                    "by": by,
                    "at": format_instant(at_us),
                    "present": number == row.version,
                    "definition": dict(spec),
                    "changes": None if older is None else changed(older, spec),
                }
            )
            if len(items) == most:
                break
        more = bool(items) and items[-1]["number"] != told[-1][0]
        return {
            "api_version": API_VERSION,
            "job": row.job.name,
            "id": row.id,
            "source": row.source,
            "version": row.version,
            "items": items,
            "next": items[-1]["number"] if more else None,
        }

    def rollback_job(self, name: str, to: int, version: int | None, actor: str) -> Json:
        """Make an earlier definition the present one again, as a new version.

        `version` is the one that was looked at, None: whatever. Raises NotFound for a version
        that is not kept, Conflict when it says what the job says anyway.
        """
        row = self._catalog.find_job(name)
        spec = next((each[1] for each in self._catalog.versions(row.id) if each[0] == to), None)
        if spec is None:
            raise NotFound(
                f"'{row.job.name}' has no version {to}",
                code="no_such_version",
                hint=f"it is at version {row.version}",
            )
        wanted = dict(spec)
        if not changed(row.job.spec, wanted):
            raise Conflict(
                f"version {to} says what '{row.job.name}' says now", code="same_definition"
            )
        # As it was: what the fleet's defaults say today is no part of it.
        job = read_job(wanted, timezone=self._timezone, now_us=self._store.now_us())
        return self._replace(row, job, version, actor)


def _changes(row: JobRow | None, job: Job) -> list[Json]:
    """What saving it would change; the switch only where the definition says something of it."""
    old = dict(row.job.spec) if row else {}
    if row and "enabled" in job.spec:
        old["enabled"] = row.enabled
    return changed(old, job.spec)
