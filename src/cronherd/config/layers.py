"""The layers of a configuration: files, then environment, then flags; each knows its place."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cronherd.config.settings import SECTIONS, Settings, mask
from cronherd.definition.document import load_document, read_document
from cronherd.definition.faults import Path as KeyPath
from cronherd.definition.faults import closest, dotted, printable, spell
from cronherd.domain.errors import Invalid

PREFIX = "CRONHERD_"
FILE_NAME = "cronherd.yaml"
SYSTEM_FOLDER = Path("/etc/cronherd")

Place = Callable[[KeyPath], str]

_VARIABLE = re.compile(r"\$\$|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")
# One word after the prefix: only these are settings. CRONHERD_NODE, _TOKEN, _RUN_ID and others
# are words of a job's environment or of the command line.
_PLAIN_SETTINGS = tuple(
    name for name in Settings.model_fields if name not in {*SECTIONS, "defaults", "jobs"}
)


# Settings that are more than text.
_YAML = {
    ("node", "capacity"),
    ("node", "labels"),
    ("node",),
    ("alerts", "allow_private"),
    ("alerts",),
}


class Layers:
    """Layers merged so far: mappings merge, everything else replaces; each key knows its layer."""

    def __init__(self) -> None:
        self.value: dict[str, Any] = {}
        self._owners: dict[KeyPath, Place] = {}

    def add(self, layer: Mapping[str, object], place: Place) -> None:
        """Lay `layer` over what is there."""
        self._merge(self.value, layer, (), place)

    def place(self, path: KeyPath) -> str:
        """Where the value at `path`, or its nearest ancestor, was said; empty for nowhere."""
        for length in range(len(path), 0, -1):
            if owner := self._owners.get(path[:length]):
                return owner(path)
        return ""

    def _merge(
        self, low: dict[str, Any], high: Mapping[str, object], path: KeyPath, place: Place
    ) -> None:
        for key, value in high.items():
            here = (*path, key)
            if isinstance(value, Mapping):
                if not isinstance(low.get(key), dict):
                    low[key] = {}
                    self._owners[here] = place
                self._merge(low[key], value, here, place)
            else:
                low[key] = value
                self._owners[here] = place


def find_sources(config: Path | None, cwd: Path, home: Path | None) -> tuple[Path, ...]:
    """The files that are read, in order: `--config` or the first there is, then its neighbours."""
    if config is not None:
        path = config if config.is_absolute() else cwd / config
        return (path, *_neighbours(path))
    folders = [cwd, SYSTEM_FOLDER]
    if home is not None:
        folders.insert(1, home / ".config" / "cronherd")
    for folder in folders:
        path = folder / FILE_NAME
        found = (path,) if os.path.exists(path) else ()  # noqa: PTH110 - never raises
        if sources := (*found, *_neighbours(path)):
            return sources
    return ()


def _neighbours(path: Path) -> tuple[Path, ...]:
    try:
        names = sorted(os.listdir(path.parent / "cronherd.d"))  # noqa: PTH208 - names are sorted
    except OSError:
        return ()
    plain = [name for name in names if name.endswith(".yaml") and not name.startswith(".")]
    return tuple(path.parent / "cronherd.d" / name for name in plain)


def add_file(layers: Layers, source: Path, environ: Mapping[str, str], cwd: Path) -> list[Invalid]:
    try:
        document = read_document(source, _short(source, cwd))
    except Invalid as error:
        return [error]
    if document.value is None:
        return []
    if not isinstance(document.value, dict):
        text = f"must be a mapping of settings, not {spell(document.value)}"
        return [Invalid(text, where=document.name)]
    expanding = _Expanding(environ, document.place)
    expanded = {key: expanding.walk(part, (key,)) for key, part in document.value.items()}
    layers.add(expanded, document.place)
    return expanding.errors


def _short(source: Path, cwd: Path) -> str:
    return str(source.relative_to(cwd) if source.is_relative_to(cwd) else source)


class _Expanding:
    """`${VAR}` and `${VAR:-default}`, outside what belongs to jobs: there they are the shell's."""

    def __init__(self, environ: Mapping[str, str], place: Place) -> None:
        self._environ = environ
        self._place = place
        self.errors: list[Invalid] = []

    def walk(self, value: object, path: KeyPath) -> object:
        """The value with its texts expanded; faults are kept in `errors`."""
        if path[0] in {"jobs", "defaults"}:
            return value
        if isinstance(value, Mapping):
            return {key: self.walk(part, (*path, key)) for key, part in value.items()}
        if isinstance(value, list):
            return [self.walk(part, (*path, index)) for index, part in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value
        try:
            return _typed(path, _VARIABLE.sub(self._replace, value), self._place(path))
        except Invalid as error:
            where = f"{self._place(path)}: {dotted(path)}"
            self.errors.append(Invalid(error.text, code=error.code, hint=error.hint, where=where))
            return None

    def _replace(self, found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        if found[1] is None:
            raise Invalid("'${' does not begin a variable", hint="write ${NAME}, or $$ for a $")
        value = self._environ.get(found[1])
        if found[2] is not None:
            return value or found[2]
        if value is None:
            hint = f"set it, or write ${{{found[1]}:-default}}"
            raise Invalid(f"the environment has no {found[1]}", code="no_variable", hint=hint)
        return value


def _typed(path: KeyPath, text: str, name: str) -> object:
    """Text from outside a file, read as YAML where a setting is more than text."""
    if path[0] == "defaults" or path in _YAML:
        return load_document(text, name).value
    return text


def add_environment(layers: Layers, environ: Mapping[str, str]) -> list[Invalid]:
    errors = []
    for name in sorted(environ):
        if not name.startswith(PREFIX) or not environ[name]:
            continue
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        origin = f"env {printable(name)[:80]}"
        if fault := _refuse_name(path, origin):
            errors.append(fault)
        elif len(path) > 1 or path[0] in _PLAIN_SETTINGS:
            try:
                layers.add(_tree(path, _typed(path, environ[name], origin)), _always(origin))
            except Invalid as error:
                errors.append(error)
    return errors


def _refuse_name(path: tuple[str, ...], origin: str) -> Invalid | None:
    if path[0] == "jobs" and len(path) > 1:
        return Invalid("jobs are not read from the environment", where=origin)
    if len(path) > 1 or path[0] in _PLAIN_SETTINGS:
        return None  # the check of all settings names what is unknown
    near = closest(path[0], _PLAIN_SETTINGS, cutoff=0.8)
    if not near:
        return None
    hint = near.replace(near.split("'")[1], PREFIX + near.split("'")[1].upper())
    return Invalid("unknown setting", code="unknown_setting", hint=hint, where=origin)


def add_flags(layers: Layers, overrides: Mapping[str, object]) -> list[Invalid]:
    errors = []
    for name, value in overrides.items():
        if value is None:
            continue
        if name == "database" and mask(str(value)) != value:
            hint = "everybody on this host can read it there: use database_password_file"
            text = "a password does not belong on the command line"
            errors.append(Invalid(text, code="password_in_argv", hint=hint, where="--database"))
            continue
        path = tuple(name.split("."))
        origin = f"flag --{name.replace('.', '-').replace('_', '-')}"
        try:
            read = _typed(path, value, origin) if isinstance(value, str) else value
            layers.add(_tree(path, read), _always(origin))
        except Invalid as error:
            errors.append(error)
    return errors


def _always(origin: str) -> Place:
    return lambda _path: origin


def _tree(path: tuple[str, ...], value: object) -> dict[str, object]:
    for key in reversed(path[1:]):
        value = {key: value}
    return {path[0]: value}
