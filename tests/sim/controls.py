"""Controls: what people do to jobs and nodes. Each locks the due row, then the job's runs."""

from collections.abc import Sequence

from cronherd.domain.admission import gate_key
from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.planner import missed_between
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Outcome, Reason, RunState
from cronherd.store.facts import JobWrite
from tests.sim.rows import JobLine
from tests.sim.tables import STARTED, UNSTARTED, Tables


class Controls(Tables):
    """The controls of Catalog."""

    def save_jobs(self, writes: Sequence[JobWrite], actor: str) -> None:
        for write in writes:
            line = self.lines.get(self.keys.get(write.job.key, ""))
            if write.version is None:
                if line is not None and not line.deleted:
                    if line.id == write.id and _stored_before(write, line, 1):
                        continue
                    raise Conflict(f"'{write.job.name}' exists already", code="name_taken")
                self._create(write, line)
                continue
            if line is not None and line.id != write.id:
                raise Conflict(f"'{write.job.name}' exists already", code="name_taken")
            line = self._line(write.id)
            if line.version != write.version:
                if _stored_before(write, line, write.version + 1):
                    continue
                raise Conflict("it was changed meanwhile", code="version_conflict")
            self._edit(line, write)
        self.changed()

    def _create(self, write: JobWrite, tomb: JobLine | None) -> None:
        """A new job, or a tombstone revived: its watermark stays, so no slot fires twice."""
        now_us = self.clock()
        if tomb is None:
            tomb = JobLine(
                id=write.id,
                job=write.job,
                version=0,
                enabled=True,
                next_us=None,
                slot_us=now_us,
                last_slot_us=now_us,
            )
            self.lines[write.id] = tomb
            self.keys[write.job.key] = write.id
        tomb.touched += 1
        tomb.deleted, tomb.enabled = False, write.enabled is not False
        tomb.paused_until_us = None
        unlimited = tomb.job.permits == UNLIMITED
        self._stamp(tomb, write.job)
        self._arm(tomb, max(tomb.last_slot_us, now_us))
        if unlimited and write.job.permits != UNLIMITED:
            self._bind(tomb)

    def _edit(self, line: JobLine, write: JobWrite) -> None:
        now_us, old, was = self.clock(), line.job, line.enabled
        enabled = was if write.enabled is None else write.enabled
        line.touched += 1
        line.enabled = enabled
        if not (was and enabled and old.schedule == write.job.schedule):
            # Slots of the old rule that were due but not yet planned do not vanish.
            self._account(line, old, Reason.EDITED if was else Reason.DISABLED)
            line.last_slot_us = max(line.last_slot_us, now_us)
            self._stamp(line, write.job)
            self._arm(line, line.last_slot_us)
        else:
            self._stamp(line, write.job)
            self._unarm(line)
        for row in self.of_job(line.id, UNSTARTED):
            row.version, row.place, row.prio = line.version, write.job.place, write.job.priority
            if (row.wait_key or "").startswith("@"):
                row.wait_key = f"@{write.job.place}"
        if write.job.permits != UNLIMITED and old.permits == UNLIMITED:
            self._bind(line)
        if was and not enabled:
            self.hold(self.of_job(line.id, UNSTARTED))
        if enabled and not was and not self.paused(line):
            self.let_go(line)

    def _bind(self, line: JobLine) -> None:
        """A job that had no limit has one now: what runs is counted, what is ready lines up."""
        for row in self.of_job(line.id, {RunState.READY, RunState.DELAYED, *STARTED}):
            if row.limited:
                continue
            if row.state is RunState.READY:
                row.state, row.wait_key = RunState.WAITING, gate_key(line.id)
                continue
            free = next(n for n in range(10_000) if (line.id, n) not in self.permits)
            self.take_permit(row, free)

    def set_enabled(self, job_id: str, actor: str, *, enabled: bool) -> list[str]:
        line = self._line(job_id)
        if line.enabled == enabled:  # asked again: who was first is still first
            return [] if enabled else self.begun(job_id)
        line.touched += 1
        line.enabled = enabled
        if enabled:
            self._account(line, line.job, Reason.DISABLED)
            self._arm(line, line.last_slot_us)
            if not self.paused(line):
                self.let_go(line)
        else:
            self._account(line, line.job, Reason.DISABLED)
            line.next_us = None
            self.hold(self.of_job(job_id, UNSTARTED))
        self.changed()
        return [] if enabled else self.begun(job_id)

    def pause_job(self, job_id: str, until_us: int, actor: str) -> list[str]:
        line = self._line(job_id)
        line.touched += 1
        # A pause that is there already keeps what it swallowed; the new one begins now.
        if line.enabled:
            self._account(line, line.job, Reason.PAUSED)
        line.next_us, line.paused_until_us, line.paused_us = None, until_us, self.clock()
        if line.enabled:
            self._arm(line, line.last_slot_us)
        self.hold(self.of_job(job_id, UNSTARTED))
        self.changed()
        return self.begun(job_id)

    def resume_job(self, job_id: str, actor: str) -> None:
        line = self._line(job_id)
        if line.paused_until_us is None:
            raise Conflict("that job is not paused", code="not_paused")
        line.touched += 1
        line.paused_until_us, line.next_us = None, None
        if line.enabled:
            self._account(line, line.job, Reason.PAUSED)
            self._arm(line, line.last_slot_us)
            self.let_go(line)
        self.changed()

    def delete_job(self, job_id: str, actor: str) -> list[str]:
        line = self._line(job_id)
        line.touched += 1
        self._account(line, line.job, Reason.DISABLED)
        line.next_us, line.enabled, line.deleted = None, False, True
        line.paused_until_us = None
        unstarted = self.of_job(job_id, UNSTARTED)
        self.end_unstarted(unstarted, Outcome.CANCELLED, "the job was deleted")
        self.changed()
        return self.begun(job_id)

    def set_drained(self, node_id: str, actor: str, *, drained: bool) -> None:
        if node_id not in self.hosts or self.hosts[node_id].removed:
            raise NotFound("that node does not exist", code="no_such_node")
        self.hosts[node_id].drained = drained
        self.changed()

    def set_hold(self, actor: str, *, hold: bool) -> None:
        self.holding = hold
        self.changed()

    # ------------------------------------------------------------------ what they share

    def _line(self, job_id: str) -> JobLine:
        line = self.lines.get(job_id)
        if line is None or line.deleted:
            raise NotFound("that job no longer exists", code="no_such_job")
        return line

    def _stamp(self, line: JobLine, job: Job) -> None:
        line.version += 1
        line.job = line.versions[line.version] = job

    def _account(self, line: JobLine, job: Job, reason: Reason) -> None:
        """What was due and is not planned goes into the ledger, the pause's share first."""
        now_us, until_us = self.clock(), line.paused_until_us
        if until_us is not None:
            self._add_gap(line, job, min(now_us, until_us - 1), Reason.PAUSED)
        self._add_gap(line, job, now_us, reason)

    def _add_gap(self, line: JobLine, job: Job, until_us: int, reason: Reason) -> None:
        """The watermark follows what is in the ledger."""
        skip = missed_between(job, line.last_slot_us, until_us, reason)
        if skip is not None:
            self.add_skip(line.id, skip)
            line.last_slot_us = max(line.last_slot_us, skip.to_us)

    def paused(self, line: JobLine) -> bool:
        """Whether nothing of it is to start until later."""
        return line.paused_until_us is not None and line.paused_until_us > self.clock()

    def _arm(self, line: JobLine, watermark_us: int) -> None:
        """The first slot after now; none is due while it is disabled or paused."""
        after_us = max(watermark_us, self.clock())
        slot_us = line.job.schedule.next_after(after_us) if line.job.schedule else None
        line.last_slot_us = watermark_us
        line.slot_us = after_us if slot_us is None else slot_us
        line.next_us = slot_us if line.enabled else None
        until_us = line.paused_until_us
        if line.next_us is not None and until_us is not None:
            line.next_us = None if until_us >= FOREVER_US else max(line.next_us, until_us)
        self._unarm(line)

    def _unarm(self, line: JobLine) -> None:
        """The next slot of a chain comes with the end of the run it has."""
        chained = line.job.chained and any(
            row.job_id == line.id and row.slot_us is not None for row in self.live.values()
        )
        if chained:
            line.next_us = None


def _stored_before(write: JobWrite, line: JobLine, version: int) -> bool:
    """Whether this very write took effect already and its answer was lost on the way."""
    same = write.enabled is None or line.enabled == write.enabled
    return line.version == version and line.job.spec == write.job.spec and same
