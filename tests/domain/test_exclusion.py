"""What `excluding` takes out: each form, its spelling, and what is refused."""

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.domain.timing.changes import wall_from
from cronherd.domain.timing.excluding import (
    MAX_DATES,
    MAX_EXCLUSIONS,
    canonical_exclusions,
    parse_exclusions,
)
from cronherd.domain.timing.holiday import holidays_of


def wall(text: str) -> int:
    return wall_from(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("spec", "spelling"),
    [
        ("sat - sun", "Sat,Sun"),
        ("22:00-23:00", "22:00-23:00"),
        ("Fri  12:00-14:00", "Fri 12:00-14:00"),
        ("fri 18:00-mon 6:00", "Fri 18:00 - Mon 06:00"),
        ("Sat 00:00 - Sun 24:00", "Sat 00:00 - Mon 00:00"),
        ("12-24 - 01-02", "12-24 - 01-02"),
        ("12-24", "12-24"),
        ("12-24 18:00 - 01-02 6:00", "12-24 18:00 - 01-02 06:00"),
        ("12-24 8:00-9:00", "12-24 08:00-09:00"),
        ("2026-12-24", "2026-12-24"),
        ("2026-12-24 - 2026-12-24", "2026-12-24"),
        ("2026-12-24 18:00 - 2027-01-02 06:00", "2026-12-24 18:00 - 2027-01-02 06:00"),
        ("2026-12-24 18:00-20:00", "2026-12-24 18:00-20:00"),
        ({"holidays": "de-by"}, "holidays DE-BY"),
        ("holidays us", "holidays US"),
        ({"cron": " * *  13 * *"}, "cron * * 13 * *"),
        ({"dates": ["2026-12-31", "2026-12-24", "2026-12-31"]},
         {"dates": ["2026-12-24", "2026-12-31"]}),
        (["Sat", " sat ", "12-24"], ["Sat", "12-24"]),
        (["Sat"], "Sat"),
    ],
)  # fmt: skip
def test_it_has_one_spelling_that_means_the_same(spec: object, spelling: object):
    assert canonical_exclusions(spec) == spelling
    assert canonical_exclusions(spelling) == spelling
    assert [part.text for part in parse_exclusions(spelling)] == [
        part.text for part in parse_exclusions(canonical_exclusions(spec))
    ]


@pytest.mark.parametrize(
    ("spec", "inside", "outside"),
    [
        ("Sat-Sun", ["2027-01-02 00:00", "2027-01-03 23:59"], ["2027-01-01 23:59", "2027-01-04"]),
        ("Fri 18:00 - Mon 06:00", ["2027-01-01 18:00", "2027-01-04 05:59"],
         ["2027-01-01 17:59", "2027-01-04 06:00", "2027-01-06"]),
        ("Mon 06:00 - Fri 18:00", ["2027-01-04 06:00"], ["2027-01-02", "2027-01-01 18:00"]),
        ("12-24 - 01-02", ["2026-12-24", "2027-01-02 23:59"], ["2026-12-23 23:59", "2027-01-03"]),
        ("12-24 18:00 - 01-02 06:00", ["2026-12-24 18:00", "2027-01-02 05:59"],
         ["2026-12-24 17:59", "2027-01-02 06:00"]),
        ("02-29", ["2028-02-29", "2028-02-29 23:59"], ["2027-02-28 23:59", "2027-03-01"]),
        ("02-20 - 02-29", ["2027-02-28 23:59", "2028-02-29"], ["2027-03-01", "2028-03-01"]),
        ("02-29 - 03-02", ["2027-03-01", "2028-02-29"], ["2027-02-28 23:59", "2027-03-03"]),
        ("2026-12-24 - 2027-01-02", ["2026-12-24", "2027-01-02 23:59"], ["2027-12-24"]),
        ("2026-12-24 18:00 - 2027-01-02 06:00", ["2026-12-24 18:00", "2027-01-02 05:59"],
         ["2026-12-24 17:59", "2027-01-02 06:00"]),
        ("2026-12-24 18:00-24:00", ["2026-12-24 23:59"], ["2026-12-25", "2026-12-24 17:59"]),
        ({"dates": ["2026-12-24"]}, ["2026-12-24 12:00"], ["2026-12-25", "2027-12-24"]),
        ({"holidays": "DE"}, ["2027-01-01 12:00", "2027-10-03"], ["2027-01-06", "2027-06-15"]),
        ({"holidays": "DE-BY"}, ["2027-01-06"], ["2027-01-07"]),
        ({"cron": "* * 13 * *"}, ["2027-01-13 00:00", "2027-01-13 23:59:59"], ["2027-01-14"]),
        ({"cron": "0-29 2,3 * * Mon"}, ["2027-01-04 02:29:59"],
         ["2027-01-04 02:30", "2027-01-05 02:00", "2027-01-04 04:00"]),
    ],
)  # fmt: skip
def test_it_takes_out_what_it_says(spec: object, inside: list[str], outside: list[str]):
    (rule,) = parse_exclusions(spec)
    for text in inside:
        assert rule.contains(wall(text)), text
    for text in outside:
        assert not rule.contains(wall(text)), text


FORMS = [
    *("Sat-Sun", "22:00-23:00", "Fri 23:00-01:00", "Fri 18:00 - Mon 06:00", "12-24 - 01-02"),
    *("02-29", "02-29 12:00 - 03-01 06:00", "2026-12-24", "2026-12-24 18:00 - 2027-01-02 06:00"),
    *("holidays US", "cron * * 13 * *", "cron 5-9 2,4 * * *", "cron */7 * * * Mon"),
    {"dates": ["2026-12-24", "2026-12-25", "2028-01-01"]},
]


@given(
    form=st.sampled_from(FORMS),
    minute=st.integers(29_000_000, 31_500_000) | st.integers(29_968_000, 29_974_000),
)
def test_its_three_answers_fit_together(form: object, minute: int):
    """From 2025 to 2029, more often around Christmas 2026."""
    (rule,) = parse_exclusions(form)
    at = minute * 60_000_000
    begins = rule.begins_after(at)
    assert begins is None or begins > at
    if rule.contains(at):
        until = rule.until(at)
        assert until > at
        minutes = range(minute, min(until // 60_000_000, minute + 3 * 1440))
        assert all(rule.contains(part * 60_000_000) for part in minutes)
    elif begins is not None:
        minutes = range(minute, min(begins // 60_000_000, minute + 3 * 1440))
        assert not any(rule.contains(part * 60_000_000) for part in minutes)


@pytest.mark.parametrize(
    ("spec", "at", "until"),
    [
        ("02-20 - 02-29", "2027-02-25", "2027-03-01"),
        ("02-20 - 02-29", "2028-02-25", "2028-03-01"),
        ("02-20 12:00 - 02-29 18:00", "2027-02-25", "2027-03-01"),
        ("12-24 - 01-02", "2026-12-24", "2027-01-03"),
        ({"dates": ["2026-12-24", "2026-12-25"]}, "2026-12-24 12:00", "2026-12-26"),
        ({"cron": "* * 13,14 * *"}, "2026-12-13 12:00", "2026-12-15"),
        ({"cron": "* 2,3 * * *"}, "2026-12-13 02:10", "2026-12-13 03:00"),
        ({"cron": "0-14 * * * *"}, "2026-12-13 02:10", "2026-12-13 02:15"),
        ({"holidays": "DE"}, "2026-12-25", "2026-12-27"),
    ],
)
def test_it_steps_over_all_that_goes_on(spec: object, at: str, until: str):
    (rule,) = parse_exclusions(spec)
    assert rule.until(wall(at)) == wall(until)


def test_it_tells_its_next_beginning_even_of_a_day_that_is_taken():
    (rule,) = parse_exclusions({"dates": ["2026-12-24", "2026-12-26"]})
    assert rule.begins_after(wall("2026-12-24")) == wall("2026-12-26")
    assert rule.begins_after(wall("2026-12-26")) is None


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("", "is no time that can be excluded"),
        ("sometimes", "is no time that can be excluded"),
        ("Sat 10:00", "is no time that can be excluded"),
        ("25:00-26:00", "is no time that can be excluded"),
        ("Foo 10:00 - Mon 12:00", "is no time that can be excluded"),
        ("13-01", "is no time that can be excluded"),
        ("02-30 - 03-01", "is no time that can be excluded"),
        ("12-24 18:00 - 01-02", "a time at one end only"),
        ("12-24 18:00", "a time at one end only"),
        ("12-24 18:00-17:00", "takes out nothing"),
        ("12-24 06:00 - 12-24 06:00", "takes out nothing"),
        ("Fri 18:00 - Fri 18:00", "takes out nothing"),
        ("2027-01-02 - 2027-01-01", "ends before it begins"),
        ("2027-02-30", "is not a date"),
        (5, "is no time that can be excluded"),
        (None, "is no time that can be excluded"),
        ([], "1 to 100"),
        (["Sat"] * (MAX_EXCLUSIONS + 1), "1 to 100"),
        ([["Sat"]], "is no time that can be excluded"),
        ({}, "exactly one kind"),
        ({"weekday": "Sat"}, "'weekday' is no rule of excluding"),
        ({"holidays": "DE", "cron": "* * * * *"}, "exactly one kind"),
        ({"holidays": 5}, "must be text"),
        ({"cron": "* * *"}, "five plain cron fields"),
        ({"cron": "H * * * *"}, "five plain cron fields"),
        ({"cron": "99 * * * *"}, "99"),
        ({"cron": "* * * * *"}, "takes out every minute"),
        ({"dates": []}, "1 to 2,000 dates"),
        ({"dates": "2026-12-24"}, "1 to 2,000 dates"),
        ({"dates": ["2026-13-24"]}, "is not a date"),
        ({"dates": ["24.12.2026"]}, "is not a date"),
        ({"dates": ["2026-12-24"] * (MAX_DATES + 1)}, "1 to 2,000 dates"),
    ],
)
def test_what_takes_out_nothing_clear_is_refused(spec: object, words: str):
    with pytest.raises(Invalid) as caught:
        parse_exclusions(spec)
    assert words in str(caught.value)
    assert caught.value.code == "bad_exclusion"


@pytest.mark.parametrize(
    ("region", "hint"),
    [
        ("Germany", "did you mean DE?"),
        ("germny", "did you mean DE?"),
        ("XX", ""),
        ("DE-XX", "use one of "),
        ("DE-BY-1", "use one of "),
    ],
)
def test_an_unknown_region_is_refused_with_a_suggestion(region: str, hint: str):
    with pytest.raises(Invalid) as caught:
        parse_exclusions({"holidays": region})
    assert caught.value.code == "unknown_holidays"
    assert hint in caught.value.hint
    assert caught.value.hint


def test_holidays_are_dates_of_a_year():
    days = {(day.month, day.day) for day in holidays_of("DE", 2027)}
    # New Year, Easter (28 March), Labour Day, Ascension, Whitsun, Unity, Christmas
    assert days == {(1, 1), (3, 26), (3, 29), (5, 1), (5, 6), (5, 17), (10, 3), (12, 25), (12, 26)}
    assert date(2027, 1, 6) in holidays_of("DE-BY", 2027)


def test_a_country_whose_far_years_are_unknown_says_so_to_nobody():
    """The library warns; here a warning is an error."""
    assert holidays_of("IN", 2060)


@given(st.text(max_size=60))
def test_random_text_is_read_or_refused(text: str):
    try:
        (rule,) = parse_exclusions(text)
    except Invalid as error:
        sentence = error.text
    else:
        sentence = rule.text
        assert parse_exclusions(rule.text)[0].text == rule.text
    assert sentence
