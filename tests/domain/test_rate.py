"""Rates and their allowance by tables."""

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.rate import allowance, parse_rate

S = 1_000_000
NOW = 1_800_000_000 * S


@pytest.mark.parametrize(
    ("text", "apart_us", "spelled"),
    [
        ("60/m", S, "60/m"),
        (" 5 / s ", S // 5, "5/s"),
        ("600/h", 6 * S, "600/h"),
        ("7/s", 142_857, "7/s"),
    ],
)
def test_a_rate_says_how_far_two_are_apart(text: str, apart_us: int, spelled: str):
    rate = parse_rate(text)
    assert (rate.apart_us, rate.text) == (apart_us, spelled)


@pytest.mark.parametrize("text", ["", "60", "0/m", "/m", "60/d", "60/min", "1e3/s", "-5/s"])
def test_what_is_no_rate_is_refused(text: str):
    with pytest.raises(Invalid, match="is not a rate"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("line_us", "apart_us", "most"),
    [
        (0, S // 5, 5),  # long unused: what a second allows, no more
        (0, 60 * S, 1),  # or one
        (NOW, S, 0),
        (NOW - S, S, 1),
        (NOW - S // 2, S // 4, 2),
        (NOW + 9 * S, S, 0),  # a clock that stepped back holds up nothing
    ],
)
def test_the_allowance_is_what_passed_since_the_line_was_used(
    line_us: int, apart_us: int, most: int
):
    count, from_us = allowance(line_us, NOW, apart_us)
    assert count == most
    assert from_us + count * apart_us <= NOW
