"""Cron lines by the thousand, from a seed: every construct, alone, in lists and together."""

import random
from collections.abc import Callable, Iterator

from tests.domain.oracle import Question

_MONTHS = ("JAN", "feb", "Mar", "apr", "MAY", "jun", "Jul", "AUG", "sep", "Oct", "NOV", "dec")
_DAYS = ("SUN", "mon", "Tue", "wed", "THU", "fri", "Sat")


def cron_lines(seed: int, count: int, *, seconds: bool = False) -> Iterator[Question]:
    """So many questions, each with a line, a key and both policies."""
    rng = random.Random(seed)
    for _ in range(count):
        words = [_minute(rng), _hour(rng), *_days(rng)]
        place = rng.choice(("first", "last")) if seconds else None
        if place:
            words.insert(0 if place == "first" else 5, _second(rng))
        yield Question(
            line=" ".join(words),
            seconds=place,
            key=f"job-{rng.randrange(1_000)}",
            gap=rng.choice(("after", "skip")),
            fold=rng.choice(("first", "both")),
        )


def _second(rng: random.Random) -> str:
    return _listed(rng, lambda: _number(rng, 0, 59), ("*", "*/20", "0", "H", "0~30", "59"))


def _minute(rng: random.Random) -> str:
    often = ("*", "*/5", "*/7", "0", "30", "59", "*/59", "H", "~", "H/15", "0~29", "H(0-29)/10")
    return _listed(rng, lambda: _number(rng, 0, 59), often)


def _hour(rng: random.Random) -> str:
    # Most changes of a clock happen between midnight and four.
    often = (
        "*",
        "*",
        "2",
        "1",
        "0",
        "3",
        "1-3",
        "*/2",
        "0-4",
        "H(0-3)",
        "1~3",
        "H/6",
        "23",
        "9-17",
    )
    return _listed(rng, lambda: _number(rng, 0, 23), often)


def _days(rng: random.Random) -> tuple[str, str, str]:
    if rng.random() < 0.3:
        return "*", "*", "*"
    dates = ("*", "*", "?", "*/2", "1", "L", "LW", "15W", "1W", "31W", "30W", "L-3", "29", "H", "~")
    date = _listed(rng, lambda: _number(rng, 1, 31), dates)
    months = (
        "*",
        "*",
        "*",
        "*",
        "2",
        "FEB",
        "3,10",
        "*/3",
        "H",
        "H(3-12)",
        "9~12",
        "H/3",
        "mar-apr",
    )
    month = _listed(rng, lambda: _number(rng, 1, 12, _MONTHS), months)
    often = (
        "*",
        "*",
        "*",
        "?",
        "0",
        "7",
        "MON-fri",
        "5L",
        "0L",
        "mon#2",
        "7#5",
        "sat#1",
        "H",
        "*/7",
    )
    weekday = _listed(rng, lambda: _number(rng, 0, 7, _DAYS), (*often, "fri~sat", "H(1-5)", "2,4L"))
    return date, month, weekday


def _listed(rng: random.Random, single: Callable[[], str], often: tuple[str, ...]) -> str:
    if rng.random() < 0.6:
        return rng.choice(often)
    items = [
        rng.choice([item for item in often if item != "?"]) if rng.random() < 0.3 else single()
        for _ in range(rng.choice((1, 1, 2, 3)))
    ]
    return ",".join(items)


def _number(rng: random.Random, low: int, high: int, names: tuple[str, ...] = ()) -> str:
    first = rng.randint(low, high)
    kind = rng.randrange(6)
    if kind == 0 and names:
        return names[(first - low) % len(names)]
    last = rng.randint(first, high)
    if kind in {1, 2}:
        return f"{first}-{last}"
    if kind == 3:
        return f"{first}-{last}/{rng.randint(1, high)}"
    if kind == 4:
        return f"{first}~{last}" if rng.random() < 0.5 else f"H({first}-{last})"
    return str(first)
