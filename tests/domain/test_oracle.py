"""Our cron schedules against the oracle, on every schedule of real crontabs, over 400 days."""

import os
import random
from collections.abc import Iterator
from datetime import date, datetime
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from cronherd.domain.crontab import Kind, guess_kind, parse_crontab
from cronherd.domain.timing.cronexpr import check_cron
from cronherd.domain.timing.schedule import parse_schedule
from tests.domain.oracle import MINUTE_US, Minutes, Span, expect_instants, make_span

OWN = Path(__file__).resolve().parents[1] / "crontabs"
HOST = (Path("/etc/crontab"), *sorted(Path("/etc/cron.d").glob("*")))
FIRST_DAY = date(2027, 1, 1)
DAYS = 400
ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]
# Midnight itself is skipped or repeated there, and Casablanca turns its clock back in spring.
ODD_ZONES = ["America/Santiago", "Africa/Cairo", "Asia/Beirut", "Africa/Casablanca"]
PROBES = 60  # random instants for each expression and zone
CHAIN = 410  # slots in a row from the first day on: all of them for a daily job
NEAR_CHANGE = 26 * 60  # minutes around a clock change in which every slot is asked for
MOST_NEAR_CHANGE = 120
# Nothing in the gap or the fold may depend on which crontabs are at hand.
ALWAYS = (
    *("30 2 * * *", "0,30 2 * * *", "*/15 2 * * *", "30 * * * *", "30 1 * * *", "*/20 * * * *"),
    *("* 5 * * *", "*/10 9-17 * * *", "5 */2 * * *", "0 0 * * *", "30 0 * * *", "*/10 0 * * *"),
    *("15 1-3 * * *", "59 23 * * *", "0 2 * * 0", "45 1,2 * * SUN", "0 0 29 2 *", "0 0 1,15 * 1"),
    *("0 0 L * *", "0 0 LW * *", "0 0 * * 5L", "0 0 * * MON#2", "0 0 */2 * 1", "0 0 1-7 * */7"),
)


def crontab_paths() -> Iterator[Path]:
    yield from sorted(OWN.glob("*.crontab"))
    yield from (path for path in HOST if path.is_file())
    corpus = os.environ.get("CRONHERD_CORPUS")
    if corpus:
        yield from sorted(Path(corpus).glob("*.crontab"))


def schedules_in(path: Path) -> Iterator[str]:
    text = path.read_bytes().decode("utf-8", "surrogateescape")
    both = {guess_kind(str(path), text), Kind.USER, Kind.SYSTEM}
    for kind in both:
        for entry in parse_crontab(text, kind, commented=True).entries:
            if entry.schedule != "@reboot":  # no instant: the oracle has nothing to say
                yield check_cron(entry.schedule)


@cache
def real_schedules() -> tuple[str, ...]:
    found = {check_cron(expression) for expression in ALWAYS}
    for path in crontab_paths():
        found.update(schedules_in(path))
    return tuple(sorted(found))


def questions(expected: Minutes, span: Span, seed: str) -> Minutes:
    """Instants to ask at, in minutes: slots in a row, around each clock change, and anywhere."""
    changes = span.utc[1:][np.diff(span.wall) != 1]
    near = np.concatenate(
        [expected[:CHAIN], expected[-2:]]
        + [thin(expected[np.abs(expected - change) < NEAR_CHANGE]) for change in changes]
        + [np.arange(change - 130, change + 130, 10) for change in changes]
    )
    pick = random.Random(seed)
    anywhere = [pick.randrange(int(span.utc[0]), int(span.utc[-1])) for _ in range(PROBES)]
    return np.unique(np.concatenate([near, anywhere]))


def thin(slots: Minutes) -> Minutes:
    return slots[:: len(slots) // MOST_NEAR_CHANGE + 1]


def disagreements(expression: str, zone: str, span: Span) -> Iterator[str]:
    expected = expect_instants(expression, span)
    schedule = parse_schedule(expression, timezone=zone)
    asked = questions(expected, span, f"{expression} {zone}")
    # A question too near the end of the span has its answer outside: not asked.
    places = np.searchsorted(expected, asked, side="right")
    inside = places < len(expected)
    for minute, place in zip(asked[inside], places[inside], strict=True):
        found = schedule.next_after(int(minute) * MINUTE_US)
        if found != expected[place] * MINUTE_US:
            after, right = show(int(minute), zone), show(int(expected[place]), zone)
            ours = show(found and found // MINUTE_US, zone)
            yield f"{expression} after {after}: {ours}, not {right}"


def show(minute: int | None, zone: str) -> str:
    if minute is None:
        return "never"
    return datetime.fromtimestamp(minute * 60, tz=ZoneInfo(zone)).isoformat()


@pytest.mark.parametrize("zone", [*ZONES, *ODD_ZONES])
def test_it_fires_when_debian_would(zone: str) -> None:
    span = make_span(FIRST_DAY, DAYS, ZoneInfo(zone))
    wrong = [line for expr in real_schedules() for line in disagreements(expr, zone, span)]
    assert not wrong, f"{len(wrong)} answers:\n" + "\n".join(wrong[:20])


def test_it_looks_at_the_crontabs_of_this_project() -> None:
    assert len(list(OWN.glob("*.crontab"))) >= 8
    assert len(real_schedules()) >= 60


def slots_on(expression: str, zone: str, day: date) -> list[str]:
    span = make_span(day, 1, ZoneInfo(zone))
    return [show(int(minute), zone)[11:] for minute in expect_instants(expression, span)]


SPRING, AUTUMN = date(2027, 3, 28), date(2027, 10, 31)


@pytest.mark.parametrize(
    ("expression", "day", "expected"),
    [
        ("30 2 * * *", SPRING, ["03:00:00+02:00"]),
        ("0,30 2 * * *", SPRING, ["03:00:00+02:00"]),
        ("30 2 * * *", AUTUMN, ["02:30:00+02:00"]),
        ("30 1-3 * * *", SPRING, ["01:30:00+01:00", "03:00:00+02:00", "03:30:00+02:00"]),
        ("*/30 2 * * *", SPRING, []),
        ("*/30 2 * * *", AUTUMN, [f"02:{m}:00+0{h}:00" for h in (2, 1) for m in ("00", "30")]),
    ],
)
def test_it_holds_an_oracle_that_knows_the_clock_changes(
    expression: str, day: date, expected: list[str]
) -> None:
    assert slots_on(expression, "Europe/Berlin", day) == expected


@pytest.mark.parametrize(
    ("expression", "days"),
    [
        ("0 0 1,15 * 1", [1, 4, 11, 15, 18, 25]),
        ("0 0 */10 * 1", [11]),
        ("0 0 1-7 * */7", [3]),
        ("0 0 L * *", [31]),
        ("0 0 LW * *", [29]),
        ("0 0 * * 5L", [29]),
        ("0 0 * * MON#2", [11]),
        ("0 0 * * 5-7", [1, 2, 3, 8, 9, 10, 15, 16, 17, 22, 23, 24, 29, 30, 31]),
        ("0 0 31 feb,jan *", [31]),
    ],
)
def test_it_holds_an_oracle_that_knows_vixies_days(expression: str, days: list[int]) -> None:
    span = make_span(date(2027, 1, 1), 31, ZoneInfo("UTC"))
    starts = expect_instants(expression, span) - span.utc[0]
    assert [int(start) // 1_440 + 1 for start in starts] == days
