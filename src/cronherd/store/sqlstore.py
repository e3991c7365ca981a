"""The whole store over one database: both contracts, put together from their nouns."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from cronherd.domain.run import Cause
from cronherd.store.account import AccountRows as PastRows
from cronherd.store.accounts import AccountRows
from cronherd.store.applying import ApplyRows
from cronherd.store.backfill import BackfillRows
from cronherd.store.base import FireBatch, Requested
from cronherd.store.booting import BootRows
from cronherd.store.browse import BrowseRows
from cronherd.store.claims import ClaimRows
from cronherd.store.controls import ControlRows
from cronherd.store.corrections import CorrectionRows
from cronherd.store.database import Database, again
from cronherd.store.definitions import JobCache
from cronherd.store.deliveries import DeliveryRows
from cronherd.store.events import EventRows
from cronherd.store.firing import fire
from cronherd.store.history import HistoryRows
from cronherd.store.jobpages import JobPages
from cronherd.store.jobs import JobRows
from cronherd.store.locks import LockRows
from cronherd.store.lowbound import LowBound
from cronherd.store.nodes import NodeRows
from cronherd.store.outbox import OutboxRows
from cronherd.store.pacing import UNPACED, Pace
from cronherd.store.poolrows import PoolRows
from cronherd.store.promotion import PromotionRows
from cronherd.store.pruning import PruningRows
from cronherd.store.pulse import PulseRows
from cronherd.store.recent import RecentRows
from cronherd.store.recording import RecordRows
from cronherd.store.secrets import SecretRows
from cronherd.store.sessions import FailureRows, SessionRows, TokenRows
from cronherd.store.slots import SlotRows
from cronherd.store.takeover import TakeoverRows


class SqlStore:
    """Implements Store and Catalog. Each verb is the one of its noun."""

    def __init__(self, db: Database, new_id: Callable[[], str], pace: Pace = UNPACED) -> None:
        self.db = db
        self._pace = pace
        self._cache = cache = JobCache()
        self._events = events = EventRows(db, new_id)
        self._bound = bound = LowBound()
        jobs, controls = JobRows(db, events), ControlRows(db, events)
        claims = ClaimRows(db, cache, events, bound)
        records = RecordRows(db, cache, events, CorrectionRows(db, events))
        takeovers = TakeoverRows(db, events, records)
        moves, pruning = PromotionRows(db, cache, events, pace), PruningRows(db, cache)
        self.account = PastRows(db).account
        self.boot_jobs = BootRows(db, cache).boot_jobs
        self.backfill = again(BackfillRows(db, cache, events, pace).backfill)
        history, slots = HistoryRows(db, cache), SlotRows(db)
        self.now_us, self.one_view = db.now_us, db.read
        self.look, self.upcoming, self.claim = claims.look, claims.upcoming, again(claims.claim)
        self.claimed_by, self.held_by = claims.claimed_by, claims.held_by
        self._request_run = again(claims.request_run)
        self.cancel_run = again(claims.cancel_run)
        self.record = again(records.record)
        self.promote, self.sweep = again(moves.promote), again(moves.sweep)
        self.take_over = again(takeovers.take_over)
        self.remove_node = again(takeovers.remove_node)
        self.prune = again(pruning.prune)
        self._take_jobs(jobs, ApplyRows(db, events, jobs))
        self.set_enabled = again(controls.set_enabled)
        self.pause_job, self.resume_job = again(controls.pause_job), again(controls.resume_job)
        self.skip_next, self.undo_skip = again(controls.skip_next), again(controls.undo_skip)
        self.delete_job = again(controls.delete_job)
        self._take_pages(BrowseRows(db, cache, history), JobPages(db, cache), PulseRows(db))
        self.find_job, self.next_jobs = history.find_job, history.next_jobs
        self.job_plans = history.job_plans
        self.jobs_by_key, self.find_run = history.jobs_by_key, history.find_run
        recent = RecentRows(db)
        self.last_ended, self.ended_since = recent.last_ended, recent.ended_since
        self.run_spans = recent.run_spans
        self.attempts, self.output = history.attempts, history.output
        self.told = history.told
        self._take_secrets(SecretRows(db, events))
        self._take_outbox(OutboxRows(db, events), DeliveryRows(db))
        self._take_pools(PoolRows(db, events))
        self._take_nodes(NodeRows(db, events))
        self._take_people(AccountRows(db, events))
        self._take_sessions(SessionRows(db, events), TokenRows(db, events), FailureRows(db, events))
        self._take_locks(LockRows(db, events))
        self.note = again(events.note)
        self.ledger, self.events, self.meta = events.ledger, events.events, events.meta
        self.ledger_page, self.event_page = events.ledger_page, events.event_page
        self.last_pause = events.last_pause
        self._take_slots(slots)

    def _take_jobs(self, jobs: JobRows, applying: ApplyRows) -> None:
        self.save_jobs, self.versions = again(jobs.save_jobs), jobs.versions
        self.creation = jobs.creation
        self.kept_jobs, self.apply_jobs = applying.kept_jobs, again(applying.apply_jobs)

    def _take_slots(self, slots: SlotRows) -> None:
        self.slot_runs, self.slot_ledger = slots.slot_runs, slots.slot_ledger
        self.last_slot, self.ended_last = slots.last_slot, slots.ended_last
        self.event_before = slots.event_before

    def _take_secrets(self, secrets: SecretRows) -> None:
        self.secrets, self.sealed = secrets.secrets, secrets.sealed
        self.set_secret = again(secrets.set_secret)
        self.remove_secret = again(secrets.remove_secret)
        self.reseal_secrets = again(secrets.reseal_secrets)
        self.secret_users = secrets.secret_users

    def _take_pages(self, runs: BrowseRows, pages: JobPages, pulse: PulseRows) -> None:
        self.pulse, self.runs_by_id = pulse.pulse, pulse.runs_by_id
        self.fresh_output = pulse.fresh_output
        self.jobs, self.job_page = pages.jobs, pages.job_page
        self.job_ranks, self.job_names = pages.job_ranks, pages.job_names
        self.runs, self.run_page = runs.runs, runs.run_page
        self.ended_counts, self.standings = pages.ended_counts, pages.standings

    def _take_outbox(self, posts: OutboxRows, rows: DeliveryRows) -> None:
        self.deliver, self.delivered = again(rows.deliver), again(rows.delivered)
        self.claim_posts, self.settle_posts = again(posts.claim_posts), again(posts.settle_posts)
        self.beat_heart, self.tidy_posts = again(posts.beat_heart), again(posts.tidy_posts)
        self.posts, self.post_counts = posts.posts, posts.post_counts
        self.post_page = posts.post_page
        self.add_test, self.retry_posts = again(posts.add_test), again(posts.retry_posts)

    def _take_locks(self, locks: LockRows) -> None:
        self.acquire_lock, self.renew_lock = again(locks.acquire_lock), again(locks.renew_lock)
        self.release_lock, self.clear_lock = again(locks.release_lock), again(locks.clear_lock)
        self.locks = locks.locks

    def _take_nodes(self, nodes: NodeRows) -> None:
        self.register_node = again(nodes.register_node)
        self.renew, self.release_node = again(nodes.renew), again(nodes.release_node)
        self.nodes, self.peers = nodes.nodes, nodes.peers
        self.set_drained, self.set_hold = again(nodes.set_drained), again(nodes.set_hold)

    def _take_pools(self, pools: PoolRows) -> None:
        self.pools, self.holders = pools.pools, pools.holders
        self.pool_users = pools.pool_users
        self.set_pool, self.remove_pool = again(pools.set_pool), again(pools.remove_pool)

    def request_run(
        self, job_id: str, run_id: str, dedup: str, cause: Cause, **how: Any
    ) -> Requested:
        """Asked for, and past its pools if they have room."""
        answer = self._request_run(job_id, run_id, dedup, cause, **how)
        if answer.lined_up is not None:
            self.promote([answer.lined_up])
        return answer

    def _take_people(self, people: AccountRows) -> None:
        self.accounts, self.find_account = people.accounts, people.find_account
        self.has_admin, self.password_of = people.has_admin, people.password_of
        self.add_account = again(people.add_account)
        self.change_account = again(people.change_account)
        self.remove_account = again(people.remove_account)
        self.set_password, self.change_hash = again(people.set_password), again(people.change_hash)
        self.add_link = again(people.add_link)
        self.link, self.use_link = people.link, again(people.use_link)

    def _take_sessions(
        self, sessions: SessionRows, tokens: TokenRows, failures: FailureRows
    ) -> None:
        self.open_session, self.session = again(sessions.open_session), again(sessions.session)
        self.sessions, self.end_session = sessions.sessions, again(sessions.end_session)
        self.end_sessions = again(sessions.end_sessions)
        self.add_token, self.revoke_token = again(tokens.add_token), again(tokens.revoke_token)
        self.tokens, self.token = tokens.tokens, again(tokens.token)
        self.begin_login, self.end_login = again(failures.begin_login), again(failures.end_login)

    def fire(self, limit: int) -> AbstractContextManager[FireBatch]:
        return fire(self.db, self._cache, self._events, self._bound, self._pace, limit)

    def close(self) -> None:
        """Give the database back."""
        self.db.close()
