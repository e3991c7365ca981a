"""Cron expressions: what is accepted, in which spelling, and why the rest is not."""

import string
from contextlib import suppress

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from cronherd.domain.cronexpr import LONGEST_EXPRESSION, check_cron, take_schedule
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import to_datetime


@pytest.mark.parametrize(
    ("expression", "spelling"),
    [
        ("30 2 * * *", "30 2 * * *"),
        ("  00 09\t* *   *\n", "0 9 * * *"),
        ("0 3 * jan,Jul MON-fri", "0 3 * JAN,JUL MON-FRI"),
        ("*/05 08-18/02 * * 07", "*/5 8-18/2 * * 7"),
        ("7-7/10 7-7 * * *", "7 7 * * *"),
        ("*,5 * * * *", "*,5 * * * *"),
        ("0 0 L,15 * *", "0 0 L,15 * *"),
        ("0 0 lw * *", "0 0 LW * *"),
        ("0 0 * * 5l,mon#2", "0 0 * * 5L,MON#2"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        ("0 0 30 2 1", "0 0 30 2 1"),
        ("0 0 * 2 MON#5", "0 0 * 2 MON#5"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        (" @Hourly ", "0 * * * *"),
    ],
)
def test_it_gives_one_spelling(expression: str, spelling: str) -> None:
    assert check_cron(expression) == spelling
    assert check_cron(spelling) == spelling


@pytest.mark.parametrize(
    ("expression", "reason", "hint"),
    [
        ("60 * * * *", "minute (field 1): '60' is outside 0-59", "did you mean '0'?"),
        ("0-60 * * * *", "minute (field 1): '60' is outside 0-59", "did you mean '59'?"),
        ("0 24 * * *", "hour (field 2): '24' is outside 0-23", "did you mean '0'?"),
        ("0 0 0 * *", "day of month (field 3): '0' is outside 1-31", "did you mean '1'?"),
        ("0 0 32 * *", "day of month (field 3): '32' is outside 1-31", "use 1-31"),
        ("0 0 * 13 *", "month (field 4): '13' is outside 1-12 or JAN-DEC", "use 1-12"),
        ("0 0 * * 8", "day of week (field 5): '8' is outside 0-7 or SUN-SAT", "use 0-7"),
        ("0 0 * * monday", "day of week (field 5): 'MONDAY' is not a value", "mean 'MON'?"),
        ("0 0 * sept *", "month (field 4): 'SEPT' is not a value", "did you mean 'SEP'?"),
        ("mon * * * *", "minute (field 1): 'MON' is not a value", "use 0-59"),
        ("5/10 * * * *", "'5/10' has a step without a range", "did you mean '5-59/10'?"),
        ("0 0 * * mon/2", "'MON/2' has a step without a range", "did you mean '1-7/2'?"),
        ("*/0 * * * *", "minute (field 1): the step of '*/0' is 0", "a step is 1 or more"),
        ("*/x * * * *", "minute (field 1): the step of '*/X' is not a number", "*/5"),
        ("*/5/5 * * * *", "'*/5/5' is not a value", "use 0-59"),
        ("0 22-2 * * *", "the range '22-2' runs backwards", "did you mean '22-23,0-2'?"),
        ("0 0 * * fri-mon", "the range 'FRI-MON' runs backwards", "did you mean '5-6,0-1'?"),
        ("0 0 * * sat-sun", "the range 'SAT-SUN' runs backwards", "did you mean '6-7'?"),
        ("~ * * * *", "minute (field 1): '~' is a random range ~", "one fixed value"),
        ("0~30 * * * *", "minute (field 1): '0~30' is a random range ~", "one fixed value"),
        ("0 0 ? * MON", "day of month (field 3): '?' is Quartz's 'no value'", "write '*'"),
        ("H * * * *", "minute (field 1): 'H' is Jenkins' hashed value", "one fixed value"),
        ("0 0 15W * *", "day of month (field 3): '15W' is not a value", "use 1-31"),
        ("0 0 * * 1#6", "'1#6' needs a number from 1 to 5 after #", ""),
        ("1,,2 * * * *", "minute (field 1): an item of the list is empty", "use 0-59"),
        ("*5 * * * *", "minute (field 1): '*5' is not a value", "use 0-59"),
        ("$M * * * *", "minute (field 1): '$M' is a placeholder", "render the template"),
        ("{{ m }} * * * *", "the fields have a template placeholder", "render the template"),
        ("\u017fun * * * *", "has a character cron does not know", "use 0-59"),
        ("\u0665 * * * *", "has a character cron does not know", "use 0-59"),
        ("0 0 31 2 *", "no date ever matches day 31, month 2", "February has 29 days"),
        ("0 0 31 4,6,9,11 *", "no date ever matches day 31", "April, June, September"),
        ("0 0 */30 * 1#3", "no date ever matches day */30", ""),
        ("", "the expression is empty", "write five fields"),
        ("1 2 3", "five fields are needed, 3 given", "write minute, hour"),
        ("0 */5 * * * *", "looks like six fields: this version has five", "such as 'every 10s'"),
        ("0 0 12 * * ? 2027", "looks like seven fields", "keep minute"),
        ("@dayly", "'@dayly' is not a known name for a schedule", "did you mean '@daily'?"),
        ("@", "'@' is not a known name for a schedule", "known are @yearly"),
        ("@daily 5", "'@daily 5' is not a known name", "did you mean '@daily'?"),
        ("@every 5m", "'@every 5m' is an interval", "the schedule kind 'every'"),
        ("@reboot", "runs at host start: not available yet", "give the job a time"),
        ("*" * (LONGEST_EXPRESSION + 1), "longer than 1000 characters", ""),
    ],
)
def test_it_says_what_is_wrong(expression: str, reason: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_cron(expression)
    assert reason in caught.value.text
    assert hint in caught.value.hint
    assert caught.value.code in {"bad_cron", "never_fires"}


PIECES = st.one_of(
    st.integers(0, 62).map(str),
    st.sampled_from([*"*-/,#~?LW", "*/", "-", "LW", "MON", "sun", "Jul", "dec", "5L", "00"]),
)
FIELD = st.lists(PIECES, min_size=1, max_size=5).map("".join)
PLAIN = st.one_of(st.just("*"), st.integers(1, 5).map(str), st.integers(1, 9).map("*/{}".format))


@settings(deadline=None)  # some expressions are searched for over fifty years
@given(st.lists(st.one_of(FIELD, PLAIN), min_size=5, max_size=5).map(" ".join))
def test_it_accepts_nothing_that_cronsim_refuses(expression: str) -> None:
    try:
        spelling = check_cron(expression)
    except Invalid:
        return
    start = to_datetime(0)
    assert next(CronSim(spelling, start)) > start


@settings(deadline=None)
@given(
    st.tuples(
        st.integers(0, 59).map(str),
        st.integers(0, 23).map(str),
        st.integers(1, 31).map(str),
        st.integers(1, 12).map(str),
        st.sampled_from(["*", "*/2", "0", "MON-FRI", "5L", "SUN#5", "*/3,6"]),
    ).map(" ".join)
)
def test_it_refuses_only_what_never_fires(expression: str) -> None:
    try:
        check_cron(expression)
        refused = False
    except Invalid:
        refused = True
    try:
        never = next(CronSim(expression, to_datetime(0)), None) is None
    except CronSimError:
        never = True
    assert refused == never


@given(st.text(alphabet=st.characters(), max_size=60) | st.text(string.printable, max_size=30))
def test_it_never_fails_in_another_way(text: str) -> None:
    with suppress(Invalid):
        assert len(check_cron(text).split()) == 5


def test_it_takes_a_user_where_the_last_field_should_be_for_a_slip() -> None:
    with pytest.raises(Invalid) as refused:
        take_schedule("* * * * root /usr/bin/x", [])
    assert refused.value.text == "day of week (field 5): 'ROOT' is not a value"
    assert refused.value.hint.startswith("is a field missing? is 'root' a user?")
    assert "--system" in refused.value.hint
