"""Faults beside the fields they belong to."""

from collections.abc import Iterable, Mapping
from typing import Any

Faults = dict[str, list[Mapping[str, Any]]]
REST = ""  # what belongs to no field


def by_field(faults: Iterable[Mapping[str, Any]], fields: Iterable[str] | None = None) -> Faults:
    """Faults by the field that their `where` begins with; by REST those of no field there is.

    `fields` None: each `where` is a field.
    """
    known = None if fields is None else set(fields)
    found: Faults = {}
    for fault in faults:
        where = str(fault["where"])
        field = where if known is None else where.split(".", 1)[0].split("[", 1)[0]
        if known is not None and field not in known:
            field = REST
        found.setdefault(field, []).append(fault)
    return found
