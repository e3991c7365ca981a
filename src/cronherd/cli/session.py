"""One invocation of the command line: its settings, and how it reaches what it needs."""

import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from cronherd.cli.host import Host, Place

if TYPE_CHECKING:  # pydantic alone would take half of the time a list may take
    from cronherd.client import Fleet
    from cronherd.config.load import Config

FORMATS = ("table", "wide", "json", "yaml", "name")


@dataclass(slots=True, kw_only=True)
class Settings:
    """The options that every command takes, before and after its name."""

    config: str | None = None
    state: str | None = None
    database: str | None = None
    url: str | None = None
    output: str = "table"
    utc: bool = False
    no_color: bool = False
    verbose: bool = False


@dataclass(kw_only=True)
class Session:
    """What a command works with; `load_host` imports the machine room, so it comes late."""

    load_host: Callable[[], Host]
    now_us: Callable[[], int]
    environ: Mapping[str, str]
    settings: Settings = field(default_factory=Settings)

    @cached_property
    def host(self) -> Host:
        return self.load_host()

    @cached_property
    def config(self) -> "Config":
        """The settings of the node, read and checked. Raises Invalid."""
        from cronherd.config.load import load_config  # noqa: PLC0415 - pydantic: only on need

        overrides = {"database": self.settings.database} if self.settings.database else {}
        return load_config(
            config=Path(self.settings.config) if self.settings.config else None,
            environ=self.environ,
            overrides=overrides,
            cwd=Path.cwd(),
            home=self.home,
        )

    @cached_property
    def place(self) -> Place:
        from cronherd.places import runtime_dir, state_dir  # noqa: PLC0415 - not every command

        is_root = os.geteuid() == 0
        explicit = self.settings.state is not None
        state = state_dir(self.settings.state, self.environ, is_root, self.home)
        runtime = runtime_dir(state, explicit, self.environ, is_root)
        return Place(state=state, runtime=runtime, socket=runtime / "api.sock")

    @property
    def home(self) -> Path | None:
        """The home directory, None where there is none: a container, a stripped environment."""
        home = self.environ.get("HOME")
        return Path(home) if home else None

    @property
    def actor(self) -> str:
        return f"local:{user_name()}"

    def fleet(self) -> AbstractContextManager["Fleet"]:
        from cronherd.cli.reach import reach_fleet  # noqa: PLC0415 - not every command

        return reach_fleet(self)


def user_name() -> str:
    """Who this process runs as; the number where the host has no name for it."""
    import pwd  # noqa: PLC0415 - not every command

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
