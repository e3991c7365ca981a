"""Generated cron lines against the oracle: each zone, both policies, around everything odd.

The long form asks at least 200 times for each of 2,000 lines in each zone.
"""

import random
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from cronsim import CronSim

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import from_datetime, to_datetime
from cronherd.domain.timing.cron import Cron, make_cron
from cronherd.domain.timing.cronexpr import check_cron
from tests.domain.cron_lines import cron_lines
from tests.domain.oracle import (
    Minutes,
    Question,
    Span,
    expect_instants,
    make_span,
    match_days,
    span_of,
)
from tests.domain.restless import restless_zone

DAYS = 1_100
# Three years with a leap day; Apia's have no 30 December 2011.
FIRST_DAYS = {
    "Europe/Berlin": date(2027, 1, 1),
    "America/New_York": date(2027, 1, 1),
    "Australia/Lord_Howe": date(2027, 1, 1),  # half an hour
    "Pacific/Apia": date(2010, 6, 1),
    "Asia/Kolkata": date(2027, 1, 1),
    "Africa/Casablanca": date(2027, 1, 1),  # back in spring, forward in summer
    "Antarctica/Troll": date(2027, 1, 1),  # two hours
}
MORE_ZONES = ("Europe/Dublin", "America/Santiago", "Africa/Cairo", "America/Nuuk")
LINES, FEW_LINES, WALKS = 2_000, 20, 100
SEED = 20_270_328
LEAST_PROBES = 200
OURS_ALONE = re.compile(r"[~?]|[Hh](,|/|\(| |$)|\dW|L-")
POLICIES = (("after", "first"), ("skip", "both"))
# Zones whose clocks were once off by odd seconds, the changes that ended it, and other odd ones.
SECOND_SPANS = (
    ("Africa/Monrovia", datetime(1972, 1, 7, tzinfo=UTC)),
    ("Europe/Dublin", datetime(1916, 5, 21, tzinfo=UTC)),  # DST over an offset of -0:25:21
    ("Europe/Dublin", datetime(1916, 10, 1, tzinfo=UTC)),
    ("Europe/Amsterdam", datetime(1937, 7, 1, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2027, 3, 28, tzinfo=UTC)),
    ("Europe/Berlin", datetime(2027, 10, 31, tzinfo=UTC)),
    ("Australia/Lord_Howe", datetime(2027, 4, 3, tzinfo=UTC)),
    ("Pacific/Apia", datetime(2011, 12, 30, tzinfo=UTC)),
    ("Pacific/Kwajalein", datetime(1993, 8, 21, tzinfo=UTC)),
)


@cache
def span_in(zone: str) -> Span:
    return make_span(FIRST_DAYS.get(zone, date(2027, 1, 1)), DAYS, ZoneInfo(zone))


def build(asked: Question, zone: str | ZoneInfo) -> Cron | None:
    """None for a line that never fires."""
    try:
        return make_cron(
            asked.line,
            ZoneInfo(zone) if isinstance(zone, str) else zone,
            seconds=asked.seconds,
            key=asked.key,
            gap=asked.gap,
            fold=asked.fold,
        )
    except Invalid as refused:
        if refused.code != "never_fires":
            raise
        return None


@cache
def odd_moments(zone: str) -> Minutes:
    """Around each clock change, and where months, years and 29 February begin and end."""
    span = span_in(zone)
    changes = span.utc[1:][np.diff(span.wall) != 1]
    near = [np.arange(change - 200, change + 200, 10) for change in changes]
    first, last = (
        np.datetime64(int(wall), "m").astype("datetime64[M]").astype(int)
        for wall in span.wall[[0, -1]]
    )
    months = np.arange(first + 1, last).astype("datetime64[M]").astype("datetime64[m]").astype(int)
    starts = span.utc[np.searchsorted(span.highest, months)]
    edges = [starts - 1, starts, starts - 1_440, starts + 719]
    return np.unique(np.concatenate([*near, *edges]))


def probes(asked: Question, expected: Minutes, zone: str) -> Minutes:
    span = span_in(zone)
    rng = random.Random(f"{asked.line} {zone}")
    anywhere = [rng.randrange(int(span.utc[0]), int(span.utc[-1])) for _ in range(120)]
    some = expected[:: len(expected) // 60 + 1]
    found = np.unique(np.concatenate([odd_moments(zone), anywhere, some, some - 1, expected[:20]]))
    inside: Minutes = found[(found >= span.utc[0]) & (found < span.utc[-1])]
    return inside


def faults(
    asked: Question, schedule: Cron | None, span: Span, expected: Minutes, moments: Minutes
) -> Iterator[str]:
    if schedule is None:
        if len(expected):
            yield f"{asked} is refused and fires {len(expected)} times"
        return
    places = np.searchsorted(expected, moments, side="right")
    for moment, place in zip(moments.tolist(), places.tolist(), strict=True):
        found = schedule.next_after(moment * span.step_us)
        if place < len(expected):
            right = found == int(expected[place]) * span.step_us
        else:  # its answer lies behind the span
            right = found is None or found > int(span.utc[-1]) * span.step_us
        if not right:
            wanted = show(expected[place], span) if place < len(expected) else "later"
            ours = "never" if found is None else show(found // span.step_us, span)
            yield f"{asked} in {schedule.zone} after {show(moment, span)}: {ours}, not {wanted}"


def show(moment: int, span: Span) -> str:
    return datetime.fromtimestamp(int(moment) * span.step, UTC).isoformat()


def compare(lines: Iterable[Question], zone: str) -> None:
    wrong: list[str] = []
    span = span_in(zone)
    for asked in lines:
        expected = expect_instants(asked, span)
        moments = probes(asked, expected, zone)
        assert len(moments) >= LEAST_PROBES
        wrong += faults(asked, build(asked, zone), span, expected, moments)
        if len(wrong) > 20:
            break
    assert not wrong, "\n".join(wrong[:20])


def with_policies(lines: Iterable[Question]) -> Iterator[Question]:
    for asked in lines:
        for gap, fold in POLICIES:
            yield Question(line=asked.line, key=asked.key, gap=gap, fold=fold)


@pytest.mark.parametrize("zone", [*FIRST_DAYS, *MORE_ZONES])
def test_generated_lines_fire_when_the_oracle_says(zone: str):
    compare(cron_lines(SEED, FEW_LINES), zone)


@pytest.mark.full
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("zone", FIRST_DAYS)
@pytest.mark.parametrize("part", range(4))
def test_two_thousand_lines_fire_when_the_oracle_says(zone: str, part: int):
    compare(with_policies(cron_lines(SEED + 1 + part, LINES // 4)), zone)


@pytest.mark.full
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("part", range(4))
def test_a_walk_through_three_years_meets_every_slot_and_no_other(part: int):
    for number, asked in enumerate(cron_lines(SEED + 9 + part, WALKS // 4)):
        zone = list(FIRST_DAYS)[number % len(FIRST_DAYS)]
        walk(asked, zone, span_in(zone))


@pytest.mark.parametrize("zone", FIRST_DAYS)
def test_a_walk_meets_every_slot_of_a_schedule_that_changes_touch(zone: str):
    for line in ("30 2 * * *", "*/30 0-3 * * *", "15,45 1-3 * * *", "0 0 * * *"):
        for gap, fold in POLICIES:
            walk(Question(line=line, gap=gap, fold=fold), zone, span_in(zone))


def walk(asked: Question, zone: str, span: Span) -> None:
    expected = expect_instants(asked, span)
    schedule = build(asked, zone)
    if schedule is None:
        assert not len(expected)
        return
    at = int(span.utc[0]) * span.step_us - 1
    for wanted in expected.tolist():
        assert schedule.next_after(at) == wanted * span.step_us, f"{asked} in {zone} after {at}"
        at = wanted * span.step_us
    after = schedule.next_after(at)
    assert after is None or after > int(span.utc[-1]) * span.step_us


def in_seconds(zone: str, midnight: datetime, lines: Iterable[Question]) -> None:
    start_s = int((midnight - timedelta(days=1)).timestamp())
    span = span_of(start_s, start_s + 3 * 86_400, ZoneInfo(zone), step=1)
    changes = span.utc[1:][np.diff(span.wall) != 1]
    rng = random.Random(zone)
    for asked in lines:
        expected = expect_instants(asked, span)
        near = [change + rng.randrange(-9_000, 9_000) for change in changes for _ in range(60)]
        anywhere = [rng.randrange(start_s, start_s + 2 * 86_400) for _ in range(120)]
        some = expected[:: len(expected) // 40 + 1]
        moments = np.unique(np.concatenate([changes - 1, changes, near, anywhere, some]))
        moments = moments[(moments >= start_s) & (moments < start_s + 3 * 86_400)]
        wrong = list(faults(asked, build(asked, zone), span, expected, moments))
        assert not wrong, "\n".join(wrong[:10])


@pytest.mark.parametrize(("zone", "midnight"), SECOND_SPANS)
def test_six_fields_and_offsets_of_odd_seconds_agree_with_the_oracle(zone: str, midnight: datetime):
    in_seconds(zone, midnight, cron_lines(SEED, 25, seconds=True))
    in_seconds(zone, midnight, cron_lines(SEED + 1, 15))


@pytest.mark.full
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(("zone", "midnight"), SECOND_SPANS)
def test_many_lines_of_six_fields_agree_with_the_oracle(zone: str, midnight: datetime):
    in_seconds(zone, midnight, cron_lines(SEED + 2, 400, seconds=True))


@pytest.mark.parametrize("seed", range(12))
def test_clocks_that_never_rest_agree_with_the_oracle(seed: int):
    start_s = 1_800_000_000 // 86_400 * 86_400
    zone = restless_zone(seed, start_s - 3 * 86_400, start_s + 20 * 86_400)
    span = span_of(start_s - 3 * 86_400, start_s + 26 * 86_400, zone, step=60)
    changes = span.utc[1:][np.diff(span.wall) != 1]
    assert len(changes) >= 6
    for asked in with_policies(cron_lines(SEED + seed, 12)):
        schedule = build(asked, zone)
        expected = expect_instants(asked, span)
        moments = np.unique(np.concatenate([changes - 1, changes, changes + 30, expected[:200]]))
        moments = moments[(moments >= span.utc[0] + 1_440) & (moments < span.utc[-1])]
        wrong = list(faults(asked, schedule, span, expected, moments))
        assert not wrong, "\n".join(wrong[:10])


def test_rare_days_are_found_in_a_century_and_others_are_refused():
    days = np.arange(0, 36_525 + 400)
    rng = random.Random(SEED)
    asked_of = [Question(line=line.line, key=line.key) for line in cron_lines(SEED + 3, 150)] + [
        Question(line=f"0 0 {date} 2 *") for date in ("29", "30", "L-28", "L-29", "30W", "29W")
    ]
    asked_of += [Question(line=f"0 0 29 2 */{n}") for n in range(1, 8)]
    asked_of += [Question(line=f"0 0 */{n} * 1#{m}") for n in (14, 15, 28, 30) for m in range(1, 6)]
    for asked in asked_of:
        hits = np.flatnonzero(match_days(asked, days))
        schedule = build(asked, "UTC")
        if schedule is None:
            assert not len(hits), asked
            continue
        for day in (0, *(rng.randrange(25_000) for _ in range(5))):
            found = schedule.next_after(day * 86_400_000_000 - 1)
            assert found is not None
            assert found // 86_400_000_000 == hits[np.searchsorted(hits, day)], f"{asked} {day}"


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata"])
def test_a_library_agrees_on_plain_lines(zone: str):
    """A third opinion, where it can have one: no half hours, and none of our own words."""
    rng = random.Random(SEED)
    asked = 0
    for question in cron_lines(SEED + 4, 300):
        if OURS_ALONE.search(question.line):
            continue
        schedule = build(Question(line=question.line), zone)
        if schedule is None:
            continue
        for _ in range(8):
            at = datetime.fromtimestamp(rng.randrange(1_790_000_000, 1_990_000_000), ZoneInfo(zone))
            found = schedule.next_after(from_datetime(at))
            assert found is not None
            theirs = next(CronSim(check_cron(question.line), at))
            assert to_datetime(found, schedule.zone) == theirs, f"{question.line} after {at}"
            asked += 1
    assert asked > 200


def test_the_oracle_gets_lines_of_every_kind():
    lines = [asked.line for asked in cron_lines(SEED + 1, LINES // 4)]
    for mark in (
        "*",
        "/",
        "-",
        ",",
        "L",
        "LW",
        "5W",
        "L-3",
        "#2",
        "5L",
        "?",
        "~",
        "H(",
        "H/",
        "FEB",
    ):
        assert sum(mark in line for line in lines) >= 5, mark
