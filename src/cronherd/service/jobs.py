"""Jobs: what they are, and the switches that keep them from starting."""

from collections.abc import Callable

from cronherd.definition.jobs import read_job
from cronherd.domain.duration import parse_duration
from cronherd.domain.errors import Conflict, Invalid
from cronherd.domain.instant import format_instant, load_zone, parse_instant
from cronherd.domain.job import BY_HAND, Job
from cronherd.domain.joborder import JobOrder, read_order
from cronherd.domain.place import place_matches
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.search import JOB_KEYS, JobSearch, joined, read_job_search
from cronherd.service import joborder
from cronherd.service.desk import Desk, at_one_instant, checked_limit
from cronherd.service.told import schedule_words, upcoming_slots
from cronherd.store.facts import JobRow, JobWrite, RunFilter
from cronherd.views import (
    Json,
    is_paused,
    job_details,
    job_view,
    ledger_view,
    page,
    pause_words,
)

REQUEST_LENGTH = 64
PAGES_LOOKED_AT = 5  # for one page of an answer that few jobs belong to
_UPCOMING = 5  # slots that the answer about one job names

_Fits = Callable[[Job], bool]


class JobDesk(Desk):
    """What a person may ask of jobs."""

    @at_one_instant
    def list_jobs(
        self,
        after: str | None = None,
        limit: int = 500,
        *,
        tag: str | None = None,
        node: str | None = None,
        q: str | None = None,
        sort: str | None = None,
    ) -> Json:
        """Jobs in the order of their names; raises Invalid for a limit out of range.

        `sort`: in another order (domain/joborder.py), where `after` says how many come before;
        raises Invalid when more than 1,000 jobs may match, since no index has their order.

        `tag`: only those that have it. `node`: only those that no other registered node may run.
        `q` as domain/search.py reads it. A page may hold fewer than asked for and not be the last.
        The answer repeats what was asked for, so that nobody takes all jobs of a node that does
        not know it for the chosen.
        """
        search = read_job_search(joined(q, JOB_KEYS, tag=tag, node=node) or "")
        fits = self._bound_to(search.node) if search.node is not None else _always
        if sort is None:
            rows, following = self._by_name(search, fits, after, checked_limit(limit))
        else:
            order = read_order(sort)
            rows, following = self._by_order(search, fits, order, after, checked_limit(limit))
        now_us = self._store.now_us()
        which = {"tag": tag, "node": node, "q": q, "sort": sort}
        return {
            **page([job_view(row, now_us) for row in rows], following),
            **{key: value for key, value in which.items() if value is not None},
        }

    def _by_name(
        self, search: JobSearch, fits: _Fits, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        rows: list[JobRow] = []
        for _ in range(PAGES_LOOKED_AT):
            found, after = self._catalog.job_page(search, after, limit)
            rows += [row for row in found if fits(row.job)]
            if after is None or len(rows) >= limit:
                break
        if len(rows) > limit:
            rows = rows[:limit]
            after = rows[-1].job.key
        return rows, after

    def _by_order(
        self, search: JobSearch, fits: _Fits, order: JobOrder, after: str | None, limit: int
    ) -> tuple[list[JobRow], str | None]:
        """Of all that match what they are put in order by, and the whole of one page of them."""
        begin = _place(after)
        ranks = self._catalog.job_ranks(search, joborder.MOST)
        if ranks is None:
            raise Invalid(
                f"more than {joborder.MOST:,} jobs may match: they are told by name only",
                code="too_many_to_sort",
                where="sort",
                hint="search for fewer, by a tag for example",
            )
        keys = joborder.keys_in_order([rank for rank in ranks if fits(rank.job)], order)
        chosen = keys[begin : begin + limit]
        found = self._catalog.jobs_by_key(chosen)
        following = str(begin + limit) if begin + limit < len(keys) else None
        return [found[key] for key in chosen], following

    def _bound_to(self, name: str) -> _Fits:
        """Whether a job may run on this node and, by its labels, on no other one."""
        node = self._find_node(name)
        others = [each.place_labels for each in self._catalog.nodes() if each.id != node.id]
        labels = node.place_labels

        def fits(job: Job) -> bool:
            place = job.place
            return place_matches(place, labels) and not any(
                place_matches(place, other) for other in others
            )

        return fits

    @at_one_instant
    def show_job(self, name: str) -> Json:
        """One job with its definition, its last runs and missed slots, and why it is paused."""
        row = self._catalog.find_job(name)
        runs = self._catalog.runs(RunFilter(job_id=row.id, limit=10))
        missed = self._catalog.ledger(row.id, 5)
        now_us = self._store.now_us()
        told = self._catalog.last_pause(row.job.name) if is_paused(row, now_us) else None
        slots = list(upcoming_slots(row, now_us, now_us, _UPCOMING))
        return {
            **job_details(row, now_us),
            **pause_words(row, told, now_us),
            "upcoming": [format_instant(slot_us) for slot_us in slots],
            **schedule_words(row.job, now_us, slots),
            "runs": self._run_views(runs),
            "missed": [ledger_view(entry) for entry in missed],
        }

    def create_job(
        self,
        definition: object,
        actor: str,
        source: str = BY_HAND,
        *,
        request_id: str | None = None,
    ) -> Json:
        """A new job. Raises InvalidInput, or Conflict when the name is taken.

        The same `request_id` again, for seven days, answers with the job it made: `repeated`.
        """
        job = self._read(definition)
        request = f"c:{request_id}" if request_id else None
        if request is not None and not (len(request) <= REQUEST_LENGTH and request.isascii()):
            raise Invalid("a request id has at most 62 ASCII characters", code="bad_request_id")
        write = JobWrite(
            id=self._new_id(), job=job, enabled=said_enabled(job), source=source, request=request
        )
        self._catalog.save_jobs([write], actor)
        self._wake()
        shown = self.show_job(job.name)
        made = write.id if request is None else self._catalog.creation(shown["id"], request)
        return {**shown, "repeated": made != write.id}

    def edit_job(self, name: str, definition: object, version: int | None, actor: str) -> Json:
        """Replace a job's definition; `version` is the one the editor saw, None: whatever."""
        row = self._catalog.find_job(name)
        return self._replace(row, self._read(definition), version, actor)

    def _replace(self, row: JobRow, job: Job, version: int | None, actor: str) -> Json:
        write = JobWrite(
            id=row.id,
            job=job,
            enabled=said_enabled(job),
            source=row.source,
            version=row.version if version is None else version,
        )
        self._catalog.save_jobs([write], actor)
        self._wake()
        return self.show_job(job.name)

    # Switches: each answer names the runs that were first, in `started_before`

    def set_enabled(self, name: str, actor: str, *, enabled: bool) -> Json:
        """Enable or disable; the same again changes nothing."""
        row = self._catalog.find_job(name)
        first = self._catalog.set_enabled(row.id, actor, enabled=enabled)
        if row.enabled != enabled:
            self._wake()
        return {**self.show_job(row.id), "started_before": list(first)}

    def pause_job(
        self,
        name: str,
        actor: str,
        *,
        until: str | None = None,
        length: str | float | None = None,
    ) -> Json:
        """Start nothing until then, or for that long; with neither, until it is resumed.

        An instant without an offset is in the job's zone. A paused job gets the new end.
        """
        row = self._catalog.find_job(name)
        until_us = self._pause_end(row, until, length)
        first = self._catalog.pause_job(row.id, until_us, actor)
        self._wake()
        return {**self.show_job(row.id), "started_before": list(first)}

    def _pause_end(self, row: JobRow, until: str | None, length: str | float | None) -> int:
        if until is not None and length is not None:
            raise Invalid("give an end or a length, not both", code="bad_pause", where="until")
        now_us = self._store.now_us()
        if length is not None:
            length_us = parse_duration(length)
            if length_us == 0:
                raise Invalid("a pause lasts longer than nothing", code="bad_pause", where="for")
            return now_us + length_us
        if until is None:
            return FOREVER_US
        until_us = parse_instant(until, load_zone(row.job.timezone))
        if until_us <= now_us:
            raise Invalid(
                f"{format_instant(until_us)} has passed, it is {format_instant(now_us)}",
                code="in_the_past",
                hint=f"without an offset the zone of the job is meant: {row.job.timezone}",
                where="until",
            )
        return until_us

    def resume_job(self, name: str, actor: str) -> Json:
        """End a pause. Raises Conflict for a job that is not paused."""
        row = self._catalog.find_job(name)
        if not is_paused(row, self._store.now_us()):
            hint = "" if row.enabled else f"it is disabled: cronherd job enable {row.job.name}"
            raise Conflict(f"the job '{row.job.name}' is not paused", code="not_paused", hint=hint)
        self._catalog.resume_job(row.id, actor)
        self._wake()
        return self.show_job(row.id)

    def delete_job(self, name: str, actor: str) -> Json:
        """Delete a job; its runs stay. A running one runs to its end."""
        row = self._catalog.find_job(name)
        first = self._catalog.delete_job(row.id, actor)
        return {"deleted": row.job.name, "id": row.id, "started_before": list(first)}

    def _read(self, definition: object, now_us: int | None = None) -> Job:
        """`now_us`: where many are read, the clock is asked once for all."""
        return read_job(
            definition,
            timezone=self._timezone,
            now_us=self._store.now_us() if now_us is None else now_us,
            defaults=self._defaults,
        )


def _always(job: Job) -> bool:  # noqa: ARG001 - what nobody asks about
    return True


def _place(after: str | None) -> int:
    """How many jobs come before a page. Raises Invalid for what is no number of them."""
    if after is None:
        return 0
    if not (after.isascii() and after.isdecimal() and len(after) <= len(str(joborder.MOST))):
        text = f"'{after[:40]}' is no place in this order"
        raise Invalid(text, code="bad_cursor", where="after")
    return int(after)


def said_enabled(job: Job) -> bool | None:
    """Whether its definition says that it is enabled; None when it says nothing."""
    said = job.spec.get("enabled")
    return None if said is None else bool(said)
