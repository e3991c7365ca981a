"""Ids: UUIDv7 made by the client, shown with the random end first so that short forms differ.

A version 7 UUID begins with the time, so the ids of one evening share their first dozen digits
and no short prefix of them is unique. Stored as they are, they keep an index dense; shown to
people, the last eight digits come first: any prefix of six or more finds the run again.
"""

import re

from cronherd.domain.errors import Invalid

SHORT = 8
SHORTEST_PREFIX = 6
ID_DIGITS = 32
_PREFIX = re.compile(r"[0-9a-f]{6,32}")


class Stored(bytes):
    """The sixteen bytes of an id: a type of its own, so that a driver tells them from output."""

    __slots__ = ()


# What stands where an id is part of a key and there is none.
NOBODY = Stored(16)


def make_id(now_us: int, noise: bytes) -> str:
    """A new id in its shown form, from an instant and ten random bytes."""
    millis = now_us // 1_000
    high = (millis << 16) | 0x7000 | (int.from_bytes(noise[:2], "big") & 0x0FFF)
    low = (int.from_bytes(noise[2:10], "big") & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
    stored = f"{high:016x}{low:016x}"
    return stored[-SHORT:] + stored[:-SHORT]


def first_id(at_us: int) -> str:
    """What comes before each id that is made at this instant or later, in its shown form."""
    return from_stored(bytes.fromhex(f"{max(at_us, 0) // 1_000:012x}".ljust(32, "0")))


def to_stored(shown: str) -> Stored:
    """The sixteen bytes that are stored for a shown id."""
    return Stored.fromhex(shown[SHORT:] + shown[:SHORT])


def from_stored(stored: bytes) -> str:
    """The shown form of sixteen stored bytes."""
    digits = stored.hex()
    return digits[-SHORT:] + digits[:-SHORT]


def short_of(shown: str) -> int:
    """The number of the first eight digits: what a prefix search goes by."""
    return int(shown[:SHORT], 16)


def prefix_range(prefix: str) -> tuple[int, int]:
    """First and last short number that begin with `prefix`. Raises Invalid."""
    if not _PREFIX.fullmatch(prefix):
        raise Invalid(
            f"'{prefix[:40]}' is not a run id",
            code="bad_id",
            hint=f"give at least {SHORTEST_PREFIX} of its digits 0-9a-f",
        )
    head = prefix[:SHORT]
    return int(head.ljust(SHORT, "0"), 16), int(head.ljust(SHORT, "f"), 16)
