"""Faults of a definition with the lines of the text it was read from, in their order."""

from typing import TYPE_CHECKING

from cronherd.domain.errors import Invalid, InvalidInput

if TYPE_CHECKING:  # it imports yaml
    from cronherd.definition.document import Document, KeyPath


def located(error: InvalidInput, document: "Document", below: "KeyPath" = ()) -> InvalidInput:
    """The same faults with their places; `below` is the path to the definition."""

    def path(fault: Invalid) -> "KeyPath":
        return (*below, *fault.where.split("."))

    def placed(fault: Invalid) -> Invalid:
        spot = document.place(path(fault))
        where = f"{spot}: {fault.where}" if fault.where else spot
        return Invalid(fault.text, code=fault.code, hint=fault.hint, where=where)

    faults = sorted(error.errors, key=lambda fault: document.mark(path(fault)))
    return InvalidInput([placed(fault) for fault in faults])
