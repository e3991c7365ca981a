"""The one validator of jobs: files, requests and code all pass here.

What comes out is a `Job` whose `spec` is canonical: two definitions that mean the same are equal,
and what is not said there is the default.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cronherd.definition.faults import (
    Fault,
    Faulty,
    Path,
    bounded,
    check,
    clean_schema,
    dotted,
    faults_of,
    given,
    printable,
    spell,
    unknown_setting,
)
from cronherd.definition.jobserver import slim_gearman
from cronherd.definition.retries import RetentionDefinition, RetriesDefinition
from cronherd.definition.shape import JobDefinition
from cronherd.domain.errors import Invalid, InvalidInput
from cronherd.domain.job import Job, build_job, name_key

__all__ = [
    "JobDefinition",
    "RawJob",
    "build_jobs",
    "job_schema",
    "read_defaults",
    "read_job",
    "read_jobs",
    "split_jobs",
]

MAX_JOBS = 100_000
Place = Callable[[Path], str]

_FIELDS = JobDefinition.model_fields
_PLACES = {name: place for place, name in enumerate(_FIELDS)}
# What makes a job this job: a default for it would be a slip.
_OWN = ("name", "command", "task", "args", "schedule", "gearman")
_WORK = ("command", "task", "gearman")
# Of what a command is given, a worker of a job server gets nothing.
_NOT_SENT = ("params", "stdin", "args")
_ALWAYS = {"name", "command", "timezone", "enabled"}
# A placeholder for what the block of defaults may not say, so that one model serves both.
_STAND_IN = {"name": "defaults", "command": "true"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RawJob:
    """A definition as it was found, not yet checked."""

    raw: object
    label: str
    path: Path
    place: Place

    def where(self, path: Path = ()) -> str:
        """`jobs.yaml:11:5: jobs.nightly.timeout`; without a file only the setting."""
        spot = self.place((*self.path, *path))
        setting = dotted((*self.path[:-1], self.label, *path))
        return f"{spot}: {setting}" if spot else setting


def read_job(
    raw: object,
    *,
    timezone: str,
    now_us: int = 0,
    defaults: Mapping[str, object] | None = None,
) -> Job:
    """A Job from what a person wrote. Raises InvalidInput; `where` is the path within the job.

    `timezone` is written into the job that has none; `defaults` fill what the job leaves out.
    """
    try:
        return _read_job(raw, timezone, now_us, defaults)
    except Faulty as error:
        raise bounded([fault.invalid(dotted(fault.path)) for fault in error.faults]) from None


def read_defaults(raw: object) -> dict[str, object]:
    """The canonical block of defaults. Raises Faulty; what makes a job is no default."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise Faulty([Fault(text=f"must be a mapping of settings, not {spell(raw)}")])
    own = [
        Fault(text="belongs to a job, it has no default", path=(key,)) for key in _OWN if key in raw
    ]
    rest = {key: value for key, value in raw.items() if key not in _OWN}
    try:
        shape = check(JobDefinition, _STAND_IN | _without_nothing(rest))
    except Faulty as error:
        raise Faulty(own + error.faults) from None
    if own:
        raise Faulty(own)
    return {key: value for key, value in given(shape).items() if key not in _STAND_IN}


def read_jobs(
    document: object,
    place: Place,
    *,
    timezone: str,
    now_us: int = 0,
    defaults: Mapping[str, object] | None = None,
    also: Collection[str] = (),
) -> list[Job]:
    """The jobs of a document `{jobs: …, defaults: …}`. Raises InvalidInput with every fault.

    `also` names top-level settings that are somebody else's and are passed over.
    """
    if not isinstance(document, Mapping):
        text = f"must be a mapping with jobs:, not {spell(document)}"
        raise bounded([Invalid(text, where=place(()))])
    known = {"jobs", "defaults", *also}
    errors = [
        _located(unknown_setting(str(key), known), place) for key in document if key not in known
    ]
    own: dict[str, object] = {}
    try:
        own = read_defaults(document.get("defaults"))
    except Faulty as error:
        errors += [_located(fault.under("defaults"), place) for fault in error.faults]
    merged = _merge(defaults or {}, own)
    try:
        raws = split_jobs(document.get("jobs"), place)
    except InvalidInput as error:
        raise bounded(errors + error.errors) from None
    jobs, faults = _build(raws, timezone, now_us, merged)
    if errors or faults:
        raise bounded(errors + faults)
    return jobs


def split_jobs(raw: object, place: Place) -> tuple[RawJob, ...]:
    """The definitions under `jobs:`, written as a list or as a mapping by name."""
    if raw is None:
        return ()
    if not isinstance(raw, Mapping | list | tuple):
        text = f"must be a list of jobs, not {spell(raw)}"
        raise bounded([_located(Fault(text=text, path=("jobs",)), place)])
    if len(raw) > MAX_JOBS:
        text = f"has more than {MAX_JOBS:,} jobs"
        raise bounded([_located(Fault(text=text, code="too_many", path=("jobs",)), place)])
    return tuple(_by_name(raw, place) if isinstance(raw, Mapping) else _in_order(raw, place))


def build_jobs(
    raws: tuple[RawJob, ...],
    *,
    timezone: str,
    now_us: int = 0,
    defaults: Mapping[str, object] | None = None,
) -> list[Job]:
    """Every definition as a Job. Raises InvalidInput with the faults of all of them."""
    jobs, errors = _build(raws, timezone, now_us, defaults)
    if errors:
        raise bounded(errors)
    return jobs


def _build(
    raws: tuple[RawJob, ...], timezone: str, now_us: int, defaults: Mapping[str, object] | None
) -> tuple[list[Job], list[Invalid]]:
    jobs: list[Job] = []
    errors: list[Invalid] = []
    first: dict[str, RawJob] = {}
    for raw in raws:
        if twin := _twin(raw, first):
            errors.append(twin)
        try:
            jobs.append(_read_job(raw.raw, timezone, now_us, defaults))
        except Faulty as error:
            errors += [fault.invalid(raw.where(fault.path)) for fault in error.faults]
    return jobs, errors


def job_schema() -> dict[str, Any]:
    """The JSON Schema of one job, for editors and for the reference."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A cronherd job",
        **clean_schema(JobDefinition.model_json_schema()),
        "oneOf": [{"required": [work]} for work in _WORK],
    }


def _read_job(
    raw: object, timezone: str, now_us: int, defaults: Mapping[str, object] | None
) -> Job:
    if not isinstance(raw, Mapping):
        raise Faulty([Fault(text=f"must be a mapping of settings, not {spell(raw)}")])
    merged = _merge(defaults, raw) if defaults else raw
    context = {"timezone": timezone, "now_us": now_us}
    shape = _check(_without_nothing(merged), context)
    try:
        return build_job(_canonical({"timezone": timezone} | given(shape)), now_us=now_us)
    except Invalid as error:
        raise Faulty(faults_of(error)) from None


def _check(raw: Mapping[Any, object], context: object) -> JobDefinition:
    """Raises Faulty with all that is wrong, in the order of the model."""
    faults = _work_faults(raw)
    try:
        shape = check(JobDefinition, raw, context)
    except Faulty as error:
        raise Faulty(sorted(faults + error.faults, key=_by_setting)) from None
    if faults:
        raise Faulty(faults)
    return shape


def _work_faults(raw: Mapping[Any, object]) -> list[Fault]:
    """What is wrong unless exactly one thing runs: a command, a task with arguments, a job away."""
    if "gearman" in raw:
        return _gearman_faults(raw)
    if "task" in raw:
        text, hint = "is instead of a command, and there is one", "leave one of them out"
        return [Fault(text=text, hint=hint, path=("task",))] if "command" in raw else []
    faults: list[Fault] = []
    if "command" not in raw:
        faults.append(Fault(text="is missing", code="missing", path=("command",)))
    if "args" in raw:
        hint = "write the command as a list with its arguments"
        faults.append(Fault(text="belongs to a task", hint=hint, path=("args",)))
    return faults


def _gearman_faults(raw: Mapping[Any, object]) -> list[Fault]:
    text, hint = "is one thing to run, and gearman another", "leave one of them out"
    faults = [Fault(text=text, hint=hint, path=(key,)) for key in ("command", "task") if key in raw]
    text, hint = "does not reach the worker", "write it into the payload of gearman"
    faults += [Fault(text=text, hint=hint, path=(key,)) for key in _NOT_SENT if key in raw]
    if "hooks" in raw:
        text, hint = "is around a command or a task", "let the worker call these functions"
        faults.append(Fault(text=text, hint=hint, path=("hooks",)))
    return faults


def _by_setting(fault: Fault) -> int:
    """In the order of the model; what it does not know comes behind."""
    first = fault.path[0] if fault.path else ""
    return _PLACES.get(str(first), len(_PLACES))


def _canonical(spec: Mapping[str, object]) -> dict[str, object]:
    """In the order of the model, and without what is the default anyway."""
    slim = dict(spec)
    if isinstance(retries := spec.get("retries"), Mapping):
        slim["retries"] = _slim_retries(retries)
    if isinstance(retention := spec.get("retention"), Mapping):
        slim["retention"] = _slim(retention, RetentionDefinition)
    if isinstance(gearman := spec.get("gearman"), Mapping):
        slim["gearman"] = slim_gearman(gearman)
    return {
        name: slim[name]
        for name, field in _FIELDS.items()
        if name in slim and (name in _ALWAYS or not _says_nothing(slim[name], field.default))
    }


def _says_nothing(value: object, default: object) -> bool:
    return value == default or value in ({}, [])


def _slim_retries(retries: Mapping[str, object]) -> object:
    if not retries["max"]:
        return 0  # the waits of no attempts mean nothing
    slim = {"max": retries["max"]} | _slim(retries, RetriesDefinition)
    return slim if len(slim) > 1 else slim["max"]


def _slim(
    values: Mapping[str, object], model: type[RetriesDefinition] | type[RetentionDefinition]
) -> dict[str, object]:
    fields = model.model_fields
    return {name: value for name, value in values.items() if value != fields[name].default}


def _merge(low: Mapping[str, object], high: Mapping[Any, object]) -> dict[Any, object]:
    """`high` wins; mappings merge, `retries: 3` is a mapping with one setting."""
    merged: dict[Any, object] = {**low, **high}
    for key in low.keys() & high.keys():
        below, above = _as_mapping(key, low[key]), _as_mapping(key, high[key])
        if isinstance(below, Mapping) and isinstance(above, Mapping):
            merged[key] = {**below, **above}
    return merged


def _as_mapping(key: str, value: object) -> object:
    plain = key == "retries" and isinstance(value, int) and not isinstance(value, bool)
    return {"max": value} if plain else value


def _without_nothing(raw: Mapping[Any, object]) -> dict[Any, object]:
    """`timeout:` with nothing behind it is a setting that is left out, here and in defaults."""
    return {key: value for key, value in raw.items() if value is not None or key not in _FIELDS}


def _in_order(raw: list[object] | tuple[object, ...], place: Place) -> Iterator[RawJob]:
    for index, job in enumerate(raw):
        name = job.get("name") if isinstance(job, Mapping) else None
        label = printable(name[:60]) if isinstance(name, str) and name.strip() else str(index)
        yield RawJob(raw=job, label=label, path=("jobs", index), place=place)


def _by_name(raw: Mapping[object, object], place: Place) -> Iterator[RawJob]:
    for name, job in raw.items():
        path = ("jobs", name if isinstance(name, str) else str(name))
        if isinstance(job, Mapping) and "name" not in job:
            job = {"name": name, **job}  # noqa: PLW2901 - the same job with its name
        elif isinstance(job, Mapping) and job["name"] != name:
            text = "the name is the key already"
            fault = Fault(text=text, hint="leave it out", path=(*path, "name"))
            raise bounded([_located(fault, place)])
        yield RawJob(raw=job, label=printable(path[1])[:60], path=path, place=place)


def _twin(raw: RawJob, first: dict[str, RawJob]) -> Invalid | None:
    """The fault of a second job with one name; remembers the first."""
    name = raw.raw.get("name") if isinstance(raw.raw, Mapping) else None
    if not isinstance(name, str):
        return None
    try:
        earlier = first.setdefault(name_key(name), raw)
    except Invalid:
        return None  # the job's own reading says what is wrong with it
    if earlier is raw:
        return None
    spot = earlier.place((*earlier.path, "name")) or dotted(earlier.path)
    text = f"the name is taken by the job at {spot}"
    hint = "upper and lower case do not differ" if earlier.label != raw.label else ""
    return Invalid(text, code="duplicate_name", hint=hint, where=raw.where(("name",)))


def _located(fault: Fault, place: Place) -> Invalid:
    spot = place(fault.path)
    return fault.invalid(": ".join(part for part in (spot, dotted(fault.path)) if part))
