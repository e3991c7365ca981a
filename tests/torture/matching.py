"""Blind matching: which starts cannot belong to any slot, whatever they say of themselves.

Earliest deadline first over intervals; the same size as a maximum matching.
"""

import heapq
from collections.abc import Sequence


def unmatched(targets: Sequence[tuple[int, int]], starts: Sequence[int]) -> list[int]:
    """The starts left over when each target (from, to) takes at most one start within it."""
    waiting = sorted(targets)
    open_until: list[int] = []
    extra: list[int] = []
    position = 0
    for start in sorted(starts):
        while position < len(waiting) and waiting[position][0] <= start:
            heapq.heappush(open_until, waiting[position][1])
            position += 1
        while open_until and open_until[0] < start:
            heapq.heappop(open_until)
        if open_until:
            heapq.heappop(open_until)
        else:
            extra.append(start)
    return extra
