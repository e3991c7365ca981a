"""Errors: a stable code and one sentence that says what to do."""

import pytest

from cronherd.domain.errors import (
    Conflict,
    CronherdError,
    Invalid,
    InvalidInput,
    NotFound,
    Unavailable,
)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (CronherdError, "failed"),
        (Invalid, "invalid"),
        (NotFound, "not_found"),
        (Conflict, "conflict"),
        (Unavailable, "unavailable"),
    ],
)
def test_each_kind_has_a_code_of_its_own(kind: type[CronherdError], code: str):
    assert kind("it is so").code == code
    assert kind("it is so", code="exact").code == "exact"


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({}, "it is so"),
        ({"hint": "do that"}, "it is so (do that)"),
        ({"where": "a.yaml:1:2"}, "a.yaml:1:2: it is so"),
        ({"where": "a.yaml:1:2", "hint": "do that"}, "a.yaml:1:2: it is so (do that)"),
    ],
)
def test_it_is_told_in_one_sentence(parts: dict[str, str], sentence: str):
    assert str(Invalid("it is so", **parts)) == sentence


def test_several_faults_are_told_line_by_line():
    first, second = Invalid("one", code="a", where="x"), Invalid("two", hint="mend it")
    error = InvalidInput([first, second])
    assert str(error) == "x: one\ntwo (mend it)"
    assert (error.code, error.errors) == ("a", [first, second])
