"""A schedule in English, sentence by sentence: its rules, and what is said around them."""

from functools import singledispatch
from zoneinfo import ZoneInfo

from cronherd.domain.duration import format_duration
from cronherd.domain.instant import to_datetime
from cronherd.domain.timing.cron import Cron
from cronherd.domain.timing.cronwords import explain_cron
from cronherd.domain.timing.days import DAY_MINUTES, day_name, spell_clock
from cronherd.domain.timing.exclusion import Days, Exclusion, Fixed, Minutes, Weekly, Yearly
from cronherd.domain.timing.oncalendar import OnCalendar
from cronherd.domain.timing.reboot import Reboot
from cronherd.domain.timing.rule import Schedule
from cronherd.domain.timing.schedule import After, AnyOf, At, Every
from cronherd.domain.timing.timetable import Timetable
from cronherd.domain.timing.window import Window

_GAPS = {
    "after": "a time that the clock skips comes right after the change",
    "skip": "a time that the clock skips does not come",
}
_FOLDS = {
    "first": "one that it repeats comes once, the first time",
    "both": "one that it repeats comes both times",
}
_NO_CHANGES = frozenset({"UTC", "Etc/UTC", "Etc/GMT", "GMT", "Zulu", "Universal"})


def explain(schedule: Schedule, zone: ZoneInfo) -> list[str]:
    """What the schedule means, a sentence each, in the order in which it is written."""
    table = schedule if isinstance(schedule, Timetable) else None
    rule = table.rule if table else schedule
    rules = list(rule.rules) if isinstance(rule, AnyOf) else [rule]
    said = [_sentence(_words(part, zone)) for part in rules]
    if len(rules) > 1:
        said.append("An instant that two of them name is one slot.")
    if table:
        said += _around(table, zone)
    return said + _about_clocks(
        rules, zone, wall=bool(table and (table.windows or table.excluding))
    )


def _around(table: Timetable, zone: ZoneInfo) -> list[str]:
    said: list[str] = []
    if table.windows:
        said.append(f"Only {_join([_stretch(part) for part in table.windows], 'or')}.")
    said += [f"Not {_excluded(part)}." for part in table.excluding]
    if table.start_us is not None:
        said.append(f"From {_moment(table.start_us, zone)} on.")
    if table.end_us is not None:
        said.append(f"No more from {_moment(table.end_us, zone)} on.")
    return said


def _about_clocks(rules: list[Schedule], zone: ZoneInfo, *, wall: bool) -> list[str]:
    """The zone, and what its changes do, where any of it looks at the clock on the wall."""
    clocks = [rule for rule in rules if isinstance(rule, Cron | OnCalendar)]
    if not clocks and not wall and not any(isinstance(rule, At) for rule in rules):
        return []
    said = [f"Its times are those of {zone.key}."]
    if zone.key in _NO_CHANGES:
        return said
    if any(isinstance(rule, Cron) and rule.fields.wildcard for rule in clocks):
        said.append(
            "Where the minute or the hour begins with *, it follows the clock on the wall: "
            "what is skipped does not come, what is repeated comes twice."
        )
    fixed = [rule for rule in clocks if _is_fixed(rule)]
    policies = list(dict.fromkeys((rule.gap, rule.fold) for rule in fixed))
    for gap, fold in policies:
        whose = ""
        if len(policies) > 1:
            names = [rule.text for rule in fixed if (rule.gap, rule.fold) == (gap, fold)]
            whose = f"Of {_join(names, 'and')}, "
        said.append(_sentence(f"{whose}{_GAPS[gap]}; {_FOLDS[fold]}"))
    return said


def _is_fixed(rule: Cron | OnCalendar) -> bool:
    if isinstance(rule, Cron):
        return not rule.fields.wildcard
    return rule.zone.key not in _NO_CHANGES


@singledispatch
def _words(rule: object, zone: ZoneInfo) -> str:  # noqa: ARG001 - one shape for all
    raise AssertionError(f"no words for {rule!r}")


@_words.register
def _(rule: Cron, zone: ZoneInfo) -> str:  # noqa: ARG001
    return explain_cron(rule.fields)


@_words.register
def _(rule: OnCalendar, zone: ZoneInfo) -> str:
    other = f", in {rule.zone.key}" if rule.zone != zone else ""
    return f"at systemd's calendar event {rule.expression}{other}"


@_words.register
def _(rule: Every, zone: ZoneInfo) -> str:  # noqa: ARG001
    since = ", counted from 1970-01-01 00:00 UTC"
    moved = f", moved by {format_duration(rule.phase_us)}" if rule.phase_us else ""
    return f"every {format_duration(rule.period_us)}{since}{moved}"


@_words.register
def _(rule: After, zone: ZoneInfo) -> str:  # noqa: ARG001
    return f"{format_duration(rule.delay_us)} after the end of the run before"


@_words.register
def _(rule: At, zone: ZoneInfo) -> str:
    times = _join([_moment(at_us, zone) for at_us in rule.instants], "and")
    return f"once, at {times}" if len(rule.instants) == 1 else f"at {times}"


@_words.register
def _(rule: Reboot, zone: ZoneInfo) -> str:  # noqa: ARG001
    return "once at each start of a host"


def _excluded(rule: Exclusion) -> str:
    if isinstance(rule, Window):
        return _stretch(rule)
    if isinstance(rule, Weekly):
        begins, ends = (_of_week(minute) for minute in (rule.begins, rule.ends))
        return f"from {begins} to {ends}"
    if isinstance(rule, Yearly):
        return (
            f"in {rule.text} of any year" if " - " in rule.text else f"on {rule.text} of any year"
        )
    if isinstance(rule, Fixed):
        return f"in {rule.text}" if " - " in rule.text else f"on {rule.text}"
    if isinstance(rule, Minutes):
        return explain_cron(rule.fields)
    assert isinstance(rule, Days)
    kind, _, what = rule.text.partition(" ")
    return f"on public holidays of {what}" if kind == "holidays" else f"on {what}"


def _stretch(window: Window) -> str:
    days = [day_name(day) for day in window.days]
    whole = (window.opens, window.closes) == (0, DAY_MINUTES)
    over = " of the next day" if window.closes < window.opens and window.closes else ""
    clock = (
        "" if whole else f"from {spell_clock(window.opens)} to {spell_clock(window.closes)}{over}"
    )
    on = "" if len(days) == 7 else f"on {_run(window.days)}"
    return " ".join(part for part in (on, clock) if part) or "at any time"


def _run(days: tuple[int, ...]) -> str:
    names = [day_name(day) for day in days]
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{names[0]} through {names[-1]}"
    return _join(names, "and")


def _of_week(minute: int) -> str:
    day, clock = divmod(minute, DAY_MINUTES)
    return f"{day_name(day)} {spell_clock(clock)}"


def _moment(at_us: int, zone: ZoneInfo) -> str:
    shown = to_datetime(at_us, zone)
    form = "%Y-%m-%d %H:%M:%S %Z" if shown.second else "%Y-%m-%d %H:%M %Z"
    return shown.strftime(form)


def _join(parts: list[str], word: str) -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."
