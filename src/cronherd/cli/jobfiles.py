"""Job definitions from files, folders and code, checked here so that a fault has its line."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cronherd.cli.job_create import read_yaml
from cronherd.config.load import Config
from cronherd.definition.document import Document, read_document
from cronherd.definition.jobs import build_jobs, read_jobs
from cronherd.domain.errors import Invalid
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


def read_bundle(path: str, *, timezone: str, now_us: int) -> Bundle:
    """The jobs of a file, of all files of a folder, of standard input, or of code.

    Raises InvalidInput.
    """
    if is_app(path):
        app = load_app(path)
        found = build_jobs(app.definitions(), timezone=timezone, now_us=now_us)
        return Bundle(source=app.source, definitions=tuple(job.spec for job in found))
    if path == STDIN:
        return _bundle("file:-", [read_yaml(STDIN)], timezone, now_us)
    where = Path(path)
    documents = [read_document(file) for file in _files(where)]
    return _bundle(f"file:{where.resolve()}", documents, timezone, now_us)


def configured_bundle(config: Config, *, timezone: str, now_us: int) -> Bundle:
    """The jobs of this node's own configuration, under the source that `up` applies them by."""
    jobs = build_jobs(config.jobs, timezone=timezone, now_us=now_us, defaults=config.defaults)
    source = f"config:{config.sources[0]}" if config.sources else "config"
    return Bundle(source=source, definitions=tuple(job.spec for job in jobs))


def _bundle(source: str, documents: list[Document], timezone: str, now_us: int) -> Bundle:
    jobs = []
    for document in documents:
        value = {} if document.value is None else document.value
        place = document.place
        jobs += read_jobs(value, place, timezone=timezone, now_us=now_us, also=_NOT_OURS)
    return Bundle(source=source, definitions=tuple(job.spec for job in jobs))


def _files(path: Path) -> list[Path]:
    code = path if path.suffix == ".py" else Path(f"{str(path).replace('.', '/')}.py")
    if code.is_file() and (code == path or not path.exists()):
        module = ".".join(code.with_suffix("").parts)
        relative = all(part.isidentifier() for part in module.split("."))
        example = f"{module}:schedule" if relative else "package.module:object"
        hint = f"write -f {example}, from the directory that has the module"
        raise Invalid("is Python: jobs in code", code="no_file", hint=hint, where=str(path))
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix in _ENDINGS)
    if not found:
        raise Invalid("has no *.yaml file", code="no_file", where=str(path))
    return found
