"""Schedules: pure rules that, given an instant, tell the next one.

Each kind answers `next_after(instant) -> instant | None` in UTC microseconds: strictly later,
always the same answer for the same question, after a bounded search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from zoneinfo import ZoneInfo

from cronherd.domain.duration import format_duration, parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import (
    LAST_US,
    SECOND_US,
    format_instant,
    load_zone,
)
from cronherd.domain.timing.cron import make_cron
from cronherd.domain.timing.frame import PLAIN, Frame, parse_instants
from cronherd.domain.timing.oncalendar import make_oncalendar
from cronherd.domain.timing.reboot import Reboot
from cronherd.domain.timing.rule import Plain, Schedule
from cronherd.domain.timing.timetable import Timetable

__all__ = ["After", "AnyOf", "At", "Every", "Frame", "Schedule", "parse_schedule"]

KINDS = ("cron", "every", "after", "at", "oncalendar")
MAX_ALTERNATIVES = 50  # a job with more schedules than that is several jobs
# What may stand beside a kind in a mapping.
_OPTIONS = {"cron": "seconds", "every": "phase"}
# A rule read again long after it was written may have had its last slot: so it is asked from the
# beginning. Some rules find nothing in the clocks of 1970 but do today.
_RECENT_US = 1_767_225_600 * SECOND_US  # 2026-01-01


@dataclass(frozen=True, slots=True)
class Every(Plain):
    """Multiples of a period since 1970, so that every node counts alike, moved by a phase."""

    period_us: int
    phase_us: int = 0

    @property
    def text(self) -> str:
        phase = f" phase {format_duration(self.phase_us)}" if self.phase_us else ""
        return f"every {format_duration(self.period_us)}{phase}"

    def next_after(self, after_us: int) -> int | None:
        passed = (after_us - self.phase_us) // self.period_us
        following = (passed + 1) * self.period_us + self.phase_us
        return following if following <= LAST_US else None


@dataclass(frozen=True, slots=True)
class After(Plain):
    """A delay counted from the end of the previous run; the first counts from the creation."""

    delay_us: int

    @property
    def text(self) -> str:
        return f"after {format_duration(self.delay_us)}"

    def next_after(self, after_us: int) -> int | None:
        """The slot that follows an *end* at `after_us`."""
        return after_us + self.delay_us


@dataclass(frozen=True, slots=True)
class At(Plain):
    """A few instants, in order."""

    instants: tuple[int, ...]

    @property
    def text(self) -> str:
        return f"at {', '.join(str(format_instant(at_us)) for at_us in self.instants)}"

    def next_after(self, after_us: int) -> int | None:
        return next((at_us for at_us in self.instants if at_us > after_us), None)


@dataclass(frozen=True, slots=True)
class AnyOf(Plain):
    """Several rules as one set: an instant that two of them name is one slot."""

    rules: tuple[Schedule, ...]

    @property
    def text(self) -> str:
        return " or ".join(rule.text for rule in self.rules)

    @property
    def at_boot(self) -> bool:
        return any(rule.at_boot for rule in self.rules)

    def next_after(self, after_us: int) -> int | None:
        instants = [rule.next_after(after_us) for rule in self.rules]
        return min((at_us for at_us in instants if at_us is not None), default=None)


def parse_schedule(
    spec: object, *, timezone: str, frame: Frame = PLAIN, now_us: int = 0
) -> Schedule:
    """Read the one grammar of schedules: a string, a mapping with one kind, or a list of those.

    Raises Invalid when it cannot be read or would never fire after `now_us`.
    """
    zone = load_zone(timezone)
    rule = _parse(spec, zone, frame)
    if isinstance(rule, After):
        if frame.limits:
            raise Invalid(
                "'after' counts from the end of a run: it has no window, excluding, start or end",
                code="bad_schedule",
            )
        return rule
    schedule = rule if not frame.limits else _framed(rule, zone, frame)
    if not schedule.at_boot and not _fires(schedule, now_us):
        raise Invalid(
            f"the schedule '{schedule.text}' never fires",
            code="never_fires",
            hint=_never(schedule, now_us),
        )
    return schedule


def canonical_schedule(spec: object) -> object:
    """The same rule in its shortest spelling: a string where there is one, or a list."""
    parts = [_spelling(part) for part in spec] if isinstance(spec, list | tuple) else None
    if parts is None:
        return _spelling(spec)
    flat: list[object] = []
    for part in parts:
        flat += part if isinstance(part, list) else [part]
    return flat


def shortest_distance(schedule: Schedule, after_us: int, count: int = 50) -> int | None:
    """The shortest time between any two of the next slots, None where there are not two."""
    shortest: int | None = None
    slot_us = schedule.next_after(after_us)
    for _ in range(count):
        following_us = None if slot_us is None else schedule.next_after(slot_us)
        if slot_us is None or following_us is None:
            break
        distance = following_us - slot_us
        shortest = distance if shortest is None else min(shortest, distance)
        slot_us = following_us
    return shortest


def _framed(rule: Schedule, zone: ZoneInfo, frame: Frame) -> Timetable:
    return Timetable(
        rule=rule,
        zone=zone,
        windows=frame.windows,
        excluding=frame.excluding,
        start_us=frame.start_us,
        end_us=frame.end_us,
    )


def _spelling(spec: object) -> object:
    if isinstance(spec, str):
        text = " ".join(spec.split())
        return text.lower() if text.lower() == "@reboot" else text
    if not isinstance(spec, Mapping):
        raise _bad(spec)
    kind, value, option = _one_kind(spec)
    if kind == "at" and isinstance(value, list | tuple):
        return [f"at {' '.join(str(part).split())}" for part in value]
    text = " ".join(str(value).split())
    if kind == "cron":
        return text if option is None else {"cron": text, "seconds": option}
    return f"{kind} {text}" if option is None else f"{kind} {text} phase {option}"


def _parse(spec: object, zone: ZoneInfo, frame: Frame) -> Schedule:
    if isinstance(spec, str):
        return _parse_text(spec, zone, frame.gap, frame.fold, frame.key)
    if isinstance(spec, Mapping):
        kind, value, option = _one_kind(spec)
        return _parse_kind(kind, value, zone, frame, option)
    if isinstance(spec, Sequence) and spec:
        if len(spec) > MAX_ALTERNATIVES:
            raise Invalid(
                f"a job has at most {MAX_ALTERNATIVES} schedules, and here are {len(spec):,}",
                code="bad_schedule",
                hint="make several jobs of it, or one schedule such as '0,20,40 8-18 * * *'",
            )
        rules = tuple(_parse(part, zone, frame) for part in spec)
        if len(rules) > 1 and any(isinstance(rule, After) for rule in rules):
            raise Invalid("'after' must be the only schedule of a job", code="bad_schedule")
        return rules[0] if len(rules) == 1 else AnyOf(rules)
    raise _bad(spec)


def _one_kind(spec: Mapping[object, object]) -> tuple[str, object, object]:
    """The kind, its value, and what stands beside it."""
    kinds = [str(key) for key in spec if key in KINDS]
    if len(kinds) != 1:
        odd = ", ".join(str(key)[:40] for key in spec if key not in KINDS)
        text = f"unknown schedule option '{odd}'" if odd else "a schedule has exactly one kind"
        raise Invalid(text, code="bad_schedule", hint=f"use one of {', '.join(KINDS)}")
    kind = kinds[0]
    option = _OPTIONS.get(kind)
    odd = ", ".join(str(key)[:40] for key in spec if key not in {kind, option})
    if odd:
        hint = f"beside {kind} may stand {option}" if option else f"{kind} stands alone"
        raise Invalid(f"unknown schedule option '{odd}'", code="bad_schedule", hint=hint)
    return kind, spec[kind], spec.get(option)


def _parse_text(text: str, zone: ZoneInfo, gap: str | None, fold: str | None, key: str) -> Schedule:
    word, _, rest = text.strip().partition(" ")
    if text.strip().lower() == "@reboot":
        return Reboot()
    frame = Frame(gap=gap, fold=fold, key=key)
    if word.lower() in KINDS and rest:
        return _parse_kind(word.lower(), rest.strip(), zone, frame)
    return _parse_kind("cron", text, zone, frame)


def _parse_kind(
    kind: str, value: object, zone: ZoneInfo, frame: Frame, option: object = None
) -> Schedule:
    if kind in {"cron", "oncalendar"} and isinstance(value, str):
        if kind == "oncalendar":
            return make_oncalendar(value, zone, gap=frame.gap, fold=frame.fold)
        seconds = None if option is None else str(option)
        gap, fold = frame.gap or "after", frame.fold or "first"
        return make_cron(value, zone, seconds=seconds, key=frame.key, gap=gap, fold=fold)
    if kind == "at":
        return _at(value, zone, frame)
    if kind == "every" and isinstance(value, str):
        value, _, phase = value.partition(" phase ")
        option = phase.strip() or option
    if kind in {"every", "after"} and isinstance(value, str | int | float):
        period_us = parse_duration(value)
        return _every(period_us, _phase(option)) if kind == "every" else After(period_us)
    raise _bad(value)


def _at(value: object, zone: ZoneInfo, frame: Frame) -> At:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not 0 < len(texts) <= MAX_ALTERNATIVES:
        raise _bad(value)
    found: set[int] = set()
    for text in texts:
        if not isinstance(text, str):
            raise _bad(text)
        found.update(parse_instants(text, zone, frame))
    return At(tuple(sorted(found)))


def _phase(option: object) -> int:
    if option is None:
        return 0
    if not isinstance(option, str | int | float):
        raise _bad(option)
    return parse_duration(option)


# Many jobs have the same rule; rules never change, so those jobs share one.
@lru_cache(maxsize=4_096)
def _every(period_us: int, phase_us: int) -> Every:
    if period_us < SECOND_US:
        raise Invalid("'every' needs at least one second", code="bad_schedule")
    if phase_us >= period_us:
        raise Invalid(
            f"the phase {format_duration(phase_us)} is not shorter than the period "
            f"{format_duration(period_us)}",
            code="bad_schedule",
        )
    return Every(period_us, phase_us)


def _fires(schedule: Schedule, now_us: int) -> bool:
    """Whether there is a slot after now; when nobody says what now is, whether there ever is."""
    probes = (now_us,) if now_us else (_RECENT_US, 0)
    return any(schedule.next_after(at_us) is not None for at_us in probes)


def _bad(spec: object) -> Invalid:
    return Invalid(
        f"'{str(spec)[:80]}' is not a schedule",
        code="bad_schedule",
        hint="write '30 2 * * *', 'every 10m', 'after 5m', 'at 2027-01-01 09:00' or "
        "'oncalendar Mon..Fri 09:00'",
    )


def _never(schedule: Schedule, now_us: int) -> str:
    if isinstance(schedule, Timetable):
        if schedule.end_us is not None and schedule.end_us <= now_us:
            return "its end has passed"
        if _fires(schedule.rule, now_us):
            return "its windows, exclusions, start and end leave nothing of it"
        return _never(schedule.rule, now_us)
    if isinstance(schedule, At):
        return "its instant has passed" if schedule.instants else "its time is left out by a clock"
    return "no day and time fits all of it"
