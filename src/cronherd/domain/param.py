"""Parameters: what whoever asks for a run may set, checked by type. Pure."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import isfinite
from typing import Any

from cronherd.domain.errors import Invalid, InvalidInput

VALUE_BYTES = 100_000  # as much as a command: an argument or a variable of Linux ends at 128 KiB
_SHOWN = 60
_CHOICES_SHOWN = 20
_FORBIDDEN = re.compile(r"[\x00\ud800-\udfff]")
_DIGITS = 20
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?")


class ParamType(StrEnum):
    """What a parameter's value is."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"


class ParamAs(StrEnum):
    """How the command gets it: as $PARAM_NAME, or as --name=value behind its arguments."""

    ENV = "env"
    ARGUMENT = "argument"


Value = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """One parameter of a job; `default` None: without one."""

    name: str
    type: ParamType = ParamType.STRING
    default: Value | None = None
    choices: tuple[str, ...] = ()
    required: bool = False
    description: str = ""
    as_: ParamAs = ParamAs.ENV

    @property
    def variable(self) -> str:
        """The environment variable it travels in."""
        return "PARAM_" + self.name.upper().replace("-", "_")


@dataclass(frozen=True, slots=True)
class SecretUse:
    """A secret of the fleet that a job gets: in the variable `env`, or in a file named by `file`.

    One of the two is empty.
    """

    name: str
    env: str = ""
    file: str = ""


def secret_variable(name: str) -> str:
    """The variable a secret travels in when nothing is said: `db-password` in DB_PASSWORD."""
    return name.upper().replace("-", "_").replace(".", "_")


def build_params(value: Mapping[str, Mapping[str, Any]]) -> tuple[Param, ...]:
    """The parameters of a canonical spec, by name: stored definitions know no other order."""
    return tuple(
        Param(
            name=name,
            type=ParamType(said.get("type", ParamType.STRING)),
            default=said.get("default"),
            choices=tuple(said.get("choices", ())),
            required=bool(said.get("required", False)),
            description=str(said.get("description", "")),
            as_=ParamAs(said.get("as", ParamAs.ENV)),
        )
        for name, said in sorted(value.items())
    )


def value_text(value: Value) -> str:
    """A value as a command sees it: `true`, `5`, `0.5`, `abc`."""
    return value if isinstance(value, str) else json.dumps(value)


def all_values(params: tuple[Param, ...], given: Mapping[str, Value]) -> dict[str, Value]:
    """What a run has: what was given, else the defaults; what has neither is left out."""
    values: dict[str, Value] = {}
    for param in params:
        value = given.get(param.name, param.default)
        if value is not None:
            values[param.name] = value
    return values


def check_values(params: tuple[Param, ...], given: Mapping[str, object]) -> dict[str, Value]:
    """What somebody gave, in the types of the job. Raises InvalidInput with every fault.

    Texts become numbers and switches where the type wants it: a command line has only texts.
    """
    known = {param.name: param for param in params}
    errors: list[Invalid] = []
    values: dict[str, Value] = {}
    for name, value in given.items():
        try:
            values[name] = read_value(_known(known, name), value)
        except Invalid as error:
            errors.append(error)
    errors += [
        Invalid("is required", code="missing_param", hint=_form(param), where=_where(param.name))
        for param in params
        if param.required and param.name not in given
    ]
    if errors:
        raise InvalidInput(errors)
    return {name: values[name] for name in known if name in values}


def read_value(param: Param, value: object) -> Value:
    """One value in the parameter's type. Raises Invalid."""
    where = _where(param.name)
    read = _in_type(param, value)
    if read is None:
        text = f"must be {_wanted(param)}, not {_shown(value)}"
        raise Invalid(text, code="bad_param", where=where)
    if isinstance(read, str):
        _check_text(read, where)
    return read


def _in_type(param: Param, value: object) -> Value | None:
    match param.type:
        case ParamType.INTEGER:
            return _integer(value)
        case ParamType.NUMBER:
            return _number(value)
        case ParamType.BOOLEAN:
            return _boolean(value)
    text = _string(value)
    return text if param.type is ParamType.STRING or text in param.choices else None


def _check_text(text: str, where: str) -> None:
    if _FORBIDDEN.search(text):
        text = "contains a NUL or half a surrogate pair"
        raise Invalid(text, code="bad_param", where=where)
    if len(text.encode()) > VALUE_BYTES:
        raise Invalid(f"is longer than {VALUE_BYTES:,} bytes", code="bad_param", where=where)


def _known(known: Mapping[str, Param], name: str) -> Param:
    if name in known:
        return known[name]
    names = ", ".join(known)
    hint = f"the job has {names}" if names else "the job has no params"
    raise Invalid(
        "is not a parameter of the job", code="unknown_param", hint=hint, where=_where(name)
    )


def _where(name: str) -> str:
    return f"params.{name[:_SHOWN]}"


def _form(param: Param) -> str:
    return f"--param {param.name}=VALUE"


def _wanted(param: Param) -> str:
    if param.type is ParamType.CHOICE:
        some = [choice[:_SHOWN] for choice in param.choices[:_CHOICES_SHOWN]]
        more = len(param.choices) - len(some)
        return f"one of {', '.join(some)}" + (f" and {more} more" if more else "")
    return {
        ParamType.STRING: "text",
        ParamType.INTEGER: "a whole number",
        ParamType.NUMBER: "a number",
        ParamType.BOOLEAN: "true or false",
    }[param.type]


def _shown(value: object) -> str:
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


def _string(value: object) -> str | None:
    if isinstance(value, bool | int | float):
        return value_text(value)
    return value if isinstance(value, str) else None


def _integer(value: object) -> int | None:
    if isinstance(value, str) and len(value) <= _DIGITS and _WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return value
    return None


def _number(value: object) -> int | float | None:
    """A whole number stays whole: 5 is not 5.0 to a command."""
    whole = _integer(value)
    if whole is not None:
        return whole
    if isinstance(value, str) and len(value) <= _SHOWN and _DECIMAL.fullmatch(value):
        value = float(value)
    return value if isinstance(value, float) and isfinite(value) else None


def _boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None
