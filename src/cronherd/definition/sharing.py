"""What a job says of where it runs, and of what it shares with others."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from cronherd.definition.faults import (
    Kind,
    Shape,
    check,
    given,
    nested,
    read_labels,
    read_text,
    spell,
    whole,
)
from cronherd.domain.errors import Invalid
from cronherd.domain.place import LONGEST, place_text, read_requirements
from cronherd.domain.pool import MOST_PERMITS, MOST_POOLS, read_pool_name

_STRINGS = {"type": "array", "items": {"type": "string"}, "minItems": 1}


def read_place(value: object) -> str | dict[str, object]:
    """A selector, or a mapping of labels to a value or a list of them."""
    if isinstance(value, str):
        text = read_text(value, most=LONGEST, lines=False)
        read_requirements(text)
        place_text(text)
        return text
    if not isinstance(value, Mapping):
        raise Invalid(
            f"must be a selector or a mapping of labels, not {spell(value)}",
            hint="write zone=eu, or {zone: eu}",
        )
    wanted: dict[str, object] = {}
    for key, part in value.items():
        if isinstance(part, list | tuple):
            if not part:
                raise Invalid(f"{spell(key)} has no value", hint="write {zone: [eu, us]}")
            wanted[str(key)] = [read_labels({key: each})[str(key)] for each in part]
        else:
            wanted |= read_labels({key: part})
    place_text(wanted)
    return wanted


def _read_pool(value: object) -> str:
    return read_pool_name(read_text(value, most=200, lines=False))


class PoolDefinition(Shape):
    """A pool, and how many of its permits a run takes."""

    name: Annotated[str, Kind(_read_pool, {"type": "string"})] = Field(description="Which pool.")
    permits: Annotated[int, whole(1, MOST_PERMITS)] = Field(
        default=1, description="How many of its permits each run holds."
    )


_POOL = nested(PoolDefinition)


def read_pools(value: object) -> list[str | dict[str, object]]:
    """Names, or mappings with a name and how many permits; one alone is a list of it."""
    parts = value if isinstance(value, list | tuple) else [value]
    if len(parts) > MOST_POOLS:
        raise Invalid(f"has more than {MOST_POOLS} pools", code="too_many")
    pools: dict[str, str | dict[str, object]] = {}
    for part in parts:
        use: dict[str, object] = {"name": _read_pool(part)} if isinstance(part, str) else _use(part)
        name = str(use["name"])
        if name in pools:
            raise Invalid(f"names the pool '{name}' twice", code="bad_pool")
        pools[name] = name if use.get("permits", 1) == 1 else use
    return [pools[name] for name in sorted(pools)]


def _use(value: object) -> dict[str, object]:
    return given(check(PoolDefinition, value))


PLACE = Kind(
    read_place,
    {
        "anyOf": [
            {"type": "string"},
            {
                "type": "object",
                "additionalProperties": {
                    "anyOf": [{"type": ["string", "number", "boolean"]}, _STRINGS]
                },
            },
        ]
    },
)
POOLS = Kind(
    read_pools,
    {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"anyOf": [{"type": "string"}, _POOL.schema]}},
        ]
    },
)
