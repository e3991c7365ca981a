"""How the functions around a command or a task are read."""

from typing import Annotated, Any

from pydantic import Field

from cronherd.definition.command import read_functions
from cronherd.definition.faults import Kind, Shape, nested

_NAMES = {
    "anyOf": [
        {"type": "string"},
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
    ]
}
_FUNCTIONS = Kind(read_functions, _NAMES)


class HooksDefinition(Shape):
    """Functions of Python that are called in the process of the run."""

    when: Annotated[Any, _FUNCTIONS] = Field(
        default=None, description="Asked first: the run goes on if each of them says yes."
    )
    skip: Annotated[Any, _FUNCTIONS] = Field(
        default=None, description="Asked next: the run ends as skipped if one of them says yes."
    )
    before: Annotated[Any, _FUNCTIONS] = Field(
        default=None, description="Called before; one that raises fails the run, unstarted."
    )
    on_success: Annotated[Any, _FUNCTIONS] = Field(
        default=None, description="Called after a success."
    )
    on_failure: Annotated[Any, _FUNCTIONS] = Field(
        default=None, description="Called after any other end that leaves time for it."
    )
    after: Annotated[Any, _FUNCTIONS] = Field(
        default=None, description="Called at last, however it ended."
    )


HOOKS = nested(HooksDefinition)
