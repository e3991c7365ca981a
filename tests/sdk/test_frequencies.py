"""Every frequency: its next 20 instants against values that are counted apart (D2.1)."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from cronherd.sdk.vocabulary import FREQUENCIES, LIMITS
from tests.sdk.conftest import Say, instants
from tests.sdk.walker import COUNT, Case, by_days, by_minutes, last_of_month

MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


def at(hour: int, *minutes: int):
    return lambda h, m: h == hour and m in (minutes or (0,))


def on(weekday: int):
    return lambda day: day.weekday() == weekday


def every_second(period: int) -> Case:
    words = {1: "second", 2: "two_seconds", 5: "five_seconds", 10: "ten_seconds"}
    words |= {15: "fifteen_seconds", 20: "twenty_seconds", 30: "thirty_seconds"}
    return Case(step=f"every_{words[period]}()", second=lambda s: s % period == 0)


def every_minute(period: int) -> Case:
    words = {1: "minute", 2: "two_minutes", 3: "three_minutes", 4: "four_minutes"}
    words |= {5: "five_minutes", 10: "ten_minutes", 15: "fifteen_minutes", 30: "thirty_minutes"}
    return Case(step=f"every_{words[period]}()", clock=lambda _, m: m % period == 0)


OFTEN = [
    *map(every_minute, (1, 2, 3, 4, 5, 10, 15, 30)),
    Case(step="hourly()", clock=lambda _, m: m == 0),
    Case(step="hourly_at(17)", clock=lambda _, m: m == 17),
    Case(step="hourly_at([17, 47, 2])", clock=lambda _, m: m in {2, 17, 47}),
    Case(step="every_ten_minutes().between('1:00', '4:30')",
         clock=lambda h, m: m % 10 == 0 and (1, 0) <= (h, m) < (4, 30)),
    Case(step="every_ten_minutes().unless_between('22:00', '23:30')",
         clock=lambda h, m: m % 10 == 0 and not (22, 0) <= (h, m) < (23, 30)),
    Case(step="hourly().between('22:00', '3:00')",
         clock=lambda h, m: m == 0 and (h >= 22 or h < 3)),
    Case(step="hourly().between('22:00', '0:00')", clock=lambda h, m: m == 0 and h >= 22),
    Case(step="hourly().unless_between('23:00', '4:00')",
         clock=lambda h, m: m == 0 and 4 <= h < 23),
    Case(step="hourly().between('8:00', '17:00').unless_between('12:00', '13:00')",
         clock=lambda h, m: m == 0 and 8 <= h < 17 and h != 12),
    Case(step="hourly().between('20:00', '6:00').between('5:00', '22:00')",
         clock=lambda h, m: m == 0 and (h == 5 or h in {20, 21})),
    Case(step="every_ten_minutes().unless_between('1:15', '2:45')",
         clock=lambda h, m: m % 10 == 0 and not (1, 15) <= (h, m) < (2, 45)),
    Case(step="cron('*/15 * * * *')", clock=lambda _, m: m % 15 == 0),
    Case(step="every('2m')", clock=lambda _, m: m % 2 == 0),
]  # fmt: skip
CASES = [
    *map(every_second, (1, 2, 5, 10, 15, 20, 30)),
    *OFTEN,
    Case(step="cron('*/20 30 2 * * *', seconds='first')", clock=at(2, 30),
         second=lambda s: s % 20 == 0),
    Case(step="every_odd_hour()", clock=lambda h, m: h % 2 == 1 and m == 0),
    Case(step="every_odd_hour(15)", clock=lambda h, m: h % 2 == 1 and m == 15),
    Case(step="every_even_hour([0, 59])", clock=lambda h, m: h % 2 == 0 and m in {0, 59}),
    Case(step="every_two_hours()", clock=lambda h, m: h % 2 == 0 and m == 0),
    Case(step="every_three_hours(5)", clock=lambda h, m: h % 3 == 0 and m == 5),
    Case(step="every_four_hours()", clock=lambda h, m: h % 4 == 0 and m == 0),
    Case(step="every_six_hours(30)", clock=lambda h, m: h % 6 == 0 and m == 30),
    Case(step="daily()", clock=at(0)),
    Case(step="daily().at('9:05')", clock=at(9, 5)),
    Case(step="daily_at('13:00')", clock=at(13)),
    Case(step="daily_at('13')", clock=at(13)),
    Case(step="at('23:59')", clock=at(23, 59)),
    Case(step="twice_daily()", clock=lambda h, m: h in {1, 13} and m == 0),
    Case(step="twice_daily(23, 4)", clock=lambda h, m: h in {4, 23} and m == 0),
    Case(step="twice_daily_at(1, 13, 15)", clock=lambda h, m: h in {1, 13} and m == 15),
    Case(step="weekly()", day=lambda d: d.weekday() == SUN, clock=at(0)),
    Case(step="weekly().at('4:30')", day=lambda d: d.weekday() == SUN, clock=at(4, 30)),
    Case(step="weekly().mondays().at('13:00')", day=lambda d: d.weekday() == MON, clock=at(13)),
    Case(step="weekly_on(1, '8:00')", day=lambda d: d.weekday() == MON, clock=at(8)),
    Case(step="weekly_on(['tue', 6])", day=lambda d: d.weekday() in {TUE, SAT}, clock=at(0)),
    Case(step="weekly_on(0).at('8:00')", day=lambda d: d.weekday() == SUN, clock=at(8)),
    Case(step="monthly()", day=lambda d: d.day == 1, clock=at(0)),
    Case(step="monthly().at('13:00')", day=lambda d: d.day == 1, clock=at(13)),
    Case(step="monthly_on(4, '15:00')", day=lambda d: d.day == 4, clock=at(15)),
    Case(step="monthly_on(31)", day=lambda d: d.day == 31, clock=at(0)),
    Case(step="monthly().weekdays()", day=lambda d: d.day == 1 and d.weekday() <= FRI, clock=at(0)),
    Case(step="monthly_on(13).fridays().at('1:00')",
         day=lambda d: d.day == 13 and d.weekday() == FRI, clock=at(1)),
    Case(step="twice_monthly(1, 16, '13:00')", day=lambda d: d.day in {1, 16}, clock=at(13)),
    Case(step="twice_monthly()", day=lambda d: d.day in {1, 16}, clock=at(0)),
    Case(step="days_of_month(1, 10, 20)", day=lambda d: d.day in {1, 10, 20}, clock=at(0)),
    Case(step="days_of_month([1, 30]).at('3:00')", day=lambda d: d.day in {1, 30}, clock=at(3)),
    Case(step="last_day_of_month('15:00')", day=last_of_month, clock=at(15)),
    Case(step="last_day_of_month().weekends()",
         day=lambda d: last_of_month(d) and d.weekday() >= SAT, clock=at(0)),
    Case(step="quarterly()", day=lambda d: d.day == 1 and d.month in {1, 4, 7, 10}, clock=at(0)),
    Case(step="quarterly_on(4, '14:00')", day=lambda d: d.day == 4 and d.month in {1, 4, 7, 10},
         clock=at(14)),
    Case(step="yearly()", day=lambda d: (d.month, d.day) == (1, 1), clock=at(0)),
    Case(step="yearly_on(6, 1, '17:00')", day=lambda d: (d.month, d.day) == (6, 1), clock=at(17)),
    Case(step="yearly_on(2, 29)", day=lambda d: (d.month, d.day) == (2, 29), clock=at(0)),
    Case(step="hourly().weekdays()", day=lambda d: d.weekday() <= FRI, clock=lambda _, m: m == 0),
    Case(step="weekends().hourly()", day=lambda d: d.weekday() >= SAT, clock=lambda _, m: m == 0),
    Case(step="daily().days('Fri-Mon')", day=lambda d: d.weekday() in {FRI, SAT, SUN, MON},
         clock=at(0)),
    Case(step="daily().days(0, 3)", day=lambda d: d.weekday() in {SUN, WED}, clock=at(0)),
    Case(step="daily().days([7, 'thursday'])", day=lambda d: d.weekday() in {SUN, THU},
         clock=at(0)),
    Case(step="hourly().between('22:00', '3:00').weekdays()", day=lambda d: d.weekday() <= FRI,
         clock=lambda h, m: m == 0 and (h >= 22 or h < 3)),
    Case(step="cron('0 * * * *').between('22:00', '3:00').days('Sat')",
         day=lambda d: d.weekday() == SAT, clock=lambda h, m: m == 0 and (h >= 22 or h < 3)),
    Case(step="every_thirty_seconds().mondays().between('0:00', '0:05')",
         day=lambda d: d.weekday() == MON, clock=lambda h, m: h == 0 and m < 5,
         second=lambda s: s % 30 == 0),
    Case(step="schedule('30 2 * * *', '45 2 * * *')", clock=at(2, 30, 45)),
    Case(step="weekly().excluding('12-20 - 01-10')",
         day=lambda d: d.weekday() == SUN and not (d.month, d.day) >= (12, 20)
         and not (d.month, d.day) <= (1, 10), clock=at(0)),
    Case(step="daily().starting('2028-03-01')", day=lambda d: d >= date(2028, 3, 1), clock=at(0)),
    *(Case(step=f"daily_at('6:00').{name}days()", day=on(number), clock=at(6))
      for number, name in enumerate(("mon", "tues", "wednes", "thurs", "fri", "satur", "sun"))),
]  # fmt: skip
STEADY = ("UTC", "Asia/Kolkata")
STARTS = (datetime(2026, 11, 21, 10, 7, 3, tzinfo=UTC), datetime(2028, 2, 28, 23, 59, tzinfo=UTC))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.step)
@pytest.mark.parametrize("zone", STEADY)
def test_the_next_20_instants_are_those_that_are_counted(say: Say, case: Case, zone: str):
    job = say(f"job.{case.step}.timezone('{zone}')")
    for start in STARTS:
        assert instants(job, start, COUNT) == by_days(case, ZoneInfo(zone), start)


@pytest.mark.parametrize("case", OFTEN, ids=lambda case: case.step)
@pytest.mark.parametrize("start", ["2026-11-01 04:30", "2026-03-08 05:30"])
def test_what_comes_often_comes_through_changes_of_the_clock(say: Say, case: Case, start: str):
    zone = ZoneInfo("America/New_York")
    after = datetime.fromisoformat(start).replace(tzinfo=UTC)
    job = say(f"job.{case.step}.timezone('America/New_York')")
    assert instants(job, after, COUNT) == by_minutes(case, zone, after)


# On these nights New York has no 2:30, and two times 1:30.
NO_230, TWO_130 = datetime(2026, 3, 7, 12, tzinfo=UTC), datetime(2026, 10, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("steps", "start", "found"),
    [
        ("daily_at('2:30')", NO_230, ["2026-03-08 07:00", "2026-03-09 06:30"]),
        ("daily_at('2:30').timezone('UTC')", NO_230, ["2026-03-08 02:30", "2026-03-09 02:30"]),
        ("daily_at('1:30')", TWO_130, ["2026-11-01 05:30", "2026-11-02 06:30"]),
        ("twice_daily_at(1, 13, 30)", TWO_130,
         ["2026-10-31 17:30", "2026-11-01 05:30", "2026-11-01 18:30", "2026-11-02 06:30"]),
        ("weekly_on(0, '2:30')", NO_230, ["2026-03-08 07:00", "2026-03-15 06:30"]),
        ("monthly_on(8, '2:30')", NO_230, ["2026-03-08 07:00", "2026-04-08 06:30"]),
        ("daily()", TWO_130, ["2026-11-01 04:00", "2026-11-02 05:00"]),
    ],
)  # fmt: skip
def test_what_comes_by_the_day_comes_once_on_days_when_the_clock_changes(
    say: Say, steps: str, start: datetime, found: list[str]
):
    zone = "" if "timezone" in steps else ".timezone('America/New_York')"
    job = say(f"job.{steps}{zone}")
    said = [f"{instant:%Y-%m-%d %H:%M}" for instant in instants(job, start, len(found))]
    assert said == found


def test_nothing_comes_after_an_ending(say: Say):
    job = say("job.daily().ending('2026-11-24')")
    start = datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert [instant.day for instant in instants(job, start, 2)] == [22, 23]
    assert job.schedule is not None
    assert (
        job.schedule.next_after(int(datetime(2026, 11, 23, tzinfo=UTC).timestamp()) * 10**6) is None
    )


# They decide about runs and not about instants, or end them; `timezone` is in each case.
NO_CASE = {
    "by_hand", "timezone", "when", "skip", "environments", "ending", "max_runs", "jitter",
}  # fmt: skip


def without_a_case(cases: list[Case]) -> set[str]:
    counted = {part.split("(")[0] for case in cases for part in case.step.split(").")}
    return {word.step for word in (*FREQUENCIES, *LIMITS)} - NO_CASE - counted


def test_no_frequency_and_no_limit_is_without_a_case():
    assert without_a_case(CASES) == set()
    assert {word.step for word in (*FREQUENCIES, *LIMITS)} >= NO_CASE


def test_a_frequency_without_a_case_is_noticed():
    assert without_a_case([case for case in CASES if "quarterly_on" not in case.step]) == {
        "quarterly_on"
    }
    assert without_a_case([case for case in CASES if "unless" not in case.step]) == {
        "unless_between"
    }
