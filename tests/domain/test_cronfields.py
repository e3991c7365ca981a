"""The days of a month that a rule names, in each of the 28 shapes that a month can have."""

from datetime import date

import pytest

from cronherd.domain.timing.cronexpr import read_cron
from cronherd.domain.timing.cronfields import DayRule, bits

SHAPES = [(length, first) for length in range(28, 32) for first in range(7)]


def days_of(line: str, year: int, month: int) -> list[int]:
    first = date(year, month, 1)
    length = (date(year + month // 12, month % 12 + 1, 1) - first).days
    return list(bits(read_cron(line).days.of_month(length, first.isoweekday() % 7)))


@pytest.mark.parametrize("wanted", range(1, 32))
def test_the_nearest_weekday_is_the_nearest_one_of_the_month(wanted: int):
    for length, first in SHAPES:
        weekdays = [day for day in range(1, length + 1) if (first + day - 1) % 7 not in {0, 6}]
        nearest = [min(weekdays, key=lambda day: abs(day - wanted))] if wanted <= length else []
        assert list(bits(DayRule(nearest=1 << wanted, weekdays=0x7F).of_month(length, first))) == (
            nearest
        )


def test_the_last_weekday_is_the_last_one_of_the_month():
    for length, first in SHAPES:
        last = max(day for day in range(1, length + 1) if (first + day - 1) % 7 not in {0, 6})
        assert list(bits(DayRule(nearest=1, weekdays=0x7F).of_month(length, first))) == [last]


@pytest.mark.parametrize(
    ("line", "year", "month", "expected"),
    [
        ("0 0 1W * *", 2027, 5, [3]),  # the 1st is a Saturday: not back into April
        ("0 0 1W * *", 2027, 8, [2]),  # a Sunday
        ("0 0 31W * *", 2027, 1, [29]),  # a Sunday: not on into February
        ("0 0 31W * *", 2027, 7, [30]),  # a Saturday
        ("0 0 31W * *", 2027, 4, []),
        ("0 0 30W * *", 2027, 2, []),
        ("0 0 15W,L-1 * *", 2027, 5, [14, 30]),
        ("0 0 L,L-27 2 *", 2027, 2, [1, 28]),
        ("0 0 L,L-28 2 *", 2028, 2, [1, 29]),
        ("0 0 L-30 * *", 2027, 4, []),
        ("0 0 * * 5L", 2027, 4, [30]),
        ("0 0 * * MON#5", 2027, 4, []),
        ("0 0 * * MON#5", 2027, 3, [29]),
        ("0 0 1,2 * 1", 2027, 3, [1, 2, 8, 15, 22, 29]),
        ("0 0 */10 * 1", 2027, 3, [1]),
        ("0 0 1,2 * */3", 2027, 5, [1, 2]),
        ("0 0 ? * 1#1", 2027, 5, [3]),
    ],
)
def test_it_finds_the_days_of_a_month(line: str, year: int, month: int, expected: list[int]):
    assert days_of(line, year, month) == expected
