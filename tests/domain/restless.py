"""Zones that no government has made: their clocks change every few hours or days, by anything."""

import random
import struct
from io import BytesIO
from zoneinfo import ZoneInfo

_QUARTER = 900


def restless_zone(seed: int, start_s: int, end_s: int) -> ZoneInfo:
    """Changes at least 75 minutes apart, each by a day at most, offsets of whole minutes."""
    rng = random.Random(seed)
    offsets = [rng.randrange(-12, 14) * 3_600]
    changes: list[int] = []
    at = start_s
    while True:
        pauses = (rng.randint(5, 12), rng.randint(8, 60), rng.randint(90, 700))
        at += rng.choice(pauses) * _QUARTER + rng.choice((0, 0, 60, 420))
        if at >= end_s:
            break
        size = rng.choice((1_800, 3_600, 3_600, 7_200, 1_200, 21_600, 86_400)) * rng.choice((-1, 1))
        following = offsets[-1] + size
        if abs(following) > 15 * 3_600:
            following = offsets[-1] - size
        if abs(following) <= 15 * 3_600:
            changes.append(at)
            offsets.append(following)
    return made_zone(changes, offsets)


def made_zone(changes: list[int], offsets: list[int]) -> ZoneInfo:
    """The first offset holds until the first change; a TZif file of version 1."""
    header = struct.pack(">4sc15x6l", b"TZif", b"\0", 0, 0, 0, len(changes), len(offsets), 4)
    times = struct.pack(f">{len(changes)}l", *changes)
    kinds = bytes(range(1, len(offsets)))
    types = b"".join(struct.pack(">lbb", offset, 0, 0) for offset in offsets)
    return ZoneInfo.from_file(BytesIO(header + times + kinds + types + b"XXX\0"), key="Made/Up")
