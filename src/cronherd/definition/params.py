"""How the parameters of a job are read: the short form `{name: default}` and the long one."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from cronherd.definition.command import LONG, read_items
from cronherd.definition.faults import (
    SWITCH,
    Fault,
    Faulty,
    Kind,
    Shape,
    check,
    choice,
    clean_schema,
    faults_of,
    given,
    printable,
    read_word,
    spell,
    text,
)
from cronherd.domain.errors import Invalid
from cronherd.domain.param import VALUE_BYTES, Param, ParamAs, ParamType, read_value

MAX_PARAMS = 100
MAX_CHOICES = 1_000
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,62}")
_CHOICES = {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1}
_VALUE = {"type": ["string", "number", "boolean"]}


def _read_choices(value: object) -> list[str]:
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_CHOICES:
        raise Invalid(f"must be a list of 1 to {MAX_CHOICES} values", hint="write [small, large]")
    return list(dict.fromkeys(read_items(value, lambda part: read_word(part, most=LONG))))


def _read_scalar(value: object) -> object:
    if isinstance(value, str | int | float):
        return value
    raise Invalid(f"must be text, a number or true or false, not {spell(value)}")


class ParamDefinition(Shape):
    """One parameter."""

    type: Annotated[str | None, choice(*ParamType)] = Field(
        default=None, description="What its value is; else what the default or choices say."
    )
    default: Annotated[Any, Kind(_read_scalar, _VALUE)] = Field(
        default=None, description="Its value when nobody says another, and by the schedule."
    )
    choices: Annotated[list[str] | None, Kind(_read_choices, _CHOICES)] = Field(
        default=None, description="The values it may have, for the type choice."
    )
    required: Annotated[bool, SWITCH] = Field(
        default=False, description="Whether a run can only be asked for with it."
    )
    description: Annotated[str, text(LONG, empty=True)] = Field(
        default="", description="What it is for, in words for people."
    )
    as_: Annotated[str, choice(*ParamAs)] = Field(
        default=ParamAs.ENV.value,
        alias="as",
        description="How the command gets it: env is $PARAM_NAME, argument is --name=value.",
    )


_LONG_FORM = clean_schema(ParamDefinition.model_json_schema())
PARAMS_SCHEMA = {
    "type": "object",
    "additionalProperties": {"anyOf": [{"type": ["string", "number", "boolean"]}, _LONG_FORM]},
}


def read_params(value: object) -> dict[str, dict[str, object]]:
    """Parameters by name, each in the long form without what is the default anyway."""
    if not isinstance(value, Mapping):
        hint = "write {name: default}"
        raise Invalid(f"must be a mapping of parameters, not {spell(value)}", hint=hint)
    if len(value) > MAX_PARAMS:
        raise Invalid(f"has more than {MAX_PARAMS} parameters", code="too_many")
    params: dict[str, dict[str, object]] = {}
    faults: list[Fault] = []
    for key, part in value.items():
        try:
            params[_read_name(key, params)] = _read_param(str(key), part)
        except (Invalid, Faulty) as error:
            faults += [fault.under(printable(str(key))[:80]) for fault in faults_of(error)]
    if faults:
        raise Faulty(faults)
    return params


def _read_name(key: object, before: Mapping[str, object]) -> str:
    name = key if isinstance(key, str) else ""
    if not _NAME.fullmatch(name):
        hint = "a letter, then letters, digits, _ and -"
        raise Invalid("is not a parameter's name", code="bad_param", hint=hint)
    variable = Param(name=name).variable
    twin = next((other for other in before if Param(name=other).variable == variable), None)
    if twin:
        raise Invalid(f"travels in {variable}, as {twin} does", code="bad_param")
    return name


def _read_param(name: str, value: object) -> dict[str, object]:
    if value is None:
        said: dict[str, object] = {}
    elif isinstance(value, Mapping):
        shape = check(ParamDefinition, {k: v for k, v in value.items() if v is not None})
        said = given(shape)
    else:
        said = {"default": _read_scalar(value)}
    said.setdefault("type", _type_of(said))
    _check(said)
    if "default" in said:
        said["default"] = _default(name, said)
    plain = ParamDefinition.model_fields
    return {
        key.rstrip("_"): said[key]
        for key in plain
        if key in said and (key in {"type", "default"} or said[key] != plain[key].default)
    }


def _type_of(said: Mapping[str, object]) -> str:
    """What nobody said: `{copies: 3}` is a whole number."""
    if "choices" in said:
        return ParamType.CHOICE.value
    value = said.get("default")
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number")):
        if isinstance(value, kind):
            return name
    return ParamType.STRING.value


def _check(said: Mapping[str, object]) -> None:
    if (said["type"] == ParamType.CHOICE) != ("choices" in said):
        wrong = "only the type choice has choices" if "choices" in said else "has no choices"
        raise Invalid(wrong, code="bad_param", hint="write choices: [small, large]")
    if said.get("required") and "default" in said:
        raise Invalid("has a default, so it is never missing", code="bad_param", where="required")


def _default(name: str, said: Mapping[str, object]) -> object:
    kind = ParamType(str(said["type"]))
    choices = said.get("choices")
    param = Param(name=name, type=kind, choices=tuple(choices) if isinstance(choices, list) else ())
    value = said["default"]
    if kind in {ParamType.STRING, ParamType.CHOICE}:  # 1.10 was written, and not 1.1
        value = read_word(value, most=VALUE_BYTES)
    try:
        return read_value(param, value)
    except Invalid as error:
        raise Invalid(error.text, code=error.code, where="default") from None
