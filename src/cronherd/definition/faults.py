"""How values from outside are read and refused: files, requests and code meet the same words.

A `Kind` turns one value into its canonical form or raises Invalid; a `Shape` is a mapping of such
values. pydantic collects every fault of a mapping in one pass and publishes the schema; its own
sentences never reach people.
"""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, PydanticCustomError, core_schema

from cronherd.domain.duration import format_duration, parse_duration
from cronherd.domain.errors import Invalid, InvalidInput
from cronherd.domain.instant import load_zone

Path = tuple[str | int, ...]

MAX_FAULTS = 50  # more than a person reads before the first correction
_MAX_SENTENCE = 300  # a fault quotes the input; a megabyte of it helps nobody
_MAX_BITS = 128  # beyond every limit here, and Python refuses to print very long numbers
_FORBIDDEN = re.compile(r"[\x00\ud800-\udfff]")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?")
_LABEL_VALUE = re.compile(r"[^\s,=\x00-\x1f\x7f](?:[^,=\x00-\x1f\x7f]{0,118}[^\s,=\x00-\x1f\x7f])?")
_MAX_LABELS = 50
_PLACE = re.compile(r"([^:]+):(\d{1,9}):(\d{1,9})(?=:|$)")  # as Document.place writes it


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong, and the path to it from where reading began."""

    text: str
    code: str = "invalid"
    hint: str = ""
    path: Path = ()

    def under(self, *prefix: str | int) -> "Fault":
        """The same fault seen from further out."""
        return replace(self, path=(*prefix, *self.path))

    def invalid(self, where: str) -> Invalid:
        """The error for people; `where` replaces the path."""
        return Invalid(self.text, code=self.code, hint=self.hint, where=where)


class Faulty(Exception):
    """Everything that is wrong with one value; stays inside the readers."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        super().__init__("faulty")
        self.faults = list(faults)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of value: how it is read, and what the published schema says of it."""

    read: Callable[[Any], object]
    schema: Mapping[str, object]

    def __get_pydantic_core_schema__(self, _: object, __: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, _: object, __: object) -> dict[str, object]:
        return dict(self.schema)

    def _checked(self, value: object) -> object:
        try:
            return self.read(value)
        except (Invalid, Faulty) as error:
            raise refusal(error) from None


class Shape(BaseModel):
    """A mapping with known settings and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


S = TypeVar("S", bound=Shape)


def refusal(error: Invalid | Faulty) -> PydanticCustomError:
    """What a validator raises so that pydantic goes on and collects the rest."""
    return PydanticCustomError("fault", "refused", {"faults": faults_of(error)})


def faults_of(error: Invalid | Faulty) -> list[Fault]:
    """The faults an error stands for, made fit for a terminal."""
    if isinstance(error, Faulty):
        return error.faults
    parts = error.errors if isinstance(error, InvalidInput) else [error]
    return [
        Fault(
            text=printable(part.text),
            code=part.code,
            hint=printable(part.hint),
            path=tuple(part.where.split(".")) if part.where else (),
        )
        for part in parts
    ]


def check(model: type[S], raw: object, context: object = None) -> S:
    """The mapping as `model`. Raises Faulty with all its faults."""
    if not isinstance(raw, Mapping):
        raise Faulty([Fault(text=f"must be a mapping of settings, not {spell(raw)}")])
    try:
        return model.model_validate(dict(raw), context=context)
    except ValidationError as error:
        parts = error.errors(include_url=False, include_input=False)
        raise Faulty(fault for part in parts for fault in _translate(model, part)) from None


def _translate(model: type[Shape], part: ErrorDetails) -> list[Fault]:
    path: Path = tuple(part["loc"])
    kind = part["type"]
    if kind == "fault":
        return [fault.under(*path) for fault in part["ctx"]["faults"]]
    if kind == "missing":
        return [Fault(text="is missing", code="missing", path=path)]
    if kind in {"extra_forbidden", "invalid_key"}:
        return [unknown_setting(str(path[-1]), model.model_fields).under(*path[:-1])]
    return [Fault(text="is not valid here", path=path)]


def unknown_setting(name: str, known: Iterable[str]) -> Fault:
    """The fault for a name that nobody knows, with the nearest one that is known."""
    name = printable(name)[:80]
    hint = closest(name, known)
    return Fault(text="unknown setting", code="unknown_setting", hint=hint, path=(name,))


def closest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str:
    """`did you mean 'timeout'?`, or nothing when no known word is near."""
    plain = word.lower().replace("-", "_")[:80]
    close = get_close_matches(plain, list(known), n=1, cutoff=cutoff)
    return f"did you mean '{close[0]}'?" if close else ""


def dotted(path: Path) -> str:
    """`jobs.nightly.timeout`."""
    return printable(".".join(str(part) for part in path))


def bounded(errors: list[Invalid]) -> InvalidInput:
    """One error of many, by their places; beyond the first fifty only their number is told."""
    kept = sorted(errors, key=_by_place)[:MAX_FAULTS]
    if len(errors) > len(kept):
        kept.append(Invalid(f"and {len(errors) - len(kept)} more", code="more"))
    return InvalidInput(kept)


def _by_place(error: Invalid) -> tuple[bool, str, int, int]:
    """File, line and column; what has no place in a file comes behind, in the order it came."""
    found = _PLACE.match(error.where)
    return (False, found[1], int(found[2]), int(found[3])) if found else (True, "", 0, 0)


def printable(text: str) -> str:
    """The text without anything a terminal would obey, and not endlessly long."""
    if len(text) > _MAX_SENTENCE:
        text = text[:_MAX_SENTENCE] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def spell(value: object) -> str:
    """A value in a sentence: `'abc'`, `the number 5`, `a list`."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"the number {number_text(value)}" if _fits(value) else "a huge number"
    if isinstance(value, str):
        return f"'{printable(value[:40])}'"
    return "a mapping" if isinstance(value, Mapping) else "a list"


def number_text(value: float) -> str:
    """A number as it was written: `1.10` in a file must not become `1.1` in an environment."""
    return str(getattr(value, "spelling", value))


def _fits(value: float) -> bool:
    return not isinstance(value, int) or value.bit_length() <= _MAX_BITS


# Readers. Each takes what came from outside and gives the canonical value.


def read_text(value: object, *, most: int, lines: bool = True, empty: bool = False) -> str:
    """Text of at most `most` bytes. Numbers are refused: whoever wrote `5` may have meant `05`."""
    if isinstance(value, bool | int | float) and _fits(value):
        written = number_text(value).lower() if isinstance(value, bool) else number_text(value)
        raise Invalid(f"must be text, not {spell(value)}", hint=f"put it in quotes: '{written}'")
    if not isinstance(value, str):
        raise Invalid(f"must be text, not {spell(value)}")
    if _FORBIDDEN.search(value):
        raise Invalid("contains a NUL or half a surrogate pair", code="bad_text")
    if len(value.encode()) > most:
        raise Invalid(f"is longer than {most:,} bytes", code="too_long")
    if not empty and not value.strip():
        raise Invalid("is empty")
    if not lines and ("\n" in value or "\r" in value):
        raise Invalid("must be one line", code="bad_text")
    return value


def read_switch(value: object) -> bool:
    """`true` or `false`, nothing that resembles them."""
    if isinstance(value, bool):
        return value
    raise Invalid(f"must be true or false, not {spell(value)}")


def read_zone(value: object) -> str:
    """An IANA time zone."""
    name = read_text(value, most=5_000)
    load_zone(name)
    return name


def read_duration(value: object, *, least_us: int = 0, why: str = "") -> str:
    """A duration of at least `least_us` in its shortest spelling."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not _fits_any(value):
        hint = "write 90s, 10m, 1h30m or 1d"
        raise Invalid(f"must be a duration, not {spell(value)}", code="bad_duration", hint=hint)
    if isinstance(value, str):
        value = read_text(value, most=200)
    micros = parse_duration(value)
    if micros < least_us:
        least = f"at least {format_duration(least_us)}" if least_us > 1 else "longer than nothing"
        raise Invalid(f"must be {least}", code="bad_duration", hint=why)
    return format_duration(micros)


def _fits_any(value: str | float) -> bool:
    return isinstance(value, str) or _fits(value)


def read_labels(value: object) -> dict[str, str]:
    """Labels and their values; numbers and booleans become text."""
    if not isinstance(value, Mapping):
        raise Invalid(f"must be a mapping of labels, not {spell(value)}", hint="write {zone: eu}")
    if len(value) > _MAX_LABELS:
        raise Invalid(f"has more than {_MAX_LABELS} labels", code="too_many")
    return read_each(value, lambda key, part: (_label(key), _label_value(part)))


def read_each(
    value: Mapping[object, object], read: Callable[[object, object], tuple[str, str]]
) -> dict[str, str]:
    """Read every pair of a mapping. Raises Faulty with all that could not be read."""
    pairs: dict[str, str] = {}
    faults: list[Fault] = []
    for key, part in value.items():
        try:
            name, text = read(key, part)
            pairs[name] = text
        except Invalid as error:
            faults += [fault.under(printable(str(key))[:80]) for fault in faults_of(error)]
    if faults:
        raise Faulty(faults)
    return pairs


def read_word(value: object, *, most: int) -> str:
    """Text, where a number or a boolean means its spelling."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and _fits(value):
        return number_text(value)
    return read_text(value, most=most, empty=True)


def _label(key: object) -> str:
    if isinstance(key, str) and _LABEL.fullmatch(key):
        return key
    raise Invalid("is not a label", code="bad_label", hint="use letters, digits and _ . / -")


def _label_value(value: object) -> str:
    text = read_word(value, most=480)
    if _LABEL_VALUE.fullmatch(text):
        return text
    raise Invalid(f"{spell(text)} cannot be a label's value", code="bad_label", hint="no , or =")


def read_whole(value: object, least: int, most: int) -> int:
    """A whole number between two limits; `true` and `"5"` are none."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise Invalid(f"must be a whole number from {least} to {most}, not {spell(value)}")


def read_number(value: object, least: float, most: float) -> float:
    """A finite number between two limits."""
    if (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and least <= value <= most
    ):
        return float(value)
    raise Invalid(f"must be a number from {least:g} to {most:g}, not {spell(value)}")


def whole(least: int, most: int) -> Kind:
    """The kind of whole numbers between two limits."""
    schema = {"type": "integer", "minimum": least, "maximum": most}
    return Kind(lambda value: read_whole(value, least, most), schema)


def number(least: float, most: float) -> Kind:
    """The kind of numbers between two limits."""
    schema = {"type": "number", "minimum": least, "maximum": most}
    return Kind(lambda value: read_number(value, least, most), schema)


def text(most: int, *, lines: bool = True, empty: bool = False) -> Kind:
    """The kind of texts up to a length in bytes."""
    schema = {"type": "string", "maxLength": most} | ({} if empty else {"minLength": 1})
    return Kind(lambda value: read_text(value, most=most, lines=lines, empty=empty), schema)


def duration(*, least_us: int = 0, why: str = "") -> Kind:
    """The kind of durations, as text or as seconds."""
    schema = {"type": ["string", "number"], "examples": ["90s", "10m", "1h30m"]}
    return Kind(lambda value: read_duration(value, least_us=least_us, why=why), schema)


def choice(*words: str) -> Kind:
    """The kind of a few fixed words."""

    def read(value: object) -> str:
        if isinstance(value, str) and value in words:
            return value
        near = closest(value, words) if isinstance(value, str) else ""
        raise Invalid(f"must be one of {', '.join(words)}, not {spell(value)}", hint=near)

    return Kind(read, {"enum": list(words)})


def nested(model: type[Shape]) -> Kind:
    """The kind of a mapping within a mapping: gives what was set, as a plain dict."""

    def read(value: object) -> dict[str, object]:
        return given(check(model, value))

    return Kind(read, clean_schema(model.model_json_schema()))


def given(shape: Shape) -> dict[str, object]:
    """The settings that were given, in the order of the model."""
    chosen = shape.model_fields_set
    return {name: getattr(shape, name) for name in type(shape).model_fields if name in chosen}


def clean_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without pydantic's noise: titles made from names, `default: null`."""
    properties = {
        name: {key: part for key, part in field.items() if key != "title" and part is not None}
        for name, field in schema.get("properties", {}).items()
    }
    plain = {key: part for key, part in schema.items() if key not in {"title", "$defs"}}
    return plain | {"properties": properties}


ZONE = Kind(read_zone, {"type": "string", "examples": ["Europe/Berlin", "UTC"]})
SWITCH = Kind(read_switch, {"type": "boolean"})
LABELS = Kind(
    read_labels,
    {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
)
