"""Why an instant is no slot: the field, window, exclusion or bound that leaves it out."""

from dataclasses import dataclass
from enum import StrEnum

from cronherd.domain.instant import SECOND_US, format_instant, to_datetime
from cronherd.domain.timing.changes import wall_of, wall_text
from cronherd.domain.timing.cron import Cron
from cronherd.domain.timing.cronfields import mismatch
from cronherd.domain.timing.reboot import Reboot
from cronherd.domain.timing.rule import Schedule
from cronherd.domain.timing.schedule import After, AnyOf, Every
from cronherd.domain.timing.timetable import Timetable


class Cut(StrEnum):
    """What leaves an instant out."""

    FIELD = "field"
    BETWEEN = "between"
    DATES = "dates"
    CLOCK = "clock"
    WINDOW = "window"
    EXCLUDED = "excluded"
    START = "before_start"
    END = "after_end"
    AFTER = "after"
    BOOT = "boot"


@dataclass(frozen=True, slots=True)
class Misfit:
    """What it is, and the words that say which: names of fields, a rule, an instant."""

    cut: Cut
    details: tuple[str, ...] = ()


def is_slot(schedule: Schedule, at_us: int) -> bool:
    """Whether it is a slot of a schedule whose slots do not count from an end."""
    return not isinstance(schedule, After) and schedule.next_after(at_us - 1) == at_us


def misfit(schedule: Schedule, at_us: int) -> Misfit:
    """What leaves out an instant that is no slot."""
    if isinstance(schedule, Timetable):
        return _of_table(schedule, at_us)
    if isinstance(schedule, AnyOf):
        # The one that is nearest to letting it through says most.
        return min((misfit(rule, at_us) for rule in schedule.rules), key=_distance)
    if isinstance(schedule, Cron):
        return _of_fields(schedule, at_us)
    if isinstance(schedule, After):
        return Misfit(Cut.AFTER)
    if isinstance(schedule, Reboot):
        return Misfit(Cut.BOOT)
    return Misfit(Cut.BETWEEN if isinstance(schedule, Every) else Cut.DATES)


def _of_table(table: Timetable, at_us: int) -> Misfit:
    if not is_slot(table.rule, at_us):
        return misfit(table.rule, at_us)
    if table.start_us is not None and at_us < table.start_us:
        return Misfit(Cut.START, (str(format_instant(table.start_us)),))
    if table.end_us is not None and at_us >= table.end_us:
        return Misfit(Cut.END, (str(format_instant(table.end_us)),))
    wall_us = wall_of(at_us, table.zone)
    if table.windows and not any(window.contains(wall_us) for window in table.windows):
        return Misfit(Cut.WINDOW, tuple(window.text for window in table.windows))
    taken = [rule.text for rule in table.excluding if rule.contains(wall_us)]
    return Misfit(Cut.EXCLUDED, tuple(taken)) if taken else Misfit(Cut.DATES)


def _of_fields(cron: Cron, at_us: int) -> Misfit:
    if at_us % SECOND_US:
        return Misfit(Cut.FIELD, ("second",))
    wall = to_datetime(at_us, cron.zone)
    names = mismatch(cron.fields, wall)
    if names:
        return Misfit(Cut.FIELD, tuple(names))
    # Each field fits: it is the second time that the clock shows it.
    return Misfit(Cut.CLOCK, (wall_text(wall_of(at_us, cron.zone)),))


def _distance(found: Misfit) -> int:
    return len(found.details) if found.cut is Cut.FIELD else 0 if found.cut is Cut.CLOCK else 9
