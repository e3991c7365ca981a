"""`module:object`: the schedule of a program, found and read as its own Python would."""

import contextlib
import importlib
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, TracebackType

from cronherd.definition.jobs import RawJob
from cronherd.domain.errors import CronherdError, Invalid
from cronherd.sdk.origin import spot
from cronherd.sdk.scheduler import Scheduler

DEFAULT = "schedule"


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """A schedule and where it was found."""

    target: str
    scheduler: Scheduler
    folder: str
    """Where the module's package lies, for jobs that call functions; '' for what is installed."""

    @property
    def source(self) -> str:
        """The name by which a fleet knows where the jobs came from."""
        return f"code:{self.target}"

    def definitions(self) -> tuple[RawJob, ...]:
        """The jobs in the words of a file, with their lines. Raises InvalidInput."""
        return self.scheduler.definitions(cwd=self.folder or None)


def is_app(text: str) -> bool:
    """Whether it looks like `module:object`, and like no file that is there."""
    module, colon, name = text.partition(":")
    parts = [*module.split("."), *name.split(".")]
    return bool(colon) and all(part.isidentifier() for part in parts) and not Path(text).exists()


def load_app(target: str, *, folder: str | None = None) -> App:
    """Import it in this process. Raises Invalid with the line that raised.

    Modules are looked for in `folder`, the working directory, first. An object may be a Scheduler
    or a function that gives one; without a name it is `schedule`. What the module prints goes to
    standard error.
    """
    path, _, name = target.partition(":")
    name = name or DEFAULT
    module = load_module(path, folder=folder)
    found: object = module
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is None:
        known = [key for key, value in vars(module).items() if isinstance(value, Scheduler)]
        hint = f"write {path}:{known[0]}" if known else "write schedule = Scheduler() in it"
        raise Invalid(f"'{path}' has no '{name}'", code="bad_app", hint=hint)
    if callable(found) and not isinstance(found, Scheduler):
        try:
            with contextlib.redirect_stdout(sys.stderr):
                found = found()
        except Exception as error:
            raise _raised(error, f"{path}:{name}") from error
    if not isinstance(found, Scheduler):
        text = f"'{path}:{name}' is no Scheduler but {type(found).__name__}"
        raise Invalid(text, code="bad_app", hint="write schedule = Scheduler()")
    return App(target=f"{path}:{name}", scheduler=found, folder=_home_of(module))


def load_module(path: str, *, folder: str | None = None) -> ModuleType:
    """Import a module as its own program would. Raises Invalid."""
    if not all(part.isidentifier() for part in path.split(".")):
        text = f"'{path[:80]}' is not the name of a module"
        hint = "write package.module:object, from the directory that has it"
        raise Invalid(text, code="bad_app", hint=hint)
    where = os.path.realpath(folder or Path.cwd())
    if where not in sys.path:
        sys.path.insert(0, where)
    importlib.invalidate_caches()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return importlib.import_module(path)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if missing and (missing == path or path.startswith(f"{missing}.")):
            hint = "stand in the directory that has it; write package.module and no file name"
            text = f"there is no module '{missing}' in {where}"
            raise Invalid(text, code="bad_app", hint=hint) from None
        raise _raised(error, path) from error
    except (Exception, SystemExit) as error:
        raise _raised(error, path) from error


def _home_of(module: ModuleType) -> str:
    """The directory that the import of the whole name began in."""
    file = getattr(module, "__file__", None)
    if not file:
        return ""
    depth = module.__name__.count(".") + (Path(file).name == "__init__.py")
    home = Path(file).resolve().parents[depth]
    return "" if {"site-packages", "dist-packages"} & set(home.parts) else str(home)


def _raised(error: BaseException, what: str) -> CronherdError:
    """What user code raised, with the line of it; what we raised has its line already."""
    if isinstance(error, CronherdError):
        return error
    where = _line_of(error.__traceback__, error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Invalid(text, code="bad_app", hint=f"while {what} was loaded", where=where)


def _line_of(frames: TracebackType | None, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return spot(error.filename, error.lineno)
    inner = [
        frame
        for frame in traceback.extract_tb(frames)
        if not frame.filename.startswith(("<frozen", str(Path(__file__).parents[1])))
        and frame.filename != importlib.__file__
    ]
    return spot(inner[-1].filename, inner[-1].lineno) if inner else ""
