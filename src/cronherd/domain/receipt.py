"""What a worker of a job server hears when it asks for a run that was delivered to it."""

import re
from dataclasses import dataclass
from enum import StrEnum

SILENT_US = 30_000_000
"""So long after its last word the worker that took a run counts as gone."""
_UNIQUE = re.compile(r"([0-9a-f]{32})(?::([1-9][0-9]{0,5}))?")


class Receipt(StrEnum):
    """The answer to a delivery."""

    WON = "won"
    TAKEN = "taken"
    SILENT = "silent"
    ENDED = "ended"
    OVER = "over"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Delivered:
    """`code`: the exit code of the delivery that was taken, once it has ended."""

    receipt: Receipt
    code: int | None = None


def unique_of(run_id: str, attempt: int) -> str:
    """The unique id of an attempt at a job server: the run's own, and behind it which try it is."""
    return run_id if attempt == 1 else f"{run_id}:{attempt}"


def read_unique(unique: str) -> tuple[str, int] | None:
    """The run and the attempt; None for a unique id of somebody else."""
    found = _UNIQUE.fullmatch(unique)
    if found is None or not _is_ours(found[1]):
        return None
    return found[1], int(found[2] or 1)


def _is_ours(shown: str) -> bool:
    """Whether it is a UUID of version 7, with its random end first (ident.py)."""
    digits = shown[8:] + shown[:8]
    return digits[12] == "7" and digits[16] in "89ab"
