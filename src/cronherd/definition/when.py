"""The settings of time: when a job runs, and what is said around its schedule."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from pydantic.json_schema import WithJsonSchema

from cronherd.definition.command import LONG, read_items
from cronherd.definition.faults import (
    Kind,
    choice,
    read_duration,
    read_text,
    spell,
    whole,
)
from cronherd.domain.duration import format_duration, parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import DAY_US, parse_instant
from cronherd.domain.job import name_key
from cronherd.domain.timing.excluding import MAX_DATES, MAX_EXCLUSIONS, canonical_exclusions
from cronherd.domain.timing.frame import read_frame
from cronherd.domain.timing.schedule import (
    After,
    Schedule,
    canonical_schedule,
    parse_schedule,
    shortest_distance,
)
from cronherd.domain.timing.wallclock import FOLDS, GAPS
from cronherd.domain.timing.window import MAX_WINDOWS, parse_window

MOST_RUNS = 1_000_000_000
_TIME_TEXT = 200
_OWN_ZONE = ZoneInfo("UTC")  # for whether a text is an instant at all


def read_schedule(value: object, said: Mapping[str, Any], timezone: str, now_us: int) -> object:
    """The canonical schedule; `said` is what the job says before it, already canonical."""
    _check_shape(value)
    name = said.get("name")
    key = name_key(name) if isinstance(name, str) else ""
    frame = read_frame(said, timezone, key)
    schedule = parse_schedule(value, timezone=timezone, frame=frame, now_us=now_us)
    if said.get("jitter") is not None:
        _check_jitter(parse_duration(said["jitter"]), schedule, now_us)
    return canonical_schedule(value)


def _check_jitter(jitter_us: int, schedule: Schedule, now_us: int) -> None:
    if isinstance(schedule, After):
        raise Invalid(
            "'after' counts from the end of a run, so it has no jitter", code="bad_jitter"
        )
    shortest_us = shortest_distance(schedule, now_us)
    if shortest_us is not None and jitter_us >= shortest_us:
        raise Invalid(
            f"its slots come {format_duration(shortest_us)} apart, and the jitter of "
            f"{format_duration(jitter_us)} is not shorter",
            code="bad_jitter",
            hint="a slot must not fire after the one that follows it",
        )


def _check_shape(value: object, *, inner: bool = False) -> None:
    """Bound what the grammar sees: texts, numbers, one level of lists and mappings."""
    if isinstance(value, str):
        read_text(value, most=LONG)
    elif isinstance(value, Mapping):
        for part in value.values():
            _check_part(part)
    elif isinstance(value, list | tuple) and not inner:
        for part in value:
            _check_shape(part, inner=True)
    else:
        hint = "write '30 2 * * *' or 'every 10m'"
        raise Invalid(f"must be a schedule, not {spell(value)}", code="bad_schedule", hint=hint)


def _check_part(part: object) -> None:
    if isinstance(part, str):
        read_text(part, most=LONG)
    elif isinstance(part, list | tuple):
        for text in part:
            read_text(text, most=LONG)
    elif isinstance(part, bool) or not isinstance(part, int | float):
        raise Invalid(f"must be text, not {spell(part)}", code="bad_schedule")
    else:
        read_duration(part)


def _read_window(value: object) -> str | list[str]:
    if not isinstance(value, list | tuple):
        return parse_window(read_text(value, most=_TIME_TEXT)).text
    if not 0 < len(value) <= MAX_WINDOWS:
        text = f"must be a window or a list of 1 to {MAX_WINDOWS} of them"
        raise Invalid(text, code="bad_window")
    found = read_items(value, lambda part: parse_window(read_text(part, most=_TIME_TEXT)).text)
    plain = list(dict.fromkeys(found))
    return plain[0] if len(plain) == 1 else plain


def _read_excluding(value: object) -> object:
    if not isinstance(value, list | tuple):
        return _read_exclusion(value)
    if not 0 < len(value) <= MAX_EXCLUSIONS:
        text = f"must be a rule or a list of 1 to {MAX_EXCLUSIONS} of them"
        raise Invalid(text, code="bad_exclusion")
    return canonical_exclusions(read_items(value, _read_exclusion))


def _read_exclusion(value: object) -> object:
    if isinstance(value, Mapping):
        for part in value.values():
            for text in part if isinstance(part, list | tuple) else [part]:
                read_text(text, most=LONG)
    else:
        read_text(value, most=_TIME_TEXT)
    return canonical_exclusions(value)


def _read_moment(value: object) -> str:
    moment = " ".join(read_text(value, most=_TIME_TEXT).split())
    parse_instant(moment, _OWN_ZONE)
    return moment


def _read_jitter(value: object) -> str:
    spelled = read_duration(value)
    if parse_duration(spelled) > DAY_US:
        raise Invalid("must be at most 1d", code="bad_jitter")
    return spelled


_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT, "minItems": 1}
_RULE: dict[str, Any] = {
    "anyOf": [
        _TEXT,
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 2,
            "properties": {
                "cron": _TEXT,
                "seconds": {"enum": ["first", "last"]},
                "every": {"type": ["string", "number"]},
                "phase": {"type": ["string", "number"]},
                "after": {"type": ["string", "number"]},
                "at": {"anyOf": [_TEXT, _TEXTS]},
                "oncalendar": _TEXT,
            },
            "additionalProperties": False,
        },
    ]
}
_RULES = {"anyOf": [*_RULE["anyOf"], {"type": "array", "items": _RULE, "minItems": 1}]}
_EXCLUSION: dict[str, Any] = {
    "anyOf": [
        _TEXT,
        {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "properties": {
                "holidays": _TEXT,
                "cron": _TEXT,
                "dates": _TEXTS | {"maxItems": MAX_DATES},
            },
            "additionalProperties": False,
        },
    ]
}
_EXCLUSIONS = {
    "anyOf": [*_EXCLUSION["anyOf"], {"type": "array", "items": _EXCLUSION, "minItems": 1}],
    "examples": ["Sat-Sun", ["12-24 - 01-02", {"holidays": "DE-BY"}]],
}
_WINDOWS = {"anyOf": [_TEXT, _TEXTS], "examples": ["23:00-03:00", "Mon-Fri 09:00-17:00"]}
_MOMENT = {"type": "string", "examples": ["2027-01-01 09:00", "2027-01-01T09:00:00Z"]}

RULES = WithJsonSchema(_RULES)
WINDOW = Kind(_read_window, _WINDOWS)
EXCLUDING = Kind(_read_excluding, _EXCLUSIONS)
MOMENT = Kind(_read_moment, _MOMENT)
JITTER = Kind(_read_jitter, {"type": ["string", "number"], "examples": ["30s", "5m"]})
GAP = choice(*GAPS)
FOLD = choice(*FOLDS)
RUNS = whole(1, MOST_RUNS)
