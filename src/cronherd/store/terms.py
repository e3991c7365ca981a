"""Conditions of a search, put together as they are asked for, and what SQL can guess of texts."""

import re
from dataclasses import dataclass, field

from cronherd.domain.job import Job

# Not LIKE: what escapes its signs would be worked out anew for each row.
IN_NAME = "instr(lower(/*bytes of*/ j.name /*bytes*/), ?) > 0"
IN_SPEC = "instr(lower(/*bytes of*/ j.spec /*bytes*/), ?) > 0"
HAS_TAG = "instr(j.spec, ?) > 0"


@dataclass(slots=True)
class Terms:
    """Conditions that all hold, and their values in order."""

    texts: list[str] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, text: str, *values: object) -> None:
        self.texts.append(text)
        self.values += values

    def __str__(self) -> str:
        return " AND ".join(self.texts) or "1 = 1"


def has_tag(job: Job | str | None, tag: str) -> bool:
    return isinstance(job, Job) and tag in job.spec.get("tags", ())


def escaped(part: str) -> str:
    """As it stands within a text of JSON: only what needs no escape where that is not sure.

    A blank may stand between two words of a command, which are two texts there.
    """
    return max(re.split(r'["\\ ]', part), key=len)


def quoted(tag: str) -> str:
    """A tag as JSON has it, at its likeliest: what must be escaped there is left out."""
    return '"' if re.search(r'["\\\x00-\x1f\x7f]', tag) else f'"{tag}"'
