"""Cron expressions: what is accepted, in which spelling, and why the rest is not."""

import re
import string
from contextlib import suppress

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import given, settings
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import to_datetime
from cronherd.domain.timing.cronexpr import LONGEST_EXPRESSION, check_cron, is_drawn, read_cron
from cronherd.domain.timing.cronfields import CronFields, DayRule, bits
from cronherd.domain.timing.cronwords import explain_cron

# As BLAKE2b gave them; the oracle draws them by code of its own.
DRAWN = {
    "": [19, 7, 28, 2, 2],
    "backup": [5, 7, 12, 3, 4],
    "nightly-report": [31, 2, 17, 3, 3],
}
SAME = ("H", "~", "H(0-59)", "0~59", "0~", "~59")


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
        ("0 0 ? * mon", "0 0 * * MON"),
        ("0 0 15w,01W,l-03 * ?", "0 0 15W,1W,L-3 * *"),
        ("h h(00-07) * * *", "H H(0-7) * * *"),
        ("H/015 * H h(mar-11)/2 *", "H/15 * H H(MAR-11)/2 *"),
        ("~ 00~07 5~ ~6 mon~05", "~ 0~7 5~ ~6 MON~5"),
        ("0~59/10,3 * * * *", "0~59/10,3 * * * *"),
        ("H(5-5) * * * *", "H(5-5) * * * *"),
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
        ("30~10 * * * *", "the range '30~10' runs backwards", "did you mean '10~30'?"),
        ("0~60 * * * *", "minute (field 1): '60' is outside 0-59", ""),
        ("0~5~9 * * * *", "minute (field 1): '5~9' is not a value", "use 0-59"),
        ("0~5/7 * * * *", "the step 7 of '0~5' is longer than its range 0-5", "at most 6"),
        ("H/61 * * * *", "the step 61 of 'H' is longer than its range 0-59", "at most 60"),
        ("0 0 H/29 * *", "the step 29 of 'H' is longer than its range 1-28", "at most 28"),
        ("H/0 * * * *", "the step of 'H/0' is 0", "a step is 1 or more"),
        ("H(9-7) * * * *", "the range '9-7' runs backwards", ""),
        ("H(7) * * * *", "'H(7)' needs a range in its brackets", "use H or H(7-7)"),
        ("H() * * * *", "minute (field 1): '' is not a value", ""),
        ("H(1,5) * * * *", "'H(1' has a bracket without its other half", "write H(9-17)"),
        ("H5 * * * *", "minute (field 1): 'H5' is not a value", "use 0-59"),
        ("? 0 * * *", "minute (field 1): '?' is Quartz's 'no value'", "write '*'"),
        ("0 0 ?,5 * *", "day of month (field 3): '?' is Quartz's 'no value'", "write '*'"),
        ("0 0 32W * *", "day of month (field 3): '32' is outside 1-31", "use 1-31"),
        ("0 0 W * *", "day of month (field 3): 'W' is not a value", "use 1-31"),
        ("15W 0 * * *", "minute (field 1): '15W' is not a value", "use 0-59"),
        ("0 0 L-31 * *", "day of month (field 3): 'L-31' leaves every month", "L-1 to L-30"),
        ("0 0 L-0 * *", "day of month (field 3): 'L-0' leaves every month", "use L, or L-1"),
        ("0 0 31W 4 *", "no date ever matches day 31W, month 4", ""),
        ("0 0 L-30 2 *", "no date ever matches day L-30, month 2", ""),
        ("0 0 30~31 2 *", "month 2 and day of week *, drawn: 30~31 (day of month 3", ""),
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
        ("0 */5 * * * *", "looks like six fields: this version has five", "'seconds: first'"),
        ("0 */5 * * * *", "without seconds", "such as 'every 10s'"),
        ("0 0 12 * * ? 2027", "looks like seven fields", "keep minute"),
        ("@dayly", "'@dayly' is not a known name for a schedule", "did you mean '@daily'?"),
        ("@", "'@' is not a known name for a schedule", "known are @yearly"),
        ("@daily 5", "'@daily 5' is not a known name", "did you mean '@daily'?"),
        ("@every 5m", "'@every 5m' is an interval", "the schedule kind 'every'"),
        ("@reboot", "is no time: it stands for each start of a host", "write it alone"),
        ("*" * (LONGEST_EXPRESSION + 1), "longer than 1000 characters", ""),
    ],
)
def test_it_says_what_is_wrong(expression: str, reason: str, hint: str) -> None:
    with pytest.raises(Invalid) as caught:
        check_cron(expression)
    assert reason in caught.value.text
    assert hint in caught.value.hint
    assert caught.value.code in {"bad_cron", "never_fires"}


@pytest.mark.parametrize(
    ("expression", "seconds", "spelling"),
    [
        ("*/10 30 2 * * 1", "first", "*/10 30 2 * * 1"),
        ("30 2 * * 1 */010", "last", "30 2 * * 1 */10"),
        ("@daily", "first", "0 0 0 * * *"),
        ("@weekly", "last", "0 0 * * 0 0"),
    ],
)
def test_six_fields_need_a_word_about_the_sixth(expression: str, seconds: str, spelling: str):
    assert check_cron(expression, seconds=seconds) == spelling
    assert check_cron(spelling, seconds=seconds) == spelling
    with pytest.raises(Invalid):
        check_cron(spelling)


def test_the_place_of_the_seconds_counts():
    first = read_cron("1 2 3 4 5 6", seconds="first")
    assert first == read_cron("2 3 4 5 6 1", seconds="last")
    assert first != read_cron("1 2 3 4 5 6", seconds="last")
    assert read_cron("30 2 * * *") == read_cron("0 30 2 * * *", seconds="first")


@pytest.mark.parametrize(
    ("expression", "seconds", "reason", "hint"),
    [
        ("30 2 * * *", "first", "six fields are needed, 5 given", "'0 30 2 * * *'"),
        ("30 2 * * *", "last", "six fields are needed, 5 given", "'30 2 * * * 0'"),
        ("60 30 2 * * *", "first", "second (field 1): '60' is outside 0-59", "mean '0'?"),
        ("0 60 2 * * *", "first", "minute (field 2): '60' is outside 0-59", ""),
        ("0 2 * * * 75", "last", "second (field 6): '75' is outside 0-59", ""),
        ("0 0 0 30 2 *", "first", "day of month (field 4): no date ever matches day 30", ""),
        ("30 2 * * *", "middle", "'middle' is no place for seconds", "'first' or 'last'"),
    ],
)
def test_it_says_what_is_wrong_with_six(expression: str, seconds: str, reason: str, hint: str):
    with pytest.raises(Invalid) as caught:
        check_cron(expression, seconds=seconds)
    assert reason in caught.value.text
    assert hint in caught.value.hint


def test_it_finds_the_masks():
    fields = read_cron("5,10-12 */6 1W,L,L-2,LW,3 FEB-4 0,7,2#3,5L")
    assert fields == CronFields(
        seconds=1,
        minutes=1 << 5 | 0b111 << 10,
        hours=1 | 1 << 6 | 1 << 12 | 1 << 18,
        months=0b11100,
        days=DayRule(
            days=1 << 3,
            from_last=0b101,
            nearest=0b11,
            weekdays=1,
            nth_of=1 << 26,
            last_of=1 << 5,
            together=False,
        ),
        wildcard=True,
    )
    assert hash(fields) == hash(read_cron("10-12,05 */6 3,L-2,1W,lw,L 2-apr 2#3,5l,SUN"))


@pytest.mark.parametrize(
    ("expression", "wildcard", "together"),
    [
        ("0 0 1 * 1", False, False),
        ("*/5 0 * * 1", True, True),
        ("0 *,5 1 * *", True, True),
        ("0-59 0-23 1-31 * ?", False, True),
        ("H/15 H ~ * 1", False, False),
        ("0 0 1 * */2", False, True),
    ],
)
def test_a_star_at_the_beginning_makes_the_difference(
    expression: str, *, wildcard: bool, together: bool
):
    fields = read_cron(expression)
    assert (fields.wildcard, fields.days.together) == (wildcard, together)


# ---------------------------------------------------------------- drawn values


def test_what_is_drawn_stays_for_a_job_for_ever():
    """Changing one of these moves every job in the world that has an H: never change them."""
    drawn = {
        key: [value for *_, value in read_cron("H H(0-7) H H/3 1~5", key=key).drawn]
        for key in ("", "backup", "nightly-report")
    }
    assert drawn == DRAWN


def test_the_same_range_of_a_field_gives_the_same_value_in_each_spelling():
    for key in ("a", "b", "c"):
        minutes = {read_cron(f"{word} * * * *", key=key).minutes for word in SAME}
        assert len(minutes) == 1


def test_jobs_are_spread_over_the_hour():
    fields = [read_cron("H * * * *", key=f"job-{number}").minutes for number in range(6_000)]
    counts = [fields.count(1 << minute) for minute in range(60)]
    assert min(counts) > 60
    assert max(counts) < 145


def test_a_drawn_step_has_the_whole_series():
    for key in map(str, range(40)):
        minutes = list(bits(read_cron("H(10-40)/7 * * * *", key=key).minutes))
        assert 10 <= minutes[0] < 17
        assert minutes == list(range(minutes[0], 41, 7))


def test_days_are_drawn_that_each_month_has():
    keys = map(str, range(400))
    rules = [read_cron("0 0 H * H", key=key).days for key in keys]
    assert {next(bits(rule.days)) for rule in rules} == set(range(1, 29))
    assert {next(bits(rule.weekdays)) for rule in rules} == set(range(7))


def test_a_key_makes_no_difference_where_nothing_is_drawn():
    assert read_cron("0 3 * * THU", key="a") is read_cron("0 3 * * THU", key="b")
    assert read_cron("@hourly", key="a") is read_cron("@hourly", key="b")
    assert not is_drawn("0 3 * MAR THU")
    for drawn in ("h 3 * * *", "0 3 * * 1,H", "0 1~2 * * *"):
        assert is_drawn(drawn)


# ---------------------------------------------------------------- any text at all

PIECES = st.one_of(
    st.integers(0, 62).map(str),
    st.sampled_from([*"*-/,#~?LWH()", "*/", "-", "LW", "MON", "sun", "Jul", "dec", "5L", "00"]),
    st.sampled_from(["H(", "H(1-5)", "H/", "15W", "L-3", "0~30"]),
)
FIELD = st.lists(PIECES, min_size=1, max_size=5).map("".join)
PLAIN = st.one_of(st.just("*"), st.integers(1, 5).map(str), st.integers(1, 9).map("*/{}".format))
OURS_ALONE = re.compile(r"[~HW?]|L-")


@settings(deadline=None)  # some expressions are searched for over fifty years
@given(st.lists(st.one_of(FIELD, PLAIN), min_size=5, max_size=5).map(" ".join))
def test_a_peer_reads_what_we_accept(expression: str) -> None:
    try:
        spelling = check_cron(expression)
    except Invalid:
        return
    assert check_cron(spelling) == spelling
    if not OURS_ALONE.search(spelling.replace("LW", "").replace("WED", "").replace("THU", "")):
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


@given(
    st.text(alphabet=st.characters(), max_size=60)
    | st.text(string.printable, max_size=30)
    | st.lists(FIELD, min_size=5, max_size=6).map(" ".join),
    st.sampled_from([None, "first", "last"]),
    st.text(max_size=5),
)
def test_it_never_fails_in_another_way(text: str, seconds: str | None, key: str) -> None:
    with suppress(Invalid):
        spelling = check_cron(text, seconds=seconds, key=key)
        assert len(spelling.split()) == (5 if seconds is None else 6)
        assert explain_cron(read_cron(text, seconds=seconds, key=key))
