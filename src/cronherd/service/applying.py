"""Applying a source: its definitions read, the plan made, shown, and done in one transaction."""

from collections.abc import Iterator, Mapping, Sequence

from cronherd.domain.errors import Conflict, Invalid, InvalidInput
from cronherd.domain.job import BY_HAND, name_key
from cronherd.service.jobs import JobDesk, said_enabled
from cronherd.service.sourceplan import (
    FORMERLY,
    Change,
    SourcePlan,
    Step,
    Wanted,
    plan_source,
)
from cronherd.store.facts import SOURCE_LENGTH, Application, JobWrite, KeptJob
from cronherd.views import API_VERSION, Json

APPLY_LIMIT = 20_000  # jobs in one transaction
NAMED = 5  # refused jobs that an error names


class ApplyDesk(JobDesk):
    """What a file, a folder or a program may ask of its jobs."""

    def apply_jobs(
        self,
        definitions: Sequence[object],
        source: str,
        actor: str,
        *,
        dry_run: bool,
        prune: bool = False,
        allow_empty: bool = False,
        adopt: bool = False,
        plan: str | None = None,
    ) -> Json:
        """Make the jobs of one source what these definitions say, all or nothing.

        Answers with one change per job. `prune` deletes the jobs of the source that it no longer
        says; without definitions only where that is said. `adopt` takes jobs of other sources.
        `plan` is the one that was looked at: raises Conflict `plan_outdated` when it would be
        another by now, and `other_source` for a job of somebody else that is not adopted.
        """
        _check_source(source)
        if len(definitions) > APPLY_LIMIT:
            raise Invalid(f"at most {APPLY_LIMIT} jobs at once", code="too_many")
        if prune and not definitions and not allow_empty:
            raise Invalid(
                f"there are no jobs, so all of {source} would be deleted",
                code="no_jobs",
                hint="--allow-empty says that this is meant",
            )
        found = self._plan(definitions, source, prune=prune, adopt=adopt)
        if not dry_run:
            self._do(found, plan, actor)
        return {
            "api_version": API_VERSION,
            "applied": not dry_run,
            "source": source,
            "plan": found.mark,
            "settles": len(found.settled),
            "changes": [step_view(step, source) for step in found.steps],
        }

    def _plan(
        self, definitions: Sequence[object], source: str, *, prune: bool, adopt: bool
    ) -> SourcePlan:
        keys = [key for each in definitions for key in _keys_of(each)]
        kept = self._catalog.kept_jobs(source, keys)
        rows = {row.key: row for row in kept.jobs}
        wanted = self._read_all(definitions, rows, source)
        return plan_source(wanted, kept, source, prune=prune, adopt=adopt)

    def _do(self, plan: SourcePlan, looked_at: str | None, actor: str) -> None:
        if refused := plan.of(Change.REFUSED):
            raise _refused(refused)
        if looked_at is not None and looked_at != plan.mark:
            raise Conflict(
                "the jobs were changed by somebody else meanwhile: nothing was changed",
                code="plan_outdated",
                hint="look at the changes again, then apply",
            )
        steps = plan.of(Change.CREATE, Change.UPDATE, Change.RENAME)
        drops = [(step.row.id, step.row.version) for step in plan.of(Change.DELETE) if step.row]
        if not (steps or drops or plan.settled):
            return
        application = Application(
            source=plan.source,
            turn=plan.turn,
            writes=[self._write(step, plan.source) for step in steps],
            drops=drops,
            settled=[(row.id, row.version) for row in plan.settled],
            text=plan.words,
        )
        self._catalog.apply_jobs(application, actor)
        self._wake()

    def _write(self, step: Step, source: str) -> JobWrite:
        assert step.job is not None
        return JobWrite(
            id=step.row.id if step.row else self._new_id(),
            job=step.job,
            enabled=said_enabled(step.job),
            source=source,
            version=step.row.version if step.row else None,
            applied=True,
        )

    def _read_all(
        self, definitions: Sequence[object], rows: Mapping[str, KeptJob], source: str
    ) -> list[Wanted]:
        wanted: dict[str, Wanted] = {}
        errors: list[Invalid] = []
        now_us = self._store.now_us()
        for number, definition in enumerate(definitions):
            try:
                one = self._read_one(definition, rows, source, now_us)
            except InvalidInput as error:
                errors += [_at(number, fault) for fault in error.errors]
                continue
            if one.key in wanted:
                errors.append(Invalid(f"two jobs are named '{one.name}'", code="duplicate_name"))
            wanted[one.key] = one
        if errors:
            raise InvalidInput(errors)
        return list(wanted.values())

    def _read_one(
        self, definition: object, rows: Mapping[str, KeptJob], source: str, now_us: int
    ) -> Wanted:
        key = next(_keys_of(definition), "")
        row = rows.get(key)
        # What is stored was checked when it was: most of 10,000 definitions are as they were.
        if row and not self._defaults and _is_stored(definition, row, source):
            return Wanted(key=key, name=row.name, job=None)
        job = self._read(definition, now_us)
        formerly = job.spec.get(FORMERLY)
        return Wanted(key=job.key, name=job.name, job=job, formerly=formerly)


def _keys_of(definition: object) -> Iterator[str]:
    """The key of its name, and of the one it had; nothing for what is no name."""
    if not isinstance(definition, Mapping):
        return
    for setting in ("name", FORMERLY):
        name = definition.get(setting)
        if isinstance(name, str):
            try:
                yield name_key(name)
            except Invalid:
                continue


def _is_stored(definition: object, row: KeptJob, source: str) -> bool:
    if not isinstance(definition, Mapping) or row.deleted or row.source != source:
        return False
    said = {key: value for key, value in definition.items() if key != "enabled"}
    return said == row.spec and definition.get("enabled", row.enabled) is row.enabled


def step_view(step: Step, source: str) -> Json:
    """What becomes of one job when this source is applied, as a document."""
    view: Json = {
        "name": step.name,
        "change": step.change.value,
        "differences": list(step.differences),
    }
    if step.row is not None:
        if step.change is Change.RENAME:
            view["from"] = step.row.name
        if step.row.drifted:
            view["drifted"] = True
        if step.change in {Change.UPDATE, Change.RENAME} and step.row.source != source:
            view["taken_from"] = step.row.source
    if step.refusal is not None:
        refusal = step.refusal
        view["refusal"] = {"code": refusal.code, "text": refusal.text, "hint": refusal.hint}
    return view


def _refused(steps: Sequence[Step]) -> Conflict:
    faults = [step.refusal for step in steps if step.refusal is not None]
    text = "; ".join(fault.text for fault in faults[:NAMED])
    more = f"; and {len(faults) - NAMED} more" if len(faults) > NAMED else ""
    return Conflict(f"{text}{more}", code=faults[0].code, hint=faults[0].hint)


def _check_source(source: str) -> None:
    """Whose jobs these are is compared to the letter, and nobody may say that he is everybody."""
    fits = source.isprintable() and 0 < len(source) <= SOURCE_LENGTH and source == source.strip()
    if not fits or source == BY_HAND:
        raise Invalid(
            f"'{source[:60]}' cannot be the name of a source",
            code="bad_source",
            hint=f"1 to {SOURCE_LENGTH} printable characters; '{BY_HAND}' are jobs made by hand",
            where="source",
        )


def _at(number: int, fault: Invalid) -> Invalid:
    where = f"jobs[{number}].{fault.where}" if fault.where else f"jobs[{number}]"
    return Invalid(fault.text, code=fault.code, hint=fault.hint, where=where)
