"""Runs: asked for, looked at, ended, and what they wrote."""

from collections.abc import Iterator, Mapping
from itertools import islice

from cronherd.domain.errors import Conflict, Invalid, NotFound
from cronherd.domain.ident import SHORT
from cronherd.domain.instant import load_zone
from cronherd.domain.job import Job
from cronherd.domain.param import check_values
from cronherd.domain.place import place_matches, shown_place
from cronherd.domain.run import Cause, RunState
from cronherd.domain.search import RUN_KEYS, joined, read_run_search
from cronherd.domain.telling import read_told
from cronherd.domain.waiting import waits_for_others
from cronherd.service.desk import PAGE_SIZE, Desk, at_one_instant, checked_limit
from cronherd.store.base import Requested
from cronherd.store.facts import RunFilter
from cronherd.views import (
    API_VERSION,
    Json,
    attempt_view,
    page,
    piece_view,
    told_view,
)

DEDUP_LENGTH = 64
OUTPUT_PIECES = 64  # of at most 256 KiB each
LOOKS = 4  # for one page of what is rare


class RunDesk(Desk):
    """What a person may ask of runs."""

    def run_job(
        self,
        name: str,
        actor: str,
        *,
        request_id: str | None = None,
        force: bool = False,
        params: Mapping[str, object] | None = None,
        node: str | None = None,
    ) -> Json:
        """Ask for a run now; the same `request_id` again answers with the same run.

        `params` in the types of the job; texts become what the job wants. `node`: on this one
        alone. A job on all nodes gets a run on each: `runs`, and `refused`, why others got none.
        """
        row = self._catalog.find_job(name)
        values = check_values(row.job.params, params or {})
        here = actor == "local" or actor.startswith("local:")  # no account can be named so
        cause = Cause.MANUAL if here else Cause.API
        key = request_id or self._new_id()
        targets = self._targets(row.job, node)
        asked: list[Requested] = []
        refused: list[Conflict] = []
        for target in targets:
            dedup = f"m:{key}" if target is None or node else f"m:{key}:{target[0][:SHORT]}"
            if len(dedup) > DEDUP_LENGTH:
                raise Invalid("a request id has at most 50 characters", code="bad_request_id")
            try:
                asked.append(
                    self._store.request_run(
                        row.id,
                        self._new_id(),
                        dedup,
                        cause,
                        force=force,
                        params=values,
                        target=target,
                        actor=actor,
                    )
                )
            except Conflict as error:
                refused.append(error)
        self._wake()
        if not asked:
            raise refused[0]
        runs = [self._run_view(self._catalog.find_run(answer.run_id)) for answer in asked]
        return {
            "run": runs[0],
            "runs": runs,
            "refused": [str(error) for error in refused],
            "repeated": all(answer.repeated for answer in asked),
        }

    def _targets(self, job: Job, node: str | None) -> list[tuple[str, str] | None]:
        """The nodes that each get a run; None: one run, wherever it may go."""
        if node is not None:
            found = self._find_node(node)
            if not place_matches(job.place, found.place_labels):
                raise Conflict(
                    f"'{job.name}' may not run on the node '{found.name}'",
                    code="wrong_node",
                    hint=f"it wants {shown_place(job.place)}",
                )
            return [(found.id, found.name)]
        if not job.on_all:
            return [None]
        now_us = self._store.now_us()
        fitting = [
            (each.id, each.name)
            for each in self._catalog.nodes()
            if each.alive(now_us) and place_matches(job.place, each.place_labels)
        ]
        if not fitting:
            raise Conflict(
                f"no live node fits '{job.name}'",
                code="no_node",
                hint=f"it wants {shown_place(job.place) or 'any'}: 'cronherd node list'",
            )
        return [*fitting]

    @at_one_instant
    def list_runs(
        self,
        job: str | None = None,
        state: str | None = None,
        outcome: str | None = None,
        before: str | None = None,
        limit: int = PAGE_SIZE,
        *,
        q: str | None = None,
    ) -> Json:
        """Runs, newest first; `q` as domain/search.py reads it.

        A page may hold fewer than asked for and not be the last. The answer repeats `q`, so that
        nobody takes all runs of a node that does not know it for those that were looked for.
        """
        text = joined(q, RUN_KEYS, job=job, state=state, outcome=outcome) or ""
        search = read_run_search(text, self._store.now_us(), load_zone(self._timezone))
        which = RunFilter(
            job_id=self._catalog.find_job(search.job, deleted=True).id if search.job else None,
            search=search,
            before=before,
            limit=checked_limit(limit),
            looks=LOOKS,
        )
        if search.silent:
            silent = (run for run in self._running(which) if run["state"] in search.silent)
            items = list(islice(silent, limit))
            following = items[-1]["id"] if len(items) == limit else None
        else:
            runs, following = self._catalog.run_page(which)
            items = self._run_views(runs)
        return {**page(items, following), **({} if q is None else {"q": q})}

    @at_one_instant
    def show_run(self, prefix: str) -> Json:
        """One run with its attempts, and what its task told in the last of them.

        `holders`: the runs that hold what it waits for. `job_timezone` is null when the job was
        deleted.
        """
        run = self._catalog.find_run(prefix)
        attempts = self._catalog.attempts(run.id)
        told = read_told(self._catalog.told(run.id, run.attempt))
        return {
            **self._run_view(run),
            "job_timezone": self._zone_of(run.job_id),
            "holders": self._holders(run.wait_key or "") if waits_for_others(run) else [],
            **told_view(told),
            "attempts": [attempt_view(attempt) for attempt in attempts],
        }

    def _zone_of(self, job_id: str) -> str | None:
        """Of the job as it is today."""
        try:
            return self._catalog.find_job(job_id).job.timezone
        except NotFound:
            return None

    def cancel_run(self, prefix: str, actor: str) -> Json:
        """Cancel: a run that has not started ends at once, a started one is killed."""
        run = self._catalog.find_run(prefix)
        if run.state is RunState.FINISHED:
            raise Conflict(
                f"the run {run.id[:8]} has already ended: {run.outcome}", code="already_ended"
            )
        self._store.cancel_run(run.id, actor)
        self._wake()
        return self.show_run(run.id)

    @at_one_instant
    def run_output(
        self, prefix: str, attempt: int | None = None, after: int = -1, limit: int = OUTPUT_PIECES
    ) -> Json:
        """Pieces of output after piece number `after` of an attempt, in order."""
        run = self._catalog.find_run(prefix)
        most = min(checked_limit(limit), OUTPUT_PIECES)
        pieces = self._catalog.output(run.id, attempt, after, most)
        return {
            "api_version": API_VERSION,
            "run": self._run_view(run),
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
                yield {"run": self._run_view(run)}
                return
            else:
                yield {}
