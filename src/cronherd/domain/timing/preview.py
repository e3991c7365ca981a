"""The next slots of a schedule, with a mark where a change of the clock touches them."""

from zoneinfo import ZoneInfo

from cronherd.domain.instant import DAY_US, SECOND_US
from cronherd.domain.timing.changes import Change, changes_between, wall_of, wall_text
from cronherd.domain.timing.cron import Cron
from cronherd.domain.timing.oncalendar import OnCalendar, next_wall
from cronherd.domain.timing.rule import Schedule
from cronherd.domain.timing.schedule import AnyOf
from cronherd.domain.timing.timetable import Timetable

Clock = Cron | OnCalendar
_DAY = "%Y-%m-%d"
# A slot that was left out is told at the next one, when that comes within so many days.
_LOOK_BACK_US = 400 * DAY_US


def preview(schedule: Schedule, zone: ZoneInfo, from_us: int, count: int) -> list[tuple[int, str]]:
    """The next slots after an instant, each with its mark, which mostly is empty."""
    return mark_slots(schedule, zone, from_us, next_slots(schedule, from_us, count))


def next_slots(schedule: Schedule, from_us: int, count: int) -> list[int]:
    """At most `count` slots after an instant."""
    slots: list[int] = []
    at_us: int | None = from_us
    while len(slots) < count:
        at_us = schedule.next_after(at_us) if at_us is not None else None
        if at_us is None:
            break
        slots.append(at_us)
    return slots


def mark_slots(
    schedule: Schedule, zone: ZoneInfo, from_us: int, slots: list[int]
) -> list[tuple[int, str]]:
    """Slots that follow an instant and each other, with their marks."""
    table = schedule if isinstance(schedule, Timetable) else None
    rule = table.rule if table else schedule
    rules = list(rule.rules) if isinstance(rule, AnyOf) else [rule]
    clocks = [part for part in rules if isinstance(part, Cron | OnCalendar) and part.zone == zone]
    marked: list[tuple[int, str]] = []
    before_us = from_us
    for slot_us in slots:
        first_us = max(min(before_us, slot_us - DAY_US), slot_us - _LOOK_BACK_US)
        marks: list[str] = []
        for change in changes_between(zone, first_us, slot_us + DAY_US):
            missed_us = _missed(clocks, change) if change.forward else None
            if missed_us is not None and table and not table.allows(missed_us):
                missed_us = None
            passed = before_us < change.at_us < slot_us
            marks.append(_mark(clocks, zone, change, slot_us, missed_us if passed else None))
            if slot_us == change.at_us and missed_us is not None:
                marks[-1] = _moved(clocks, change, missed_us)
        marked.append((slot_us, "; ".join(mark for mark in marks if mark)))
        before_us = slot_us
    return marked


def _mark(
    clocks: list[Clock], zone: ZoneInfo, change: Change, slot_us: int, left_out_us: int | None
) -> str:
    """What a change says to a slot; `left_out_us` is a wall time that did not come before it."""
    wall_us = wall_of(slot_us, zone)
    today = wall_us // DAY_US
    on_day = today in {change.before_us // DAY_US, change.after_us // DAY_US}
    if left_out_us is not None and not (on_day and _all_follow(clocks)):
        day = wall_text(left_out_us, _DAY)
        return f"left out: {wall_text(left_out_us)} does not exist on {day}"
    if change.after_us <= wall_us < change.before_us and abs(slot_us - change.at_us) < DAY_US:
        which = "first" if slot_us < change.at_us else "second"
        return f"{wall_text(wall_us)} comes twice on this day: the {which} one"
    if not on_day:
        return ""
    way = "forward" if change.forward else "back"
    return f"clock goes {way} at {wall_text(change.before_us)}"


def _moved(clocks: list[Clock], change: Change, missed_us: int) -> str:
    if any(_first_wall(rule, change.after_us) == change.after_us for rule in clocks):
        return f"clock goes forward at {wall_text(change.before_us)}"
    return f"moved: {wall_text(missed_us)} does not exist on this day"


def _missed(clocks: list[Clock], change: Change) -> int | None:
    """The first wall time that some rule names and the change leaves out."""
    named = [_first_wall(rule, change.before_us) for rule in clocks]
    return min((at for at in named if at is not None and at < change.after_us), default=None)


def _first_wall(rule: Clock, least_us: int) -> int | None:
    if isinstance(rule, OnCalendar):
        return next_wall(rule.expression, least_us)
    found = rule.fields.first_wall(-(-least_us // SECOND_US))
    return None if found is None else found * SECOND_US


def _all_follow(clocks: list[Clock]) -> bool:
    """Whether every rule goes by the clock on the wall, so that a skipped hour is no surprise."""
    return all(isinstance(rule, Cron) and rule.fields.wildcard for rule in clocks)
