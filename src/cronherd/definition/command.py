"""How what is executed is read: command or task, whom and where it runs as, what it is given."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from keyword import iskeyword
from math import isfinite
from typing import Annotated, TypeVar

from pydantic import Field

from cronherd.definition.faults import (
    Fault,
    Faulty,
    Kind,
    Shape,
    check,
    duration,
    faults_of,
    given,
    read_each,
    read_text,
    read_whole,
    read_word,
    spell,
    whole,
)
from cronherd.definition.sizes import size
from cronherd.domain.errors import Invalid
from cronherd.domain.param import secret_variable
from cronherd.domain.secret import check_name
from cronherd.domain.spec import STOP_SIGNALS, TASK_PYTHON

COMMAND_BYTES = 100_000  # Linux takes 128 KiB for one argument
MAX_ARGUMENTS = 1_000
MAX_ENV = 1_000
MAX_ENV_FILES = 20
MAX_SECRETS = 100
MAX_CODES = 255
MAX_HOOKS = 20
MAX_MEMORY = 1 << 50
MAX_FILE = 1 << 50
LONG = 5_000

_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,30}\$?")
_DEEPEST = 20
T = TypeVar("T")


def read_command(value: object) -> str | list[str]:
    """A text for the shell, or a list of a program and its arguments."""
    if isinstance(value, str):
        return read_text(value, most=COMMAND_BYTES)
    if not isinstance(value, list | tuple):
        what = spell(value)
        hint = "write a text for the shell, or a list of a program and its arguments"
        raise Invalid(f"must be a command, not {what}", hint=hint)
    if not value or len(value) > MAX_ARGUMENTS:
        raise Invalid(f"must have 1 to {MAX_ARGUMENTS} parts")
    parts = read_items(value, lambda part: read_text(part, most=COMMAND_BYTES, empty=True))
    if not parts[0].strip():
        raise Invalid("the program's name is empty")
    if sum(len(part.encode()) for part in parts) > COMMAND_BYTES:
        raise Invalid(f"is longer than {COMMAND_BYTES:,} bytes", code="too_long")
    return parts


def read_items(value: Sequence[object], read: Callable[[object], T]) -> list[T]:
    """Every item read. Raises Faulty with all that could not be."""
    items: list[T] = []
    faults: list[Fault] = []
    for index, part in enumerate(value):
        try:
            items.append(read(part))
        except (Invalid, Faulty) as error:
            faults += [fault.under(index) for fault in faults_of(error)]
    if faults:
        raise Faulty(faults)
    return items


def _read_pair(key: object, value: object) -> tuple[str, str]:
    name = TASK_PYTHON if key == TASK_PYTHON else read_variable(key)
    return name, read_word(value, most=COMMAND_BYTES)


def read_env(value: object) -> dict[str, str]:
    """Variables and their values; numbers and booleans become text."""
    if not isinstance(value, Mapping):
        raise Invalid(f"must be a mapping of variables, not {spell(value)}", hint="{NAME: value}")
    if len(value) > MAX_ENV:
        raise Invalid(f"has more than {MAX_ENV} variables", code="too_many")
    return read_each(value, _read_pair)


def read_shell(value: object) -> str:
    """The absolute path of a shell."""
    path = read_text(value, most=LONG, lines=False)
    if not path.startswith("/"):
        raise Invalid(f"{spell(path)} is not an absolute path", hint="write /bin/bash")
    return path


def read_cwd(value: object) -> str:
    """An absolute path, `~`, or one within the user's home."""
    path = read_text(value, most=LONG, lines=False)
    if path.startswith(("/", "~/")) or path == "~":
        return path
    raise Invalid(f"{spell(path)} is not an absolute path", hint="write /srv/shop, ~ or ~/shop")


def read_user(value: object) -> str:
    """The name of a user."""
    return _read_owner(value, "user")


def read_group(value: object) -> str:
    """The name of a group."""
    return _read_owner(value, "group")


def _read_owner(value: object, what: str) -> str:
    name = read_text(value, most=LONG)
    if _USER.fullmatch(name):
        return name
    raise Invalid(f"{spell(name)} is not the name of a {what}")


def read_path(value: object, example: str = "/srv/shop/report.txt") -> str:
    """An absolute path, or one within the user's home."""
    path = read_text(value, most=LONG, lines=False)
    if path.startswith(("/", "~/")):
        if path.endswith(("/", "/.", "/..")):
            raise Invalid(f"{spell(path)} is a directory and no file", hint=f"write {example}")
        return path
    raise Invalid(f"{spell(path)} is not an absolute path", hint=f"write {example}")


def read_env_file(value: object) -> str | list[str]:
    """One file or a list of files; a `-` before a path: it may be missing."""
    many = value if isinstance(value, list | tuple) else [value]
    if len(many) > MAX_ENV_FILES:
        raise Invalid(f"has more than {MAX_ENV_FILES} files", code="too_many")
    if not isinstance(value, list | tuple):
        return _read_env_path(value)
    paths = list(dict.fromkeys(read_items(many, _read_env_path)))
    return paths[0] if len(paths) == 1 else paths


def _read_env_path(value: object) -> str:
    text = read_text(value, most=LONG, lines=False)
    optional = "-" if text.startswith("-") else ""
    return optional + read_path(text.removeprefix("-"), "/etc/shop.env, or -/etc/shop.env")


def read_codes(value: object, least: int) -> list[int]:
    """Exit codes from `least` to 255, each once, in order; a single one stands for itself."""
    if not isinstance(value, list | tuple):
        return [read_whole(value, least, 255)]
    if not value or len(value) > MAX_CODES:
        raise Invalid("must be a list of exit codes", hint="write [75] or [1, 2]")
    return sorted(set(read_items(value, lambda part: read_whole(part, least, 255))))


def read_signal(value: object) -> str:
    """`TERM`; `SIGTERM` and `term` mean the same."""
    word = read_text(value, most=LONG).strip().upper().removeprefix("SIG")
    if word in STOP_SIGNALS:
        return word
    raise Invalid(f"must be one of {', '.join(STOP_SIGNALS)}, not {spell(value)}")


def read_task(value: object) -> str:
    """`package.module:function`."""
    text = read_text(value, most=LONG, lines=False)
    module, colon, function = text.partition(":")
    names = [*module.split("."), *function.split(".")]
    if colon and all(name.isidentifier() and not iskeyword(name) for name in names):
        return text
    raise Invalid(f"{spell(text)} does not name a function", hint="write package.module:function")


def read_functions(value: object) -> str | list[str]:
    """One function or a list of them."""
    if not isinstance(value, list | tuple):
        return read_task(value)
    if not 0 < len(value) <= MAX_HOOKS:
        raise Invalid(f"must be a function or a list of 1 to {MAX_HOOKS} of them")
    functions = read_items(value, read_task)
    return functions[0] if len(functions) == 1 else functions


def read_args(value: object) -> object:
    """What a task is called with: a list of values, or a mapping of names and values."""
    if not isinstance(value, Mapping | list | tuple):
        hint = "write [1, two] or {name: value}"
        raise Invalid(f"must be a list or a mapping of arguments, not {spell(value)}", hint=hint)
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str) or not key.isidentifier():
                raise Invalid(f"{spell(key)} is not the name of an argument")
    plain = _plain(value, _DEEPEST)
    if len(json.dumps(plain)) > COMMAND_BYTES:
        raise Invalid(f"is longer than {COMMAND_BYTES:,} bytes", code="too_long")
    return plain


def _plain(value: object, deep: int) -> object:
    """The value as JSON knows it."""
    if not deep:
        raise Invalid(f"is nested more than {_DEEPEST} levels deep")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise Invalid("has keys that are not text")
        return {read_text(k, most=LONG, empty=True): _plain(v, deep - 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part, deep - 1) for part in value]
    if isinstance(value, str):
        return read_text(value, most=COMMAND_BYTES, empty=True)
    if value is None or isinstance(value, bool):
        return value
    try:
        if isinstance(value, int):
            return read_whole(value, -(1 << 63), (1 << 63) - 1)
        if isinstance(value, float) and isfinite(value):
            return float(value)
    except Invalid:
        pass
    raise Invalid(f"{spell(value)} is not a value that JSON knows")


def read_secret_name(value: object) -> str:
    """The name of a secret."""
    name = read_text(value, most=LONG)
    check_name(name)
    return name


def read_variable(value: object) -> str:
    """The name of an environment variable that a job may set."""
    if not isinstance(value, str) or not _ENV_NAME.fullmatch(value):
        raise Invalid("is not a variable's name", code="bad_env", hint="letters, digits and _")
    if value.upper().startswith("CRONHERD_"):
        raise Invalid("names that begin with CRONHERD_ are set by cronherd", code="bad_env")
    return value


class SecretDefinition(Shape):
    """A secret, and how the command gets it."""

    name: Annotated[str, Kind(read_secret_name, {"type": "string"})] = Field(
        description="Which secret of the fleet."
    )
    env: Annotated[str | None, Kind(read_variable, {"type": "string"})] = Field(
        default=None, description="The variable that holds it; else its name in capitals."
    )
    file: Annotated[str | None, Kind(read_variable, {"type": "string"})] = Field(
        default=None, description="The variable that holds the path of a file with it."
    )


def read_secrets(value: object) -> list[str | dict[str, object]]:
    """Names, or mappings with a name and one of env and file."""
    if not isinstance(value, list | tuple):
        text = f"must be a list of secrets, not {spell(value)}"
        raise Invalid(text, hint="write [db_password]")
    if len(value) > MAX_SECRETS:
        raise Invalid(f"has more than {MAX_SECRETS} secrets", code="too_many")
    return read_items(value, _read_secret)


def _read_secret(value: object) -> str | dict[str, object]:
    use = value if isinstance(value, Mapping) else {"name": read_secret_name(value)}
    use = {key: part for key, part in given(check(SecretDefinition, use)).items() if part}
    if "env" in use and "file" in use:
        raise Invalid("has both env and file", hint="name the secret twice for both")
    name = str(use["name"])
    variable = secret_variable(name)
    if len(use) == 1 and not _ENV_NAME.fullmatch(variable):
        text = f"{spell(variable)} cannot be a variable's name"
        raise Invalid(text, code="bad_env", hint=f"write {{name: {name}, env: NAME}}")
    return name if "file" not in use and use.get("env", variable) == variable else use


class LimitsDefinition(Shape):
    """What the command and all it starts may use at the most."""

    memory: Annotated[int | None, size(MAX_MEMORY, least=1)] = Field(
        default=None, description="Memory of each of its processes, such as 512MB."
    )
    processes: Annotated[int | None, whole(1, 1 << 22)] = Field(
        default=None, description="How many processes its user may have."
    )
    open_files: Annotated[int | None, whole(1, 1 << 30)] = Field(
        default=None, description="How many files each of its processes may have open."
    )
    cpu: Annotated[str | None, duration(least_us=1_000_000, why="the kernel counts seconds")] = (
        Field(default=None, description="Processor time of each of its processes, such as 10m.")
    )
