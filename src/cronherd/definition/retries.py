"""How it is read how often a run is tried again, and how long it is kept."""

import re
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from cronherd.definition.faults import (
    Kind,
    Shape,
    duration,
    nested,
    number,
    read_number,
    read_whole,
    spell,
    whole,
)
from cronherd.domain.duration import format_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.policy import Retention, Retry

_PLAIN_RETRY = Retry()
_PLAIN_RETENTION = Retention()


def _percent(share: float) -> str:
    return f"{round(share * 100, 4):g}%"


def _read_jitter(value: object) -> str:
    share = value
    if isinstance(value, str) and re.fullmatch(r"\d{1,3}(\.\d{1,4})?%", value, re.ASCII):
        share = float(value[:-1]) / 100
    try:
        return _percent(read_number(share, 0, 1))
    except Invalid:
        text = f"must be a share from 0% to 100%, not {spell(value)}"
        raise Invalid(text, hint="write 20% or 0.2") from None


class RetriesDefinition(Shape):
    """How a failed run is tried again."""

    max: Annotated[int, whole(0, 100)] = Field(
        description="How many new attempts a failed run gets at the most."
    )
    backoff: Annotated[str, duration()] = Field(
        default=format_duration(_PLAIN_RETRY.backoff_us),
        description="How long the first new attempt waits.",
    )
    factor: Annotated[float, number(1, 100)] = Field(
        default=_PLAIN_RETRY.factor, description="How much longer each further attempt waits."
    )
    max_delay: Annotated[str, duration()] = Field(
        default=format_duration(_PLAIN_RETRY.max_delay_us),
        description="The longest wait before an attempt.",
    )
    jitter: Annotated[str, Kind(_read_jitter, {"type": ["string", "number"]})] = Field(
        default=_percent(_PLAIN_RETRY.jitter),
        description="The largest share by which a wait is varied, so that retries spread.",
    )


class RetentionDefinition(Shape):
    """How long finished runs are kept: while they are young or among the last."""

    age: Annotated[str, duration()] = Field(
        default=format_duration(_PLAIN_RETENTION.age_us),
        description="How long a finished run is kept in any case.",
    )
    runs: Annotated[int, whole(0, 1_000_000)] = Field(
        default=_PLAIN_RETENTION.runs,
        description="How many of the last runs are kept whatever their age.",
    )


_RETRIES = nested(RetriesDefinition)


def _read_retries(value: object) -> object:
    return _RETRIES.read(value) if isinstance(value, Mapping) else read_whole(value, 0, 100)


RETRIES = Kind(
    _read_retries,
    {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 100}, _RETRIES.schema]},
)
