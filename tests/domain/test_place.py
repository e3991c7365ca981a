"""Selectors: what people write, the one text it becomes, and which nodes fit."""

import time

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.place import (
    LONGEST,
    node_place,
    parse_place,
    place_matches,
    place_text,
    shown_place,
)

EU = {"zone": "eu-west", "disk": "ssd", "node": "one"}
US = {"zone": "us", "gpu": "yes", "node": "two"}
BARE = {"node": "three"}

# What is written, its text, and which of the three fit.
SELECTORS: list[tuple[object, str, str]] = [
    (None, "", "eub"),
    ({}, "", "eub"),
    ("zone=us", "zone=us", "u"),
    ("zone==us", "zone=us", "u"),
    ("zone = us", "zone=us", "u"),
    ("zone!=us", "zone!=us", "eb"),
    ("zone in (us, eu-west)", "zone=eu-west|us", "eu"),
    ("zone in (eu-west,us)", "zone=eu-west|us", "eu"),
    ("zone in (us,us)", "zone=us", "u"),
    ("zone notin (us, eu-west)", "zone!=eu-west|us", "b"),
    ("zone=us|eu-west", "zone=eu-west|us", "eu"),
    ("zone=eu-*", "zone=eu-*", "e"),
    ("zone=*", "zone=*", "eu"),
    ("zone=*u*", "zone=*u*", "eu"),
    ("zone=*s", "zone=*s", "u"),
    ("zone!=*", "zone!=*", "b"),
    ("gpu", "gpu", "u"),
    ("!gpu", "!gpu", "eb"),
    ("!gpu,disk=ssd", "!gpu,disk=ssd", "e"),
    ("disk=ssd, !gpu", "!gpu,disk=ssd", "e"),
    ("gpu,gpu", "gpu", "u"),
    ("node=three", "node=three", "b"),
    ({"zone": "us"}, "zone=us", "u"),
    ({"zone": ["us", "eu-west"]}, "zone=eu-west|us", "eu"),
    ({"zone": "us", "gpu": "yes"}, "gpu=yes,zone=us", "u"),
    ({"gpu": "yes", "zone": "us"}, "gpu=yes,zone=us", "u"),
]


def fitting(text: str) -> str:
    found = zip("eub", (EU, US, BARE), strict=True)
    return "".join(letter for letter, labels in found if place_matches(text, labels))


@pytest.mark.parametrize(("said", "text", "fits"), SELECTORS)
def test_a_selector_is_one_text_and_fits_these(said: object, text: str, fits: str):
    assert place_text(said) == text  # type: ignore[arg-type]
    assert fitting(text) == fits


@pytest.mark.parametrize(
    ("text", "fits"), [("disk=ssd,zone=eu-west", "e"), ("a=1,b=2", ""), ("", "eub")]
)
def test_texts_of_the_version_before_mean_the_same(text: str, fits: str):
    assert fitting(text) == fits
    assert place_matches("a=1,b=2", {"a": "1", "b": "2", "c": "3"})
    assert not place_matches("a=1,b=2", {"a": "1", "b": "3"})
    assert place_matches("a=x=y,b=!z", {"a": "x=y", "b": "!z"})
    assert place_matches("a=", {"a": ""})


@pytest.mark.parametrize(
    "said",
    [
        "",
        ",",
        "zone=us,",
        "zone=",
        "=us",
        "zone in us",
        "zone in ()",
        "zone in (us",
        "zone in (us,)",
        "zone in (a=b)",
        "zone in (a|b)",
        "!zone=us",
        "!!gpu",
        "~gpu",
        "#2/x",
        "zone=a=b",
        "zone=us)",
        "zo ne=us",
        "zone=us||eu",
        "zone<us",
        "-zone=us",
        "x" * 64 + "=1",
        "zone\n=us\n,",
    ],
)
def test_what_is_no_selector_is_refused_in_words(said: str):
    with pytest.raises(Invalid) as refused:
        place_text(said)
    assert refused.value.code == "bad_selector"
    assert len(refused.value.text) < 200


def test_a_text_that_is_too_long_is_refused_and_one_that_is_not_has_room_for_a_node():
    with pytest.raises(Invalid) as refused:
        place_text({"zone": ["x" * 60 + f"{n}" for n in range(6)]})
    assert refused.value.code == "too_long"
    longest = "zone=" + "x" * (LONGEST - 5)
    assert place_text(longest) == longest
    assert len(f"@{node_place(longest, 'n' * 120)}") <= 400, "the column of a run's place"


def test_many_stars_take_no_time():
    """What a hostile pattern would cost where every star tries every length."""
    began = time.process_time()
    pattern = "zone=" + "a*" * 60 + "b"
    for _ in range(100):
        assert not place_matches(pattern, {"zone": "a" * 120})
        assert place_matches(pattern, {"zone": "a" * 119 + "b"})
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*", "", True),
        ("**", "x", True),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "axxcyyb", False),
        ("*b", "ab\nb", True),
        ("a*", "ba", False),
        ("ab*ba", "aba", False),
        ("a.c", "abc", False),
        ("[a]*", "[a]b", True),
    ],
)
def test_a_star_stands_for_anything(pattern: str, value: str, *, fits: bool):
    assert place_matches(f"zone={pattern}", {"zone": value}) is fits


# ---------------------------------------------------------------- wishes and limits per node


def test_wishes_and_limits_are_parts_of_the_text():
    text = place_text("zone=us", "gpu", 2, "Job")
    place = parse_place(text)
    assert text.startswith("zone=us,~gpu,#2/")
    assert (place.cap, bool(place.capped)) == (2, True)
    assert place.fits(US)
    assert place.preferred(US)
    assert not place.preferred({"zone": "us"})
    assert not place.at_once(US), "whoever takes it must know how many it has"
    assert parse_place(place_text(None, None, 2, "other")).capped != place.capped
    assert shown_place(text) == "zone=us"


def test_a_place_without_limits_is_taken_at_once_by_those_it_prefers():
    place = parse_place(place_text(None, "gpu"))
    assert place.at_once(US)
    assert not place.at_once(EU)
    assert place.fits(EU)


def test_the_place_on_one_node_keeps_what_it_needs_and_its_limit_and_prefers_nothing():
    text = node_place(place_text("zone=us", "gpu,disk=ssd", 2, "job"), "two")
    place = parse_place(text)
    assert "~" not in text
    assert (place.cap, place.wishes) == (2, ())
    assert place.fits(US)
    assert not place.fits({**US, "node": "one"})
    assert node_place("", "two") == "node=two"
