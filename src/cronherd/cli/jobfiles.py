"""Job definitions from files, folders and code, checked here so that a fault has its line."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cronherd.cli.job_create import read_yaml
from cronherd.config.load import Config
from cronherd.definition.document import Document, read_document
from cronherd.definition.jobs import build_jobs, read_jobs
from cronherd.domain.errors import Invalid, InvalidInput
from cronherd.domain.job import Job, name_key
from cronherd.sdk.app import is_app, load_app

STDIN = "-"
_ENDINGS = {".yaml", ".yml", ".json"}
# What a whole configuration says besides its jobs: a file may be both.
_NOT_OURS = ("database", "node", "timezone", "drain_timeout", "ledger_age", "log_level")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The jobs of one source: what one `apply` makes true, all or nothing."""

    source: str
    definitions: tuple[Mapping[str, object], ...]


def read_bundle(path: str, *, timezone: str, now_us: int, allow_empty: bool = False) -> Bundle:
    """The jobs of a file, of all files of a folder and below it, of standard input, or of code.

    Raises InvalidInput, and Invalid for a folder without a file unless that is allowed.
    """
    if is_app(path):
        app = load_app(path)
        found = build_jobs(app.definitions(), timezone=timezone, now_us=now_us)
        return Bundle(source=app.source, definitions=tuple(job.spec for job in found))
    if path == STDIN:
        return _bundle("file:-", [read_yaml(STDIN)], timezone, now_us)
    where = Path(path)
    documents = [read_document(file) for file in _files(where, allow_empty=allow_empty)]
    return _bundle(f"file:{where.resolve()}", documents, timezone, now_us)


def joined(bundles: Sequence[Bundle], source: str) -> Bundle:
    """All of them as what one source says. Raises InvalidInput for a name that stands twice."""
    jobs = [job for bundle in bundles for job in bundle.definitions]
    names = Counter(name_key(str(job["name"])) for job in jobs)
    twice = [job for job in jobs if names[name_key(str(job["name"]))] > 1]
    if twice:
        raise Invalid(f"two jobs are named '{twice[0]['name']}'", code="duplicate_name")
    return Bundle(source=source, definitions=tuple(jobs))


def configured_bundle(config: Config, *, timezone: str, now_us: int) -> Bundle:
    """The jobs of this node's own configuration, under the source that `up` applies them by."""
    jobs = build_jobs(config.jobs, timezone=timezone, now_us=now_us, defaults=config.defaults)
    source = f"config:{config.sources[0]}" if config.sources else "config"
    return Bundle(source=source, definitions=tuple(job.spec for job in jobs))


def _bundle(source: str, documents: list[Document], timezone: str, now_us: int) -> Bundle:
    jobs: dict[str, Job] = {}
    errors: list[Invalid] = []
    for document in documents:
        value = {} if document.value is None else document.value
        place = document.place
        try:
            found = read_jobs(value, place, timezone=timezone, now_us=now_us, also=_NOT_OURS)
        except InvalidInput as error:  # what is wrong in one file hides no fault of the next
            errors += error.errors
            continue
        for job in found:
            if job.key in jobs:
                text = f"a job of another file is named '{job.name}', too"
                errors.append(Invalid(text, code="duplicate_name", where=document.name))
            jobs[job.key] = job
    if errors:
        raise InvalidInput(errors)
    return Bundle(source=source, definitions=tuple(job.spec for job in jobs.values()))


def _files(path: Path, *, allow_empty: bool) -> list[Path]:
    """Hidden files and folders are other programs': `.git`, `.github`."""
    code = path if path.suffix == ".py" else Path(f"{str(path).replace('.', '/')}.py")
    if code.is_file() and (code == path or not path.exists()):
        module = ".".join(code.with_suffix("").parts)
        relative = all(part.isidentifier() for part in module.split("."))
        example = f"{module}:schedule" if relative else "package.module:object"
        hint = f"write -f {example}, from the directory that has the module"
        raise Invalid("is Python: jobs in code", code="no_file", hint=hint, where=str(path))
    if not path.is_dir():
        return [path]
    found = sorted(
        file
        for file in path.rglob("*")
        if file.suffix in _ENDINGS
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.is_file()
    )
    if not found and not allow_empty:
        raise Invalid("has no *.yaml file", code="no_file", where=str(path))
    return found
