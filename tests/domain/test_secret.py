"""What may be a secret, and what of it is searched for in output."""

import json

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.secret import (
    FORMS_MOST,
    VALUE_BYTES,
    check_name,
    check_size,
    check_value,
    is_masked,
    masks_of,
)


@pytest.mark.parametrize("name", ["a", "DB_PASSWORD", "smtp.key-2", "x" * 64, "..."])
def test_names_are_letters_digits_and_three_signs(name: str):
    check_name(name)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a\n", "x" * 65, "a$"])
def test_other_names_are_refused(name: str):
    with pytest.raises(Invalid) as caught:
        check_name(name)
    assert caught.value.code == "bad_secret_name"


@pytest.mark.parametrize("value", ["x", "ä" * (VALUE_BYTES // 2), "a\nb\n", " "])
def test_a_value_is_text_of_any_kind(value: str):
    check_value(value)


@pytest.mark.parametrize(
    "value",
    ["", "hunter2\0", "hunter2\ud800", "hunter2" + "x" * VALUE_BYTES, "ä" * (VALUE_BYTES // 2 + 1)],
)
def test_a_refused_value_is_not_repeated(value: str):
    with pytest.raises(Invalid) as caught:
        check_value(value)
    assert caught.value.code == "bad_secret"
    assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.hint}"


def test_a_size_can_be_refused_before_anything_is_decoded():
    check_size(VALUE_BYTES)
    with pytest.raises(Invalid, match="at most 64 KiB"):
        check_size(VALUE_BYTES + 1)


@pytest.mark.parametrize(
    ("value", "masked"),
    [("abc", False), ("abcd", True), ("  abc  ", False), ("    ", False), (" abcd\n", True)],
)
def test_what_stands_anywhere_is_not_masked(value: str, *, masked: bool):
    assert is_masked(value) is masked
    assert bool(masks_of([value])) is masked


def test_blanks_around_a_value_do_not_hide_it():
    assert masks_of(["hunter2\n", " hunter2"]) == ("hunter2",)


def test_each_longer_line_of_a_value_is_masked_by_itself():
    value = "-----BEGIN KEY-----\n  indented9\r\nshort678\n\nlast-line\n"
    masks = masks_of([value])
    assert [mask for mask in masks if "short678" in mask][-1] == value.strip()
    assert masks[-3:] == ("-----BEGIN KEY-----", "indented9", "last-line")


def test_of_very_many_lines_the_longest_are_masked():
    lines = [f"{number:03}" * (3 + number % 3) for number in range(150)]
    value = "\n".join(lines)
    masks = masks_of([value])
    assert value in masks
    assert set(masks[-100:]) == set(sorted(lines, key=lambda line: (-len(line), line))[:100])


def test_a_value_is_masked_as_it_stands_between_quotes_too():
    value = "qu\"ote\\d's\tpassé"
    masks = masks_of([value])
    error = {"message": f"no entry for {value}", "repr": repr(value), "key": repr({value: 1})}
    for written in (
        value,
        repr(value),
        repr(value.replace('"', "")),
        json.dumps(value),
        json.dumps(value, ensure_ascii=False),
        json.dumps(error),
        json.dumps(error, ensure_ascii=False),
    ):
        shown = written
        for mask in (*masks, *masks_of([value.replace('"', "")])):
            shown = shown.replace(mask, "***")
        assert "ote" not in shown
        assert "***" in shown


def test_a_plain_word_has_one_form_only_and_a_huge_value_too():
    assert masks_of(["pass-wörd.1"]) == ("pass-w\\u00f6rd.1", "pass-wörd.1")
    assert masks_of(["password/1"]) == ("password/1",)
    huge = 'x"' * FORMS_MOST
    assert masks_of([huge]) == (huge,)


def test_the_longest_is_searched_for_first():
    assert masks_of(["abcd", "abcdefgh", "bcdef"]) == ("abcdefgh", "bcdef", "abcd")
