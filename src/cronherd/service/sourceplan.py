"""What applying a source would do, as a value. Pure: it asks nobody and changes nothing.

A source owns the jobs that it made. It may take those that nobody but people own, and one of
another source only where it is told to adopt it; what it deletes is its own.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from cronherd.domain.errors import Invalid
from cronherd.domain.job import BY_HAND, Job, name_key
from cronherd.service.jobs import said_enabled
from cronherd.store.facts import Kept, KeptJob
from cronherd.views import Json, changed

FORMERLY = "formerly"
_T = TypeVar("_T")
_NAMES = ("name", FORMERLY)


class Change(StrEnum):
    """What becomes of a job."""

    CREATE = "create"
    UPDATE = "update"
    RENAME = "rename"
    DELETE = "delete"
    NONE = "none"
    LEFT = "left"
    """The source no longer says it, and was not asked to delete."""
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One definition of the source; `job` None: it says what is stored, to the letter."""

    key: str
    name: str
    job: Job | None
    formerly: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One job: what becomes of it, and of what it was."""

    change: Change
    name: str
    job: Job | None = None
    row: KeptJob | None = None
    differences: Sequence[Json] = ()
    refusal: Invalid | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SourcePlan:
    """All steps, and the turn of the source that they were planned at."""

    source: str
    turn: int
    steps: Sequence[Step]
    prune: bool = False
    settled: Sequence[KeptJob] = field(default=())
    """Unchanged jobs that are not known to be as their source says."""

    def of(self, *changes: Change) -> list[Step]:
        """The steps of these kinds."""
        return [step for step in self.steps if step.change in changes]

    @property
    def mark(self) -> str:
        """The same for the same plan of the same jobs: 32 hexadecimal digits."""
        told = [
            (
                step.change.value,
                step.name,
                step.row and (step.row.id, step.row.version, step.row.enabled),
                None if step.job is None else step.job.spec,
            )
            for step in self.steps
        ]
        text = json.dumps([self.source, self.turn, self.prune, told], sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]

    @property
    def words(self) -> str:
        """How many of each, for the event."""
        counts = Counter(step.change for step in self.steps)
        said = {Change.CREATE: "created", Change.UPDATE: "changed", Change.RENAME: "renamed"}
        said[Change.DELETE] = "deleted"
        return ", ".join(f"{counts[change]} {word}" for change, word in said.items())


def plan_source(
    wanted: Sequence[Wanted], kept: Kept, source: str, *, prune: bool = False, adopt: bool = False
) -> SourcePlan:
    """What makes the jobs of a source what it says.

    With `prune` nothing else stays of it, with `adopt` it takes jobs of other sources, too.
    """
    rows = {row.key: row for row in kept.jobs}
    alive = {key: row for key, row in rows.items() if not row.deleted}
    keys = {each.key for each in wanted}
    renamed = _renames(wanted, rows, keys, source, prune=prune)
    steps = [
        _step(each, alive.get(each.key), renamed.get(each.key), source, adopt=adopt)
        for each in wanted
    ]
    # A name that was deleted keeps the past of its job, so nobody else can take it with his own.
    steps = [_refuse_tomb(step, rows) for step in steps]
    gone = {row.id for row in renamed.values()}
    lost = [
        row
        for row in alive.values()
        if row.source == source and row.key not in keys and row.id not in gone
    ]
    what = Change.DELETE if prune else Change.LEFT
    steps += [
        Step(change=what, name=row.name, row=row) for row in sorted(lost, key=lambda row: row.key)
    ]
    settled = [
        step.row
        for step in steps
        if step.change is Change.NONE and step.row and step.row.applied != step.row.version
    ]
    return SourcePlan(source=source, turn=kept.turn, steps=steps, prune=prune, settled=settled)


def _renames(
    wanted: Sequence[Wanted],
    rows: Mapping[str, KeptJob],
    keys: set[str],
    source: str,
    *,
    prune: bool,
) -> dict[str, KeptJob]:
    """By the new key, the job that had another name.

    A new job may say its old name. Without that word only what would be deleted is looked at: where
    one job goes and one comes that says the same, it is the same job.
    """
    found: dict[str, KeptJob] = {}
    new = [each for each in wanted if each.key not in rows or rows[each.key].deleted]
    free = {key: row for key, row in rows.items() if not row.deleted and key not in keys}
    for each in new:
        old = _key(each.formerly)
        if old in free:
            found[each.key] = free.pop(old)
    if prune:
        going = _alone([(_bare(row.spec), row) for row in free.values() if row.source == source])
        coming = _alone(
            [
                (_bare(each.job.spec), each)
                for each in new
                if each.job and each.key not in found and each.key not in rows
            ]
        )
        found |= {each.key: going[text] for text, each in coming.items() if text in going}
    return found


def _step(
    wanted: Wanted, row: KeptJob | None, old: KeptJob | None, source: str, *, adopt: bool
) -> Step:
    job, before = wanted.job, row or old
    if before is None:
        return Step(change=Change.CREATE, name=wanted.name, job=job)
    if before.source not in {source, BY_HAND} and not adopt:
        whose = f"the job '{before.name}' belongs to {before.source}"
        hint = "rename one of the two, or take it over with --adopt"
        refusal = Invalid(whose, code="other_source", hint=hint)
        return Step(change=Change.REFUSED, name=wanted.name, job=job, row=before, refusal=refusal)
    if job is None:
        return Step(change=Change.NONE, name=wanted.name, row=before)
    said = said_enabled(job)
    enabled = before.enabled if said is None else said
    new = {key: value for key, value in job.spec.items() if key != "enabled"}
    differences = changed(_with_switch(before.spec, before.enabled), _with_switch(new, enabled))
    if row is None:
        change = Change.RENAME
    elif differences or before.source != source:
        change = Change.UPDATE
    else:
        return Step(change=Change.NONE, name=wanted.name, row=before)
    return Step(change=change, name=wanted.name, job=job, row=before, differences=differences)


def _with_switch(spec: Mapping[str, object], enabled: bool) -> Json:  # noqa: FBT001 - its value
    """`enabled` only when it is not, as in a file."""
    return {**spec, **({} if enabled else {"enabled": False})}


def _refuse_tomb(step: Step, rows: Mapping[str, KeptJob]) -> Step:
    taken = rows.get(name_key(step.name))
    if step.change is not Change.RENAME or taken is None:
        return step
    refusal = Invalid(
        f"the name '{step.name}' was that of another job, and keeps its past",
        code="name_taken",
        hint=f"choose another name, or leave out '{FORMERLY}' to make a new job",
    )
    return Step(change=Change.REFUSED, name=step.name, job=step.job, row=step.row, refusal=refusal)


def _alone(pairs: Sequence[tuple[str, _T]]) -> dict[str, _T]:
    """Those whose text nobody else has."""
    counts = Counter(text for text, _ in pairs)
    return {text: each for text, each in pairs if counts[text] == 1}


def _bare(spec: Mapping[str, object]) -> str:
    """What a definition says besides names and the switch."""
    left_out = (*_NAMES, "enabled")
    kept = {key: value for key, value in spec.items() if key not in left_out}
    return json.dumps(kept, sort_keys=True)


def _key(name: str | None) -> str:
    return name_key(name) if name else ""
