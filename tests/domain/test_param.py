"""Parameters: what each type takes, and each sentence of refusal."""

import pytest

from cronherd.domain.errors import InvalidInput
from cronherd.domain.param import (
    VALUE_BYTES,
    Param,
    ParamType,
    Value,
    all_values,
    check_values,
    secret_variable,
    value_text,
)

STRING, CHOICE = ParamType.STRING, ParamType.CHOICE
INTEGER, NUMBER, BOOLEAN = ParamType.INTEGER, ParamType.NUMBER, ParamType.BOOLEAN


def param(kind: ParamType, **more: object) -> Param:
    choices = ("small", "1.10") if kind is CHOICE else ()
    return Param(name="x", type=kind, choices=choices, **more)  # type: ignore[arg-type]


TAKEN: list[tuple[ParamType, object, Value]] = [
    (STRING, "a b", "a b"),
    (STRING, "", ""),
    (STRING, "two\nlines ✓", "two\nlines ✓"),
    (STRING, 5, "5"),
    (STRING, True, "true"),
    (STRING, 0.5, "0.5"),
    (INTEGER, 5, 5),
    (INTEGER, "5", 5),
    (INTEGER, "-007", -7),
    (INTEGER, (1 << 63) - 1, (1 << 63) - 1),
    (NUMBER, 0.5, 0.5),
    (NUMBER, "0.5", 0.5),
    (NUMBER, "-1e3", -1000.0),
    (NUMBER, ".5", 0.5),
    (NUMBER, "5", 5),
    (NUMBER, 5, 5),
    (BOOLEAN, True, True),
    (BOOLEAN, False, False),
    (BOOLEAN, "true", True),
    (BOOLEAN, "FALSE", False),
    (CHOICE, "small", "small"),
    (CHOICE, "1.10", "1.10"),
]


@pytest.mark.parametrize(("kind", "given", "value"), TAKEN)
def test_each_type_takes_its_values_and_their_texts(kind: ParamType, given: object, value: Value):
    found = check_values((param(kind),), {"x": given})
    assert found == {"x": value}
    assert type(found["x"]) is type(value)


REFUSED: list[tuple[ParamType, object, str]] = [
    (STRING, None, "must be text, not null"),
    (STRING, ["a"], 'must be text, not ["a"]'),
    (STRING, "a\0b", "contains a NUL or half a surrogate pair"),
    (STRING, "\ud800", "contains a NUL or half a surrogate pair"),
    (STRING, "a" * (VALUE_BYTES + 1), "is longer than 100,000 bytes"),
    (INTEGER, "5.0", 'must be a whole number, not "5.0"'),
    (INTEGER, 5.0, "must be a whole number, not 5.0"),
    (INTEGER, True, "must be a whole number, not true"),
    (INTEGER, "", 'must be a whole number, not ""'),
    (INTEGER, "٣", 'must be a whole number, not "٣"'),
    (INTEGER, 1 << 63, "must be a whole number, not 9223372036854775808"),
    (INTEGER, "9" * 5000, f'must be a whole number, not "{"9" * 59}…'),
    (NUMBER, "much", 'must be a number, not "much"'),
    (NUMBER, "1e999", 'must be a number, not "1e999"'),
    (NUMBER, float("nan"), "must be a number, not NaN"),
    (NUMBER, "inf", 'must be a number, not "inf"'),
    (NUMBER, False, "must be a number, not false"),
    (BOOLEAN, "yes", 'must be true or false, not "yes"'),
    (BOOLEAN, 1, "must be true or false, not 1"),
    (CHOICE, "large", 'must be one of small, 1.10, not "large"'),
    (CHOICE, 1.1, "must be one of small, 1.10, not 1.1"),
]


@pytest.mark.parametrize(("kind", "given", "sentence"), REFUSED)
def test_what_is_of_another_type_is_refused(kind: ParamType, given: object, sentence: str):
    with pytest.raises(InvalidInput) as caught:
        check_values((param(kind),), {"x": given})
    (error,) = caught.value.errors
    assert (error.text, error.where, error.code) == (sentence, "params.x", "bad_param")


def test_of_very_many_choices_some_are_named():
    wide = Param(name="x", type=CHOICE, choices=tuple(f"{n}" * 500 for n in range(1000)))
    with pytest.raises(InvalidInput) as caught:
        check_values((wide,), {"x": "no"})
    (error,) = caught.value.errors
    assert error.text.endswith(' and 980 more, not "no"')
    assert len(error.text) < 1500


def test_every_fault_is_told_at_once():
    params = (
        Param(name="size", type=INTEGER),
        Param(name="to", required=True),
        Param(name="dry", type=BOOLEAN),
    )
    with pytest.raises(InvalidInput) as caught:
        check_values(params, {"size": "x", "siez": 1, "dry": True})
    assert [str(error) for error in caught.value.errors] == [
        'params.size: must be a whole number, not "x"',
        "params.siez: is not a parameter of the job (the job has size, to, dry)",
        "params.to: is required (--param to=VALUE)",
    ]
    codes = [error.code for error in caught.value.errors]
    assert codes == ["bad_param", "unknown_param", "missing_param"]


def test_a_job_without_any_says_so():
    with pytest.raises(InvalidInput, match="the job has no params"):
        check_values((), {"size": 1})
    assert check_values((), {}) == {}


def test_values_stand_in_the_order_of_the_job_and_defaults_fill_the_rest():
    params = (
        Param(name="a", type=INTEGER, default=1),
        Param(name="b", type=BOOLEAN, default=False),
        Param(name="c"),
        Param(name="d", default=""),
    )
    given = check_values(params, {"c": "x", "a": "5"})
    assert list(given.items()) == [("a", 5), ("c", "x")]
    assert all_values(params, given) == {"a": 5, "b": False, "c": "x", "d": ""}
    assert all_values(params, {}) == {"a": 1, "b": False, "d": ""}


@pytest.mark.parametrize(
    ("value", "text"),
    [(True, "true"), (False, "false"), (5, "5"), (0.5, "0.5"), ("a b", "a b"), ("true", "true")],
)
def test_a_command_sees_values_as_they_are_written(value: Value, text: str):
    assert value_text(value) == text


def test_names_become_variables():
    assert Param(name="dry-run").variable == "PARAM_DRY_RUN"
    assert secret_variable("db-password.main") == "DB_PASSWORD_MAIN"
