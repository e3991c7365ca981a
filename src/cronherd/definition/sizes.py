"""Sizes: `65536`, `64KiB`, `512MB`."""

import re

from cronherd.definition.faults import Kind, spell
from cronherd.domain.errors import Invalid

_SIZE = re.compile(r"(\d{1,15})\s*(b|kb|mb|gb|kib|mib|gib)?", re.ASCII)
_BYTES = {
    "b": 1,
    "kb": 1_000,
    "mb": 1_000_000,
    "gb": 1_000_000_000,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}
_HINT = "write 65536, 64KiB or 1MiB"


def read_size(value: object, most: int, *, least: int = 0) -> int:
    """A number of bytes."""
    if isinstance(value, str):
        found = _SIZE.fullmatch(value.strip().lower())
        if not found:
            raise Invalid(f"{spell(value)} is not a size", hint=_HINT)
        value = int(found[1]) * _BYTES[found[2] or "b"]
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise Invalid(f"must be a size from {least} to {_short(most)}", hint=_HINT)


def _short(size: int) -> str:
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if size >= unit:
            return f"{size // unit}{name}"
    return str(size)


def size(most: int, *, least: int = 0) -> Kind:
    """The kind of sizes between two limits."""
    return Kind(lambda value: read_size(value, most, least=least), {"type": ["integer", "string"]})
