"""One function per thing a person wants; answers are the documents of views.py."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeVar

from cronherd import __version__
from cronherd.definition.jobs import read_job
from cronherd.domain.errors import Conflict, Invalid, InvalidInput
from cronherd.domain.instant import format_instant
from cronherd.domain.job import Job
from cronherd.domain.run import Cause, Outcome, RunState
from cronherd.store.base import Catalog, JobRow, JobWrite, RunFilter, Store
from cronherd.views import (
    API_VERSION,
    Json,
    attempt_view,
    changed,
    definition_of,
    event_view,
    job_details,
    job_view,
    ledger_view,
    node_view,
    page,
    piece_view,
    run_view,
)

PAGE_SIZE = 50
PAGE_LIMIT = 1_000  # more in one answer helps nobody and holds memory
APPLY_LIMIT = 20_000  # jobs in one transaction
OUTPUT_PIECES = 64  # of at most 256 KiB each
BY_HAND = "command"

Word = TypeVar("Word", RunState, Outcome)


class Waiter(Protocol):
    """Waits a little for something new; False when the service is closing."""

    def __call__(self) -> bool: ...


class Service:
    """What a person may ask of a fleet.

    `wake` tells the engine of this process, if there is one, that there is something to do;
    `new_id` makes ids; `pause` waits between two looks at a growing output.
    """

    def __init__(
        self,
        store: Store,
        catalog: Catalog,
        *,
        new_id: Callable[[], str],
        wake: Callable[[], None],
        pause: Waiter,
        timezone: str,
        defaults: Mapping[str, object] | None = None,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._new_id = new_id
        self._wake = wake
        self._pause = pause
        self._timezone = timezone
        self._defaults = defaults or {}

    # Jobs

    def list_jobs(self, after: str | None = None, limit: int = 500) -> Json:
        """Jobs in the order of their names; raises Invalid for a limit out of range."""
        rows = self._catalog.jobs(after, _limit(limit))
        following = rows[-1].job.key if len(rows) == limit else None
        return page([job_view(row) for row in rows], following)

    def show_job(self, name: str) -> Json:
        """One job with its definition, its last runs and its last missed slots."""
        row = self._catalog.find_job(name)
        runs = self._catalog.runs(RunFilter(job_id=row.id, limit=10))
        missed = self._catalog.ledger(row.id, 5)
        return {
            **job_details(row),
            "runs": [run_view(run) for run in runs],
            "missed": [ledger_view(entry) for entry in missed],
        }

    def create_job(self, definition: object, actor: str, source: str = BY_HAND) -> Json:
        """A new job. Raises InvalidInput, or Conflict when the name is taken."""
        job = self._read(definition)
        write = JobWrite(
            id=self._new_id(), job=job, enabled=_enabled(job, default=True), source=source
        )
        self._catalog.save_jobs([write], actor)
        self._wake()
        return self.show_job(job.name)

    def edit_job(self, name: str, definition: object, version: int | None, actor: str) -> Json:
        """Replace a job's definition; `version` is the one the editor saw, None: whatever."""
        row = self._catalog.find_job(name)
        job = self._read(definition)
        write = JobWrite(
            id=row.id,
            job=job,
            enabled=_enabled(job, default=row.enabled),
            source=row.source,
            version=row.version if version is None else version,
        )
        self._catalog.save_jobs([write], actor)
        self._wake()
        return self.show_job(job.name)

    def set_enabled(self, name: str, actor: str, *, enabled: bool) -> Json:
        """Enable or disable; the same again changes nothing."""
        row = self._catalog.find_job(name)
        if row.enabled != enabled:
            self._catalog.set_enabled(row.id, actor, enabled=enabled)
            self._wake()
        return self.show_job(row.id)

    def delete_job(self, name: str, actor: str) -> Json:
        """Delete a job; its runs stay. A running one runs to its end."""
        row = self._catalog.find_job(name)
        self._catalog.delete_job(row.id, actor)
        return {"deleted": row.job.name, "id": row.id}

    def apply_jobs(
        self, definitions: Sequence[object], source: str, actor: str, *, dry_run: bool
    ) -> Json:
        """Make the jobs of one source what these definitions say, all or nothing.

        Answers with one change per definition: create, update (with what differs) or none.
        """
        if len(definitions) > APPLY_LIMIT:
            raise Invalid(f"at most {APPLY_LIMIT} jobs at once", code="too_many")
        jobs = self._read_all(definitions)
        known = self._catalog.jobs_by_key([job.key for job in jobs])
        changes, writes = [], []
        for job in jobs:
            change, write = self._change(job, known.get(job.key), source)
            changes.append(change)
            if write is not None:
                writes.append(write)
        if writes and not dry_run:
            self._catalog.save_jobs(writes, actor)
            self._wake()
        return {"api_version": API_VERSION, "applied": not dry_run, "changes": changes}

    def _change(self, job: Job, row: JobRow | None, source: str) -> tuple[Json, JobWrite | None]:
        if row is None:
            enabled = _enabled(job, default=True)
            write = JobWrite(id=self._new_id(), job=job, enabled=enabled, source=source)
            return {"name": job.name, "change": "create", "differences": []}, write
        if row.source not in {source, BY_HAND}:
            raise Conflict(
                f"the job '{job.name}' belongs to {row.source}",
                code="other_source",
                hint="rename one of the two, or delete the other first",
            )
        enabled = _enabled(job, default=row.enabled)
        new = {key: value for key, value in job.spec.items() if key != "enabled"}
        differences = changed(
            {**definition_of(row), "enabled": row.enabled}, {**new, "enabled": enabled}
        )
        if not differences and row.source == source:
            return {"name": job.name, "change": "none", "differences": []}, None
        write = JobWrite(id=row.id, job=job, enabled=enabled, source=source, version=row.version)
        return {"name": job.name, "change": "update", "differences": differences}, write

    # Runs

    def run_job(
        self, name: str, actor: str, *, request_id: str | None = None, force: bool = False
    ) -> Json:
        """Ask for a run now; the same `request_id` again answers with the same run."""
        row = self._catalog.find_job(name)
        run_id = self._new_id()
        dedup = f"m:{request_id or run_id}"
        if len(dedup) > 64:
            raise Invalid("a request id has at most 62 characters", code="bad_request_id")
        cause = Cause.MANUAL if actor.startswith("local") else Cause.API
        answer = self._store.request_run(row.id, run_id, dedup, cause, force=force)
        self._wake()
        run = self._catalog.find_run(answer.run_id)
        return {"run": run_view(run), "repeated": answer.repeated}

    def list_runs(
        self,
        job: str | None = None,
        state: str | None = None,
        outcome: str | None = None,
        before: str | None = None,
        limit: int = PAGE_SIZE,
    ) -> Json:
        """Runs, newest first."""
        which = RunFilter(
            job_id=self._catalog.find_job(job, deleted=True).id if job else None,
            state=_word(RunState, state, "state"),
            outcome=_word(Outcome, outcome, "outcome"),
            before=before,
            limit=_limit(limit),
        )
        runs = self._catalog.runs(which)
        following = runs[-1].id if len(runs) == limit else None
        return page([run_view(run) for run in runs], following)

    def show_run(self, prefix: str) -> Json:
        """One run with its attempts."""
        run = self._catalog.find_run(prefix)
        attempts = self._catalog.attempts(run.id)
        return {**run_view(run), "attempts": [attempt_view(attempt) for attempt in attempts]}

    def cancel_run(self, prefix: str, actor: str) -> Json:
        """Cancel: a run that has not started ends at once, a started one is killed."""
        del actor  # the event of accounts comes with accounts
        run = self._catalog.find_run(prefix)
        if run.state is RunState.FINISHED:
            raise Conflict(
                f"the run {run.id[:8]} has already ended: {run.outcome}", code="already_ended"
            )
        self._store.cancel_run(run.id)
        self._wake()
        return self.show_run(run.id)

    def run_output(
        self, prefix: str, attempt: int | None = None, after: int = -1, limit: int = OUTPUT_PIECES
    ) -> Json:
        """Pieces of output after piece number `after` of an attempt, in order."""
        run = self._catalog.find_run(prefix)
        pieces = self._catalog.output(run.id, attempt, after, min(_limit(limit), OUTPUT_PIECES))
        return {
            "api_version": API_VERSION,
            "run": run_view(run),
            "items": [piece_view(piece) for piece in pieces],
        }

    def follow_output(self, prefix: str) -> Iterator[Json]:
        """Pieces as they come, until the run has ended; then the run itself, as `{"run": …}`.

        An empty document says that there is nothing new: who serves it notices a reader's leave.
        """
        run_id = self._catalog.find_run(prefix).id
        attempt, after = 1, -1
        while True:
            run = self._catalog.find_run(run_id)
            pieces = self._catalog.output(run_id, attempt, after, OUTPUT_PIECES)
            for piece in pieces:
                after = piece.seq
                yield piece_view(piece)
            if pieces:
                continue
            if attempt < run.attempt:
                attempt, after = attempt + 1, -1
            elif run.state is RunState.FINISHED or not self._pause():
                yield {"run": run_view(run)}
                return
            else:
                yield {}

    # The whole

    def next_slots(self, name: str, count: int, from_us: int | None = None) -> Json:
        """The next slots of a job as they will fire."""
        row = self._catalog.find_job(name)
        at_us = self._store.now_us() if from_us is None else from_us
        slots: list[str | None] = []
        schedule = row.job.schedule
        if schedule is not None and row.job.chained:
            slots = [format_instant(row.next_us)] if row.next_us else []
        elif schedule is not None and row.enabled:
            for _ in range(_limit(count)):
                following = schedule.next_after(at_us)
                if following is None:
                    break
                at_us = following
                slots.append(format_instant(at_us))
        return {
            "job": row.job.name,
            "schedule": schedule.text if schedule else None,
            "timezone": row.job.timezone,
            "enabled": row.enabled,
            "slots": slots,
        }

    def timers(self, limit: int = 500) -> Json:
        """Jobs by their next slot."""
        items = [
            {
                "next_at": format_instant(row.next_us),
                "last_at": format_instant(row.last.created_us) if row.last else None,
                "job": row.job.name,
                "node": row.job.run_on.get("node") or row.job.place or None,
                "timezone": row.job.timezone,
                "last_outcome": row.last.outcome if row.last else None,
            }
            for row in self._catalog.next_jobs(_limit(limit))
        ]
        now_us = self._store.now_us()
        return {**page(items, None), "now": format_instant(now_us)}

    def status(self) -> Json:
        """The fleet at a glance."""
        now_us = self._store.now_us()
        meta = self._catalog.meta()
        return {
            "api_version": API_VERSION,
            "version": __version__,
            "now": format_instant(now_us),
            "timezone": meta.get("timezone", self._timezone),
            "schema": meta.get("schema", ""),
            "counts": dict(self._catalog.counts()),
            "nodes": [node_view(node, now_us) for node in self._catalog.nodes()],
            "missed": [ledger_view(row) for row in self._catalog.ledger(None, 5)],
            "events": [event_view(event) for event in self._catalog.events(5)],
        }

    def list_nodes(self) -> Json:
        """The hosts of the fleet."""
        now_us = self._store.now_us()
        return page([node_view(node, now_us) for node in self._catalog.nodes()], None)

    def list_ledger(self, job: str | None = None, limit: int = PAGE_SIZE) -> Json:
        """Slots that did not run, newest first."""
        job_id = self._catalog.find_job(job).id if job else None
        rows = self._catalog.ledger(job_id, _limit(limit))
        return page([ledger_view(row) for row in rows], None)

    def list_events(self, limit: int = PAGE_SIZE) -> Json:
        """Facts about people, nodes and alarms, newest first."""
        return page([event_view(event) for event in self._catalog.events(_limit(limit))], None)

    def health(self) -> Json:
        """Whether the database answers; raises Unavailable when it does not."""
        return {"status": "ok", "version": __version__, "now": format_instant(self._store.now_us())}

    def _read(self, definition: object) -> Job:
        return read_job(
            definition,
            timezone=self._timezone,
            now_us=self._store.now_us(),
            defaults=self._defaults,
        )

    def _read_all(self, definitions: Sequence[object]) -> list[Job]:
        jobs: dict[str, Job] = {}
        errors: list[Invalid] = []
        for number, definition in enumerate(definitions):
            try:
                job = self._read(definition)
            except InvalidInput as error:
                errors += [_at(number, fault) for fault in error.errors]
                continue
            if job.key in jobs:
                errors.append(Invalid(f"two jobs are named '{job.name}'", code="duplicate_name"))
            jobs[job.key] = job
        if errors:
            raise InvalidInput(errors)
        return list(jobs.values())


def _at(number: int, fault: Invalid) -> Invalid:
    where = f"jobs[{number}].{fault.where}" if fault.where else f"jobs[{number}]"
    return Invalid(fault.text, code=fault.code, hint=fault.hint, where=where)


def _enabled(job: Job, *, default: bool) -> bool:
    return bool(job.spec.get("enabled", default))


def _limit(limit: int) -> int:
    if not 1 <= limit <= PAGE_LIMIT:
        raise Invalid(f"a limit is between 1 and {PAGE_LIMIT}", code="bad_limit")
    return limit


def _word(kind: type[Word], text: str | None, what: str) -> Word | None:
    if text is None:
        return None
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(kind)
        raise Invalid(f"unknown {what} '{text[:40]}'", code=f"bad_{what}", hint=known) from None
