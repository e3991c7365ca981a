"""The steps that say when: Laravel's words in Python's spelling. vocabulary.py explains each."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Self

from cronherd.sdk.origin import caller
from cronherd.sdk.times import (
    SUNDAY,
    Day,
    Frequency,
    Minutes,
    Times,
    check_rules,
    number,
    numbers,
    read_minutes,
    read_span,
    read_time,
    read_weekdays,
    rest_of,
)

_HOUR = "an hour of the day"
_DAY = "a day of the month"
_MIDNIGHT = "0:00"


class Frequencies(ABC):
    """Steps of time; each gives a new builder."""

    @abstractmethod
    def _times(self) -> Times: ...

    @abstractmethod
    def _timed(self, times: Times) -> Self: ...

    def _repeat(self, step: str, **fields: str | bool) -> Self:
        frequency = Frequency(step=step, said_at=caller(), **fields)  # type: ignore[arg-type]
        return self._timed(self._times().repeated(frequency))

    def _at_days(self, step: str, time: str | None, **fields: str | bool) -> Self:
        """On some days at a time; at midnight, and at() may say another, when none is given."""
        hour, minute = read_time(_MIDNIGHT if time is None else time)
        clock = {"minute": str(minute), "hour": str(hour)}
        return self._repeat(step, open_clock=time is None, **clock, **fields)

    # ------------------------------------------------------------------ rules as they are

    def cron(self, expression: str, *, seconds: str | None = None) -> Self:
        rule: object = {"cron": expression, "seconds": seconds} if seconds else expression
        return self._rules("cron", (rule,))

    def schedule(self, *rules: str | Mapping[str, object]) -> Self:
        return self._rules("schedule", rules)

    def every(self, period: str) -> Self:
        return self._rules("every", (f"every {period}",))

    def _rules(self, step: str, rules: tuple[object, ...]) -> Self:
        frequency = Frequency(step=step, said_at=caller(), rules=check_rules(rules))
        return self._timed(self._times().repeated(frequency))

    # ------------------------------------------------------------------ seconds and minutes

    def every_second(self) -> Self:
        return self._repeat("every_second", second="*")

    def every_two_seconds(self) -> Self:
        return self._repeat("every_two_seconds", second="*/2")

    def every_five_seconds(self) -> Self:
        return self._repeat("every_five_seconds", second="*/5")

    def every_ten_seconds(self) -> Self:
        return self._repeat("every_ten_seconds", second="*/10")

    def every_fifteen_seconds(self) -> Self:
        return self._repeat("every_fifteen_seconds", second="*/15")

    def every_twenty_seconds(self) -> Self:
        return self._repeat("every_twenty_seconds", second="*/20")

    def every_thirty_seconds(self) -> Self:
        return self._repeat("every_thirty_seconds", second="*/30")

    def every_minute(self) -> Self:
        return self._repeat("every_minute")

    def every_two_minutes(self) -> Self:
        return self._repeat("every_two_minutes", minute="*/2")

    def every_three_minutes(self) -> Self:
        return self._repeat("every_three_minutes", minute="*/3")

    def every_four_minutes(self) -> Self:
        return self._repeat("every_four_minutes", minute="*/4")

    def every_five_minutes(self) -> Self:
        return self._repeat("every_five_minutes", minute="*/5")

    def every_ten_minutes(self) -> Self:
        return self._repeat("every_ten_minutes", minute="*/10")

    def every_fifteen_minutes(self) -> Self:
        return self._repeat("every_fifteen_minutes", minute="*/15")

    def every_thirty_minutes(self) -> Self:
        return self._repeat("every_thirty_minutes", minute="*/30")

    # ------------------------------------------------------------------ hours

    def hourly(self) -> Self:
        return self._repeat("hourly", minute="0")

    def hourly_at(self, offset: Minutes) -> Self:
        return self._repeat("hourly_at", minute=read_minutes(offset))

    def every_odd_hour(self, offset: Minutes = 0) -> Self:
        return self._repeat("every_odd_hour", minute=read_minutes(offset), hour="1-23/2")

    def every_even_hour(self, offset: Minutes = 0) -> Self:
        return self._repeat("every_even_hour", minute=read_minutes(offset), hour="0-22/2")

    def every_two_hours(self, offset: Minutes = 0) -> Self:
        return self._repeat("every_two_hours", minute=read_minutes(offset), hour="*/2")

    def every_three_hours(self, offset: Minutes = 0) -> Self:
        return self._repeat("every_three_hours", minute=read_minutes(offset), hour="*/3")

    def every_four_hours(self, offset: Minutes = 0) -> Self:
        return self._repeat("every_four_hours", minute=read_minutes(offset), hour="*/4")

    def every_six_hours(self, offset: Minutes = 0) -> Self:
        return self._repeat("every_six_hours", minute=read_minutes(offset), hour="*/6")

    # ------------------------------------------------------------------ days

    def daily(self) -> Self:
        return self._at_days("daily", None)

    def daily_at(self, time: str) -> Self:
        return self.at(time)

    def at(self, time: str) -> Self:
        return self._timed(self._times().at(*read_time(time)))

    def twice_daily(self, first: int = 1, second: int = 13) -> Self:
        return self.twice_daily_at(first, second)

    def twice_daily_at(self, first: int = 1, second: int = 13, offset: Minutes = 0) -> Self:
        hours = numbers((first, second), 0, 23, _HOUR)
        return self._repeat("twice_daily_at", minute=read_minutes(offset), hour=hours)

    def weekly(self) -> Self:
        return self._at_days("weekly", None, weekday=str((SUNDAY + 1) % 7), open_days=True)

    def weekly_on(self, day: Day | Iterable[Day], time: str | None = None) -> Self:
        days = read_weekdays([day])
        field = ",".join(str((day + 1) % 7) for day in days)
        return self._at_days("weekly_on", time, weekday=field)

    # ------------------------------------------------------------------ months and years

    def monthly(self) -> Self:
        return self._at_days("monthly", None, day="1")

    def monthly_on(self, day: int = 1, time: str | None = None) -> Self:
        return self._at_days("monthly_on", time, day=str(number(day, 1, 31, _DAY)))

    def twice_monthly(self, first: int = 1, second: int = 16, time: str | None = None) -> Self:
        return self._at_days("twice_monthly", time, day=numbers((first, second), 1, 31, _DAY))

    def days_of_month(self, *days: int | Iterable[int]) -> Self:
        flat = [one for day in days for one in (day if isinstance(day, Iterable) else [day])]
        return self._at_days("days_of_month", None, day=numbers(flat, 1, 31, _DAY))

    def last_day_of_month(self, time: str | None = None) -> Self:
        return self._at_days("last_day_of_month", time, day="L")

    def quarterly(self) -> Self:
        return self._at_days("quarterly", None, day="1", month="1-12/3")

    def quarterly_on(self, day: int = 1, time: str | None = None) -> Self:
        field = str(number(day, 1, 31, _DAY))
        return self._at_days("quarterly_on", time, day=field, month="1-12/3")

    def yearly(self) -> Self:
        return self._at_days("yearly", None, day="1", month="1")

    def yearly_on(self, month: int = 1, day: int = 1, time: str | None = None) -> Self:
        field = str(number(month, 1, 12, "a month"))
        return self._at_days("yearly_on", time, day=str(number(day, 1, 31, _DAY)), month=field)

    # ------------------------------------------------------------------ days of the week, hours

    def days(self, *days: Day | Iterable[Day]) -> Self:
        return self._timed(self._times().on(read_weekdays(days)))

    def weekdays(self) -> Self:
        return self.days("Mon-Fri")

    def weekends(self) -> Self:
        return self.days("Sat,Sun")

    def mondays(self) -> Self:
        return self.days("Mon")

    def tuesdays(self) -> Self:
        return self.days("Tue")

    def wednesdays(self) -> Self:
        return self.days("Wed")

    def thursdays(self) -> Self:
        return self.days("Thu")

    def fridays(self) -> Self:
        return self.days("Fri")

    def saturdays(self) -> Self:
        return self.days("Sat")

    def sundays(self) -> Self:
        return self.days("Sun")

    def between(self, start: str, end: str) -> Self:
        return self._timed(self._times().within(read_span(start, end)))

    def unless_between(self, start: str, end: str) -> Self:
        return self._timed(self._times().within(rest_of(read_span(start, end))))
