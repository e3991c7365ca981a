"""How a job says what it hands in at a job server."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from cronherd.definition.command import COMMAND_BYTES, LONG, read_items
from cronherd.definition.faults import Kind, Shape, choice, read_text, text
from cronherd.domain.errors import Invalid
from cronherd.domain.jobserver import LOCAL, MOST_SERVERS, PRIORITIES, check_function, read_server

_SERVERS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


def _read_function(value: object) -> str:
    return check_function(read_text(value, most=LONG, lines=False))


def _read_servers(value: object) -> list[str]:
    """One or a list; each as `host:port`, and once."""
    many = value if isinstance(value, list | tuple) else [value]
    if not many or len(many) > MOST_SERVERS:
        raise Invalid(f"must have 1 to {MOST_SERVERS} job servers", hint="write [host:4730]")
    found = read_items(many, lambda part: str(read_server(read_text(part, most=LONG))))
    return list(dict.fromkeys(found))


class GearmanDefinition(Shape):
    """A function, and what its worker gets."""

    function: Annotated[str, Kind(_read_function, {"type": "string"})] = Field(
        description="The function that workers offer."
    )
    payload: Annotated[str, text(COMMAND_BYTES, empty=True)] = Field(
        default="", description="What the worker gets."
    )
    servers: Annotated[list[str] | None, Kind(_read_servers, _SERVERS)] = Field(
        default=None,
        description=f"Job servers, tried in this order; else {LOCAL}.",
    )
    priority: Annotated[str, choice(*PRIORITIES)] = Field(
        default="normal", description="Before or behind others at the job server."
    )


def slim_gearman(said: Mapping[str, object]) -> dict[str, object]:
    """Without what is the default anyway."""
    plain = {"payload": "", "priority": "normal", "servers": [str(LOCAL)]}
    return {key: value for key, value in said.items() if value != plain.get(key)}
