"""A definition as a form and as text, both ways, and how two of them differ."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from cronherd.definition.document import load_document
from cronherd.definition.spelling import to_yaml
from cronherd.domain.errors import Invalid
from cronherd.domain.policy import CatchupMode, Overlap
from cronherd.pages.forms import Form
from cronherd.views import in_order

Json = dict[str, Any]
TEXT_NAME = "definition"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting of a form. `kind`: line, area, lines, words, value or choice."""

    key: str
    label: str
    help: str
    kind: str = "line"
    choices: tuple[str, ...] = ()
    placeholder: str = ""


FIELDS = (
    Field(key="name", label="Name", help="Unique; upper and lower case do not differ."),
    Field(key="description", label="Description", help="What it is for.", kind="area"),
    Field(
        key="command", label="Command", kind="area",
        help="A text goes to the shell; a list such as [df, -h] is executed as it is.",
        placeholder="pg_dump shop | gzip > /backup/shop.gz",
    ),
    Field(
        key="schedule", label="Schedule", kind="lines", placeholder="30 2 * * *",
        help="Cron fields, @daily, every 10m, after 5m, at 2027-01-01 09:00, on Mon..Fri 09:00. "
        "One on each line. Empty: only by hand.",
    ),
    Field(
        key="timezone", label="Time zone", help="Empty: the zone of the fleet.",
        placeholder="Europe/Berlin",
    ),
    Field(
        key="window", label="Window", kind="lines", placeholder="23:00-03:00",
        help="Only slots within these stretches of the local day count.",
    ),
    Field(
        key="overlap", label="When it still runs", kind="choice", choices=tuple(Overlap),
        help="What a slot does then: skip, queue, replace the run, or allow both.",
    ),
    Field(
        key="catchup", label="Missed slots", kind="choice", choices=tuple(CatchupMode),
        help="Which slots run afterwards that were missed, as when no node was up.",
    ),
    Field(key="timeout", label="Time limit", help="How long a run may take.", placeholder="1h"),
    Field(
        key="retries", label="Retries", kind="value", placeholder="2",
        help="How often a failed run is tried again, or {max: 3, backoff: 30s}.",
    ),
    Field(
        key="run_on", label="Runs on", kind="value", placeholder="{zone: eu}",
        help="Labels that a node must have.",
    ),
    Field(key="mailto", label="Mail to", help="Who gets mail about it."),
    Field(
        key="tags", label="Tags", kind="words", placeholder="backup, database",
        help="Words to find it by, with commas between them.",
    ),
)  # fmt: skip
KEYS = tuple(field.key for field in FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What somebody has written so far: the fields, or the text, and what that means.

    `definition` None when it cannot be read; `fault` says why.
    """

    as_text: bool
    fields: Mapping[str, str]
    rest: str
    text: str
    definition: Json | None
    fault: Invalid | None = None

    @property
    def others(self) -> list[str]:
        """The settings that the form has no field for."""
        return [key for key in self.definition or {} if key not in KEYS]


def draft_of(definition: Mapping[str, Any], *, as_text: bool) -> Draft:
    """A definition as a draft. What no field can hold stays in `rest`."""
    ordered = in_order(dict(definition))
    fields = dict.fromkeys(KEYS, "")
    rest: Json = {}
    for key, value in ordered.items():
        shown = _shown(key, value)
        if shown is None:
            rest[key] = value
        else:
            fields[key] = shown
    return Draft(
        as_text=as_text,
        fields=fields,
        rest=to_yaml(rest) if rest else "",
        text=to_yaml(ordered) if ordered else "",
        definition=ordered,
    )


def read_draft(form: Form) -> Draft:
    """What a form sent."""
    as_text = form.one("as") == "text"
    fields = {key: form.one(f"f.{key}") for key in KEYS}
    rest, text = form.one("rest"), form.one("text").replace("\r\n", "\n")
    definition: Json | None = None
    fault = None
    try:
        definition = _read_text(text) if as_text else _read_fields(fields, rest)
    except Invalid as error:
        fault = error
    return Draft(
        as_text=as_text, fields=fields, rest=rest, text=text, definition=definition, fault=fault
    )


def _read_text(text: str) -> Json:
    value = load_document(text, TEXT_NAME).value
    if not isinstance(value, Mapping):
        raise Invalid("must be settings, each on a line: name: value", code="bad_definition")
    return dict(value)


def _read_fields(fields: Mapping[str, str], rest: str) -> Json:
    definition: Json = {}
    for field in FIELDS:
        text = fields[field.key].replace("\r\n", "\n")
        text = text.rstrip() if field.kind == "area" else text.strip()
        if text.strip():
            definition[field.key] = _read_value(field, text)
    more = load_document(rest, "rest").value if rest.strip() else {}
    return {**(dict(more) if isinstance(more, Mapping) else {}), **definition}


def _read_value(field: Field, text: str) -> object:
    """A field's text as the value of its setting. Raises Invalid."""
    if field.kind == "words":
        return [word.strip() for word in text.split(",") if word.strip()]
    if field.kind == "lines":
        lines = [line.strip() for line in text.split("\n") if line.strip()]
        return lines[0] if len(lines) == 1 else lines
    if field.key == "command" and text.lstrip()[:1] == "[" and text.rstrip()[-1:] == "]":
        return _flow(field.key, text)
    if field.kind == "value":
        whole = text.isascii() and text.isdecimal() and len(text) < 10  # longer means nothing here
        return int(text) if whole else _flow(field.key, text)
    return text


def _flow(key: str, text: str) -> object:
    if text.lstrip()[:1] not in {"[", "{"}:
        return text
    try:
        return load_document(text, TEXT_NAME).value
    except Invalid as error:
        if key == "command":  # a test of the shell begins so, too
            return text
        raise Invalid(error.text, code=error.code, hint=error.hint, where=key) from None


def _shown(key: str, value: object) -> str | None:
    """A value as its field shows it; None where there is none, or it cannot."""
    field = next((each for each in FIELDS if each.key == key), None)
    if field is None:
        return None
    texts = isinstance(value, list) and all(isinstance(each, str) for each in value)
    if isinstance(value, str):
        looks = value.lstrip()[:1] in {"[", "{"} and field.kind == "value"
        return None if looks or ("\n" in value and field.kind != "area") else value
    if field.kind == "words":
        return ", ".join(value) if texts else None  # type: ignore[arg-type]
    if field.kind == "lines":
        return "\n".join(value) if texts else None  # type: ignore[arg-type]
    if field.kind == "value" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _in_one_line(value) if field.kind == "value" or key == "command" else None


def _in_one_line(value: object) -> str | None:
    """`[df, -h]`, when that is read back as the same."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text if load_document(text, TEXT_NAME).value == value else None
    except Invalid:
        return None


def diff(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[dict[str, str]]:
    """What differs between two definitions, setting by setting, as lines with a sign.

    What is the same is kept around; nothing at all when all of it is.
    """
    before, after = (_blocks(definition) for definition in (old or {}, new))
    if before == after:
        return []
    found: list[dict[str, str]] = []
    for key in in_order(before | after):
        one, other = before.get(key, []), after.get(key, [])
        if one == other:
            found += [{"sign": " ", "text": line} for line in one]
        else:
            found += _between(one, other)
    return found


def _between(one: list[str], other: list[str]) -> Iterable[dict[str, str]]:
    """The lines of one setting before and after."""
    for word, low, high, first, last in SequenceMatcher(None, one, other, False).get_opcodes():  # noqa: FBT003
        if word == "equal":
            yield from ({"sign": " ", "text": line} for line in one[low:high])
        else:
            yield from ({"sign": "-", "text": line} for line in one[low:high])
            yield from ({"sign": "+", "text": line} for line in other[first:last])


def _blocks(definition: Mapping[str, Any]) -> dict[str, list[str]]:
    """The lines of each setting."""
    return {
        key: to_yaml({key: _sorted(value)}).rstrip("\n").split("\n")
        for key, value in definition.items()
    }


def _sorted(value: object) -> object:
    """Mappings in one order: what is stored knows another one than what was written."""
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value, key=str)}
    return [_sorted(part) for part in value] if isinstance(value, list) else value


def without_switch(definition: Mapping[str, Any]) -> Json:
    """Whether a job is enabled is a switch of its page, and no part of what is edited."""
    return {key: value for key, value in definition.items() if key != "enabled"}


def merge(base: Mapping[str, Any], theirs: Mapping[str, Any], mine: Mapping[str, Any]) -> Json:
    """Their definition with what I changed in it."""
    merged = dict(theirs)
    for key in changed_keys(base, mine):
        if key in mine:
            merged[key] = mine[key]
        else:
            merged.pop(key, None)
    return merged


def changed_keys(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [key for key in _all(old, new) if old.get(key) != new.get(key)]


def _all(*definitions: Mapping[str, Any]) -> Iterable[str]:
    return dict.fromkeys(key for each in definitions for key in each)
