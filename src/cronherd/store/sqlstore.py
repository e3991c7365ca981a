"""The whole store over one database: both contracts, put together from their nouns."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from cronherd.store.base import FireBatch
from cronherd.store.claims import ClaimRows
from cronherd.store.database import Database
from cronherd.store.events import EventRows
from cronherd.store.firing import fire
from cronherd.store.history import HistoryRows
from cronherd.store.jobs import JobCache, JobRows
from cronherd.store.nodes import NodeRows
from cronherd.store.promotion import PromotionRows
from cronherd.store.pruning import PruningRows
from cronherd.store.recording import RecordRows


class SqlStore:
    """Implements Store and Catalog. Each verb is the one of its noun."""

    def __init__(self, db: Database, new_id: Callable[[], str]) -> None:
        self.db = db
        self._cache = cache = JobCache()
        self._events = events = EventRows(db, new_id)
        jobs, nodes = JobRows(db, events), NodeRows(db, events)
        claims, records = ClaimRows(db, cache, events), RecordRows(db, events)
        moves, pruning = PromotionRows(db, cache, events), PruningRows(db, cache)
        history = HistoryRows(db, cache)
        self.now_us = db.now_us
        self.look, self.upcoming, self.claim = claims.look, claims.upcoming, claims.claim
        self.claimed_by, self.held_by = claims.claimed_by, claims.held_by
        self.request_run, self.cancel_run = claims.request_run, claims.cancel_run
        self.record = records.record
        self.promote, self.sweep = moves.promote, moves.sweep
        self.register_node, self.renew = nodes.register_node, nodes.renew
        self.release_node, self.nodes = nodes.release_node, nodes.nodes
        self.prune = pruning.prune
        self.save_jobs, self.set_enabled = jobs.save_jobs, jobs.set_enabled
        self.delete_job, self.versions = jobs.delete_job, jobs.versions
        self.find_job, self.jobs = history.find_job, history.jobs
        self.next_jobs = history.next_jobs
        self.jobs_by_key, self.counts = history.jobs_by_key, history.counts
        self.find_run, self.runs = history.find_run, history.runs
        self.attempts, self.output = history.attempts, history.output
        self.ledger, self.events, self.meta = events.ledger, events.events, events.meta

    def fire(self, limit: int) -> AbstractContextManager[FireBatch]:
        return fire(self.db, self._cache, self._events, limit)

    def close(self) -> None:
        """Give the database back."""
        self.db.close()
