"""Durations as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.duration import LONGEST_US, format_duration, parse_duration
from cronherd.domain.errors import Invalid

SECOND_US = 1_000_000


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("90s", 90),
        ("1h30m", 5_400),
        ("1h 30m", 5_400),
        (" 2d ", 172_800),
        ("1w", 604_800),
        ("250ms", 0.25),
        ("7us", 0.000007),
        ("1.5h", 5_400),
        ("0s", 0),
        ("PT90S", 90),
        ("pt1h30m", 5_400),
        ("P1DT1S", 86_401),
        ("P2W", 1_209_600),
        ("PT0.5S", 0.5),
        ("90", 90),
        ("1.5", 1.5),
        (90, 90),
        (0.25, 0.25),
        (0, 0),
    ],
)
def test_it_reads_a_duration(written: str | float, seconds: float):
    assert parse_duration(written) == round(seconds * SECOND_US)


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "s",
        "-5s",
        "5 parsecs",
        "1h-30m",
        "1:30",
        "P",
        "PT",
        "P1Y",
        "1e3",
        "5S",
        "1.s",
        "11y",
        "99999d",
        "1" * 61 + "s",
        -1,
        1e12,
        True,
        float("nan"),
        float("inf"),
        float("-inf"),
    ],
)
def test_what_is_no_duration_is_refused(written: str | float):
    with pytest.raises(Invalid) as caught:
        parse_duration(written)
    assert caught.value.code == "bad_duration"


@given(micros=st.integers(0, LONGEST_US))
def test_its_spelling_reads_as_itself(micros: int):
    assert parse_duration(format_duration(micros)) == micros


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "0s"),
        (5_400 * SECOND_US, "1h30m"),
        (86_400 * SECOND_US, "1d"),
        (8 * 86_400 * SECOND_US, "8d"),
        (1_500_000, "1s500ms"),
        (7, "7us"),
    ],
)
def test_it_is_spelled_in_the_shortest_exact_way(micros: int, text: str):
    assert format_duration(micros) == text
