"""Book: what the schedules in force owed, kept beside the model by a walk of its own."""

from collections.abc import Callable, Sequence
from typing import Any

from cronherd.domain.planner import Plan
from cronherd.store.facts import JobWrite
from tests.sim.model import Model
from tests.store.slotbook import SlotBook

# By job: whether it was enabled, and its version.
Before = dict[str, tuple[bool, int]]


class Book(SlotBook):
    """Listens to the controls that took effect; never looks at runs or ledger."""

    def __init__(self, model: Model, undone: Callable[[str, str], None]) -> None:
        super().__init__()
        self._undone = undone
        self._model = model
        model.committed = self._committed
        for verb in ("save_jobs", "set_enabled", "pause_job", "resume_job", "delete_job"):
            setattr(model, verb, self._hear(getattr(model, verb), getattr(self, f"_{verb}")))

    def _hear(self, verb: Callable[..., Any], tell: Callable[..., None]) -> Callable[..., Any]:
        def heard(*words: Any, **more: Any) -> Any:
            before = {line.id: (line.enabled, line.version) for line in self._model.lines.values()}
            answer = verb(*words, **more)
            tell(before, *words)
            return answer

        return heard

    def _committed(self, plans: Sequence[Plan]) -> None:
        for plan in plans:
            self.went(plan.due.job_id, plan.last_slot_us)

    def _save_jobs(self, before: Before, writes: Sequence[JobWrite], actor: str) -> None:
        now_us = self._model.clock()
        for write in writes:
            line = self._model.lines[self._model.keys[write.job.key]]
            was, version = before.get(line.id, (False, 0))
            if line.version == version:  # sent again after its answer was lost
                continue
            if write.version is None:
                self._undone(line.job.name, "delete")
                self.made(line.id, write.job, now_us, enabled=line.enabled)
            else:
                if line.enabled and not was:
                    self._undone(line.job.name, "disable")
                self.edited(line.id, write.job, now_us, enabled=line.enabled)

    def _set_enabled(self, before: Before, job_id: str, *more: object) -> None:
        line = self._model.lines[job_id]
        if line.enabled != before[job_id][0]:
            self.went(job_id, self._model.clock())
            if line.enabled:
                self._undone(line.job.name, "disable")
        self.owed[job_id].enabled = line.enabled

    def _resume_job(self, before: Before, job_id: str, *more: object) -> None:
        self._undone(self._model.lines[job_id].job.name, "pause")
        self._pause_job(before, job_id)

    def _pause_job(self, before: Before, job_id: str, *more: object) -> None:
        if self._model.lines[job_id].enabled:
            self.went(job_id, self._model.clock())

    def _delete_job(self, before: Before, job_id: str, *more: object) -> None:
        self.deleted(job_id, self._model.clock())
