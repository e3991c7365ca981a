"""What a line of a crontab may be, and the crontab that they make."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    USER = "user"
    SYSTEM = "system"
    ANACRON = "anacron"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    line: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabEntry(_Line):
    """One job; `command` ends at the first bare %, what follows it is `stdin`."""

    schedule: str
    user: str | None
    command: str
    stdin: str | None
    environment: Mapping[str, str]
    timezone: str | None
    mailto: str | None
    description: str
    enabled: bool
    name: str = ""
    named: bool = False  # by a line that export wrote, so it is never changed
    period: str = ""  # anacron's: how long a missed run is worth catching up
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabRefusal(_Line):
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabSetting(_Line):
    """NAME = value, in force for the jobs below it."""

    name: str
    value: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabComment(_Line):
    """A remark, or a job or setting that is switched off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrontabBlank(_Line):
    """Nothing but blanks."""


CrontabLine = CrontabEntry | CrontabRefusal | CrontabSetting | CrontabComment | CrontabBlank


@dataclass(frozen=True, slots=True, kw_only=True)
class Crontab:
    """The whole file: each of its lines once, in order; `notes` are about the file."""

    kind: Kind
    lines: tuple[CrontabLine, ...]
    notes: tuple[str, ...] = ()

    @property
    def entries(self) -> tuple[CrontabEntry, ...]:
        return tuple(line for line in self.lines if isinstance(line, CrontabEntry))

    @property
    def refusals(self) -> tuple[CrontabRefusal, ...]:
        return tuple(line for line in self.lines if isinstance(line, CrontabRefusal))
