"""What the command line asks of the machine room, without knowing what is in it.

`cronherd.wiring` answers to this; it is loaded only by a command that needs it.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:  # both bring more than most commands need
    from cronherd.client import Fleet
    from cronherd.config.load import Config


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node of this host keeps its state, and the socket it answers on."""

    state: Path
    runtime: Path
    socket: Path


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing `doctor` looked at."""

    level: Literal["ok", "warning", "error"]
    what: str
    text: str


class Host(Protocol):
    """What only a process with an engine or a database can do."""

    def up(self, config: "Config", place: Place, *, apply: bool) -> int:
        """Run agent, supervisor and page until signalled; the exit code."""
        ...

    def agent(self, config: "Config", place: Place) -> int:
        """Run the agent until signalled; the exit code."""
        ...

    def reload_agent(self, place: Place) -> int:
        """Have the agent of this place start again; its pid. Raises Unavailable."""
        ...

    def web(self, config: "Config", place: Place) -> int:
        """Serve pages and API alone until signalled; the exit code."""
        ...

    def tick(self, config: "Config", place: Place) -> int:
        """Run what is due, wait for it; the exit code."""
        ...

    def upgrade(self, config: "Config", place: Place) -> str:
        """Bring the schema up to date; says what was done."""
        ...

    def open_fleet(self, config: "Config", place: Place) -> AbstractContextManager["Fleet"]:
        """The database itself, when no agent runs. Raises Conflict or Unavailable."""
        ...

    def user_refusal(self, user: str) -> str:
        """Why this host would not run commands as that user; '' when it would."""
        ...

    def findings(self, config: "Config", place: Place) -> "list[Finding]":
        """What `doctor` found."""
        ...
