"""Days of the week and clock times as people write them: `Mon-Fri`, `Sat,Sun`, `23:00`."""

import re

from cronherd.domain.instant import DAY_US, MINUTE_US

DAY_MINUTES = 24 * 60
ALL_DAYS = (0, 1, 2, 3, 4, 5, 6)
_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SHORT = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
DAYS_PATTERN = r"[A-Za-z]+(?:\s*[-,]\s*[A-Za-z]+)*"
CLOCK_PATTERN = r"\d{1,2}:\d{2}"


def read_days(text: str) -> tuple[int, ...] | None:
    """The days of `Mon-Wed,Sat`, Monday is 0, in order; None when it is none."""
    found: set[int] = set()
    for part in re.split(r"\s*,\s*", text.strip()):
        ends = [read_day(word) for word in re.split(r"\s*-\s*", part)]
        if len(ends) > 2 or None in ends:
            return None
        first, last = ends[0], ends[-1]
        assert first is not None
        assert last is not None
        found |= {day % 7 for day in range(first, (last if last >= first else last + 7) + 1)}
    return tuple(sorted(found))


def spell_days(days: tuple[int, ...]) -> str:
    """The shortest spelling: `Mon-Fri`, `Sat,Sun`, nothing for the whole week."""
    if len(days) == 7:
        return ""
    runs: list[list[int]] = []
    for day in days:
        if runs and day == runs[-1][-1] + 1:
            runs[-1].append(day)
        else:
            runs.append([day])
    if len(runs) > 1 and runs[0][0] == 0 and runs[-1][-1] == 6:  # one that goes over the weekend
        runs = [*runs[1:-1], runs[-1] + runs[0]]
    return ",".join(_spell_run(run) for run in runs)


def day_name(day: int) -> str:
    """`Monday`."""
    return _NAMES[day].capitalize()


def short_day(day: int) -> str:
    """`Mon`."""
    return _SHORT[day]


def read_clock(text: str, *, most: int = DAY_MINUTES) -> int | None:
    """The minute of the day that `23:00` means, at most `most`; None when it is none."""
    hour, minute = map(int, text.split(":"))
    total = hour * 60 + minute
    return total if minute < 60 and total <= most else None


def spell_clock(minutes: int) -> str:
    """`23:00`."""
    return f"{minutes // 60:02}:{minutes % 60:02}"


def weekday_of(day: int) -> int:
    """The weekday of a number of days since 1970-01-01, Monday is 0."""
    return (day + 3) % 7  # that was a Thursday


def split_wall(wall_us: int) -> tuple[int, int]:
    """Day since 1970 and microsecond of that day."""
    return divmod(wall_us, DAY_US)


def wall_at(day: int, minute: int) -> int:
    """The wall time of a minute of a day since 1970."""
    return day * DAY_US + minute * MINUTE_US


def read_day(word: str) -> int | None:
    """The day of `Fri` or `friday`, Monday is 0; None when it is none."""
    lower = word.strip().lower()
    for day, name in enumerate(_NAMES):
        if len(lower) >= 3 and name.startswith(lower):
            return day
    return None


def _spell_run(run: list[int]) -> str:
    if len(run) == 2:
        return f"{_SHORT[run[0]]},{_SHORT[run[1]]}"
    return _SHORT[run[0]] if len(run) == 1 else f"{_SHORT[run[0]]}-{_SHORT[run[-1]]}"
