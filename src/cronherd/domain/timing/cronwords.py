"""A cron expression in English: `30 2 * * 1-5` is "at 02:30 on Monday through Friday"."""

from collections.abc import Callable, Sequence

from cronherd.domain.timing.cronexpr import read_cron
from cronherd.domain.timing.cronfields import CronFields, DayRule, bits

_MONTHS = (
    *("", "January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
_WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_WEEK = (1, 2, 3, 4, 5, 6, 0)  # so that Friday through Sunday is one run
_NTH = ("", "first", "second", "third", "fourth", "fifth")
_MOST_TIMES = 6  # more times of day than that are told as minutes and hours
_LEAST_RUN = 3


def explain_cron(expression: CronFields | str) -> str:
    """When it fires, in words, with each value that was drawn. Raises Invalid for a bad text."""
    fields = read_cron(expression) if isinstance(expression, str) else expression
    clock = _clock_times(fields)
    times = clock or (_minutes_past(fields) if fields.seconds == 1 else _seconds_past(fields))
    drawn = ", ".join(
        f"{'first ' if '/' in term else ''}{name} {_value(name, value)} from {term}"
        for name, term, value in fields.drawn
    )
    return f"{times}{_days(fields, clock=bool(clock))}" + (f" (drawn: {drawn})" if drawn else "")


def _value(name: str, value: int) -> str:
    if name == "month":
        return _MONTHS[value]
    return _WEEKDAYS[value % 7] if name == "day of week" else str(value)


def _clock_times(fields: CronFields) -> str:
    """Few times of day as a clock shows them, else ''."""
    seconds, minutes, hours = (
        list(bits(mask)) for mask in (fields.seconds, fields.minutes, fields.hours)
    )
    if len(seconds) * len(minutes) * len(hours) > _MOST_TIMES:
        return ""
    shown = fields.seconds != 1
    return "at " + _join(
        [
            f"{hour:02}:{minute:02}" + (f":{second:02}" if shown else "")
            for hour in hours
            for minute in minutes
            for second in seconds
        ]
    )


def _minutes_past(fields: CronFields) -> str:
    hours = _group(fields.hours, 0, 23, "hour")
    often = _often(fields.minutes, "minute")
    if often:
        return often if hours == "every hour" else f"{often} in {hours}"
    return f"at {_group(fields.minutes, 0, 59, 'minute')} past {hours}"


def _seconds_past(fields: CronFields) -> str:
    often = _often(fields.seconds, "second")
    text = often or f"at {_group(fields.seconds, 0, 59, 'second')}"
    minutes = _group(fields.minutes, 0, 59, "minute")
    hours = _group(fields.hours, 0, 23, "hour")
    if minutes != "every minute":
        return f"{text} in {minutes} past {hours}"
    if not often:
        text += " of every minute"
    return text if hours == "every hour" else f"{text} in {hours}"


def _often(mask: int, noun: str) -> str:
    """Words such as "every 5 minutes", where that holds over the end of the hour too, else ''."""
    values = list(bits(mask))
    step = 60 // len(values)
    if values != list(range(0, 60, step)) or 60 % step or len(values) == 1:
        return ""
    return f"every {noun}" if step == 1 else f"every {step} {noun}s"


def _group(mask: int, low: int, high: int, noun: str) -> str:
    """The numbers of one field: "hour 3", "hours 3 and 5", "every 2nd hour from 8 through 18"."""
    values = list(bits(mask))
    if len(values) >= _LEAST_RUN and values == list(
        range(values[0], values[-1] + 1, values[1] - values[0])
    ):
        step = values[1] - values[0]
        every = f"every {noun}" if step == 1 else f"every {_ordinal(step)} {noun}"
        # A series of days begins again with each month, so its rest is nobody's surprise.
        over = values[-1] + step - high
        whole = values[0] == low and (over == 1 or (noun == "day" and over > 1))
        return every if whole else f"{every} from {values[0]} through {values[-1]}"
    numbers = _join(_runs(values, str))
    return f"{noun} {numbers}" if len(values) == 1 else f"{noun}s {numbers}"


def _days(fields: CronFields, *, clock: bool) -> str:
    rule = fields.days
    any_date = rule.days == 0xFFFF_FFFE
    any_weekday = rule.weekdays == 0x7F
    dates, weekdays = f"on {_dates(rule)}", f"on {_weekdays(rule)}"
    either = any_date or any_weekday
    if (any_date and any_weekday) or (either and not rule.together):
        text = "every day" if clock else ""
    elif any_date:
        text = weekdays
    elif any_weekday:
        text = dates
    elif rule.together:
        text = f"{dates}, only where that is {_weekdays(rule)}"
    else:
        text = f"{dates}, or {weekdays}"
    months = list(bits(fields.months))
    if len(months) < 12:
        text += "," if not either else ""
        text += f" in {_join(_runs(months, _MONTHS.__getitem__))}"
    return f" {text.strip()}" if text else ""


def _dates(rule: DayRule) -> str:
    parts = [_group(rule.days, 1, 31, "day")] if rule.days else []
    for back in bits(rule.from_last):
        nth = f"{_ordinal(back)} " if back > 1 else ""
        parts.append(f"the {nth}day before the last" if back else "the last day")
    parts += [
        f"the weekday (Monday to Friday) nearest to day {day}"
        if day
        else "the last weekday (Monday to Friday)"
        for day in bits(rule.nearest)
    ]
    return f"{_join(parts)} of the month"


def _weekdays(rule: DayRule) -> str:
    listed = [day for day in _WEEK if rule.weekdays >> day & 1]
    parts = _runs(listed, _WEEKDAYS.__getitem__, order=_WEEK)
    months = [f"the {_NTH[place // 8]} {_WEEKDAYS[place % 8]}" for place in bits(rule.nth_of)]
    months += [f"the last {_WEEKDAYS[day]}" for day in bits(rule.last_of)]
    if months:
        parts.append(f"{_join(months)} of the month")
    return _join(parts)


def _runs(
    values: Sequence[int], spell: Callable[[int], str], order: Sequence[int] = range(60)
) -> list[str]:
    """Neighbours in `order` as "3 through 6" where they are three or more."""
    found: list[list[int]] = []
    for value in values:
        if found and order.index(value) == order.index(found[-1][-1]) + 1:
            found[-1].append(value)
        else:
            found.append([value])
    parts: list[str] = []
    for run in found:
        if len(run) >= _LEAST_RUN:
            parts.append(f"{spell(run[0])} through {spell(run[-1])}")
        else:
            parts += [spell(value) for value in run]
    return parts


def _join(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _ordinal(number: int) -> str:
    if number % 100 in {11, 12, 13}:
        return f"{number}th"
    return f"{number}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"
