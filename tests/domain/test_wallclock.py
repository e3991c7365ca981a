"""Changes of the clock, one by one, and what holds for every question. Dates are wall times."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import LAST_US, SECOND_US, from_datetime, to_datetime
from cronherd.domain.timing.cron import Cron, make_cron
from cronherd.domain.timing.cronexpr import read_cron
from cronherd.domain.timing.cronfields import CronFields, DayRule, mismatch
from cronherd.domain.timing.wallclock import FOLDS, GAPS, next_match
from cronherd.domain.timing.zoneclock import ZoneClock
from tests.domain.cron_lines import cron_lines

ZONES = (
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kolkata"),
    *("Africa/Casablanca", "Antarctica/Troll", "Europe/Dublin", "Africa/Monrovia", "UTC"),
)
MOST_OFFSETS = 6_000  # some 6 ms
MOST_MONTHS = 500
EARLY = datetime(1971, 1, 1, tzinfo=UTC)
LATE = datetime(2090, 1, 1, tzinfo=UTC)


def slots(schedule: Cron, day: str, count: int) -> list[str]:
    """So many slots from a local midnight on, as wall times with their offsets."""
    at = from_datetime(datetime.fromisoformat(day).replace(tzinfo=schedule.zone)) - 1
    found: list[str] = []
    for _ in range(count):
        following = schedule.next_after(at)
        assert following is not None
        found.append(to_datetime(following, schedule.zone).strftime("%d %H:%M:%S %z"))
        at = following
    return found


SPRING, AUTUMN = "2027-03-28", "2027-10-31"


@pytest.mark.parametrize(
    ("line", "gap", "expected"),
    [
        ("30 2 * * *", "after", ["28 03:00:00 +0200", "29 02:30:00 +0200"]),
        ("30 2 * * *", "skip", ["29 02:30:00 +0200", "30 02:30:00 +0200"]),
        # Several in one gap are one slot, also with what is due at that instant anyhow.
        ("0,20,40 2,3 * * *", "after", ["28 03:00:00 +0200", "28 03:20:00 +0200"]),
        ("0,20,40 2,3 * * *", "skip", ["28 03:00:00 +0200", "28 03:20:00 +0200"]),
        ("15,45 2 * * *", "after", ["28 03:00:00 +0200", "29 02:15:00 +0200"]),
        ("59 1-2 * * *", "after", ["28 01:59:00 +0100", "28 03:00:00 +0200"]),
        ("0 3 * * *", "after", ["28 03:00:00 +0200", "29 03:00:00 +0200"]),
        # A wildcard follows the clock, whatever was chosen.
        (
            "*/30 1-3 * * *",
            "after",
            ["28 01:00:00 +0100", "28 01:30:00 +0100", "28 03:00:00 +0200"],
        ),
        ("*/30 2 * * *", "skip", ["29 02:00:00 +0200"]),
        ("30 * * * *", "after", ["28 00:30:00 +0100", "28 01:30:00 +0100", "28 03:30:00 +0200"]),
    ],
)
def test_a_gap_of_an_hour(line: str, gap: str, expected: list[str]):
    for fold in FOLDS:
        schedule = make_cron(line, ZoneInfo("Europe/Berlin"), gap=gap, fold=fold)
        assert slots(schedule, SPRING, len(expected)) == expected


@pytest.mark.parametrize(
    ("line", "fold", "expected"),
    [
        ("30 2 * * *", "first", ["31 02:30:00 +0200", "01 02:30:00 +0100"]),
        ("30 2 * * *", "both", ["31 02:30:00 +0200", "31 02:30:00 +0100", "01 02:30:00 +0100"]),
        (
            "0,30 2,3 * * *",
            "first",
            ["31 02:00:00 +0200", "31 02:30:00 +0200", "31 03:00:00 +0100"],
        ),
        ("30 2 * * *", "both", ["31 02:30:00 +0200", "31 02:30:00 +0100"]),
        ("0 3 * * *", "both", ["31 03:00:00 +0100", "01 03:00:00 +0100"]),
        ("*/30 2 * * *", "first", [f"31 02:{m}:00 +0{h}00" for h in (2, 1) for m in ("00", "30")]),
        ("30 * * * *", "first", ["31 00:30:00 +0200", "31 01:30:00 +0200", "31 02:30:00 +0200",
                                 "31 02:30:00 +0100", "31 03:30:00 +0100"]),
    ],
)  # fmt: skip
def test_a_fold_of_an_hour(line: str, fold: str, expected: list[str]):
    for gap in GAPS:
        schedule = make_cron(line, ZoneInfo("Europe/Berlin"), gap=gap, fold=fold)
        assert slots(schedule, AUTUMN, len(expected)) == expected


@pytest.mark.parametrize(
    ("zone", "day", "line", "gap", "fold", "expected"),
    [
        # Half an hour: 02:00 becomes 02:30 in October, and 01:30 in April.
        ("Australia/Lord_Howe", "2027-10-03", "15 2 * * *", "after", "first",
         ["03 02:30:00 +1100", "04 02:15:00 +1100"]),
        ("Australia/Lord_Howe", "2027-10-03", "*/10 2 * * *", "after", "first",
         ["03 02:30:00 +1100", "03 02:40:00 +1100"]),
        ("Australia/Lord_Howe", "2027-04-04", "45 1 * * *", "after", "both",
         ["04 01:45:00 +1100", "04 01:45:00 +1030"]),
        # Two hours: 01:00 becomes 03:00.
        ("Antarctica/Troll", "2027-03-28", "15 1,2 * * *", "after", "first",
         ["28 03:00:00 +0200", "29 01:15:00 +0200"]),
        # A whole day that never was: its times come at the beginning of the next.
        ("Pacific/Apia", "2011-12-29", "0 12 * * *", "after", "first",
         ["29 12:00:00 -1000", "31 00:00:00 +1400", "31 12:00:00 +1400"]),
        ("Pacific/Apia", "2011-12-29", "0 12 * * *", "skip", "first",
         ["29 12:00:00 -1000", "31 12:00:00 +1400"]),
        ("Pacific/Apia", "2011-12-29", "0 12 30 12 *", "after", "first",
         ["31 00:00:00 +1400", "30 12:00:00 +1400"]),
        ("Pacific/Apia", "2011-12-29", "0 */12 * * *", "after", "first",
         ["29 00:00:00 -1000", "29 12:00:00 -1000", "31 00:00:00 +1400"]),
        # Summer time is the ordinary one in Ireland, winter time the one with an offset below.
        ("Europe/Dublin", "2027-10-31", "30 1 * * *", "after", "first",
         ["31 01:30:00 +0100", "01 01:30:00 +0000"]),
        # In Ramadan the clock goes back first, and forward a month later.
        ("Africa/Casablanca", "2027-02-07", "30 2 * * *", "after", "both",
         ["07 02:30:00 +0100", "07 02:30:00 +0000"]),
        ("Africa/Casablanca", "2027-03-14", "30 2 * * *", "after", "first",
         ["14 03:00:00 +0100", "15 02:30:00 +0100"]),
        # Until 1972 the clock was 44 minutes and 30 seconds behind.
        ("Africa/Monrovia", "1972-01-06", "30 0 * * *", "after", "first",
         ["06 00:30:00 -004430", "07 00:44:30 +0000", "08 00:30:00 +0000"]),
    ],
)  # fmt: skip
def test_other_changes(zone: str, day: str, line: str, gap: str, fold: str, expected: list[str]):
    schedule = make_cron(line, ZoneInfo(zone), gap=gap, fold=fold)
    assert slots(schedule, day, len(expected)) == expected


def test_a_line_that_every_change_swallows_has_no_next_slot():
    """02:30 of the last Sunday in March, the very hour that Berlin's clocks leave out."""
    for line, gap in (("*/30 2 25-31 3 */7", "after"), ("30 2 25-31 3 */7", "skip")):
        schedule = make_cron(line, ZoneInfo("Europe/Berlin"), gap=gap)
        assert schedule.next_after(from_datetime(datetime(2027, 1, 1, tzinfo=UTC))) is None
    schedule = make_cron("30 2 25-31 3 */7", ZoneInfo("Europe/Berlin"))
    assert slots(schedule, "2027-01-01", 2) == ["28 03:00:00 +0200", "26 03:00:00 +0200"]


def test_it_ends_before_datetime_does():
    for zone in ZONES:
        schedule = make_cron("0 0 29 2 *", ZoneInfo(zone))
        assert schedule.next_after(LAST_US) is None
        assert schedule.next_after(LAST_US - 800 * 86_400 * SECOND_US) is None
        assert schedule.next_after(-(10**18)) is not None


@pytest.mark.parametrize("options", [{"gap": "before"}, {"fold": "second"}, {"seconds": "third"}])
def test_an_unknown_word_is_refused(options: dict[str, str]):
    with pytest.raises(Invalid) as refused:
        make_cron("30 2 * * *", ZoneInfo("UTC"), **options)
    assert next(iter(options.values())) in refused.value.text


def test_jobs_that_share_a_schedule_share_its_answers(monkeypatch: pytest.MonkeyPatch):
    zone = ZoneInfo("Europe/Berlin")
    schedule = make_cron("17 4 * * THU", zone, key="a")
    assert make_cron("17 4 * * THU", zone, key="b") is schedule
    drawn = {make_cron("H 4 * * *", zone, key=key).next_after(0) for key in map(str, range(50))}
    assert len(drawn) > 20
    first = schedule.next_after(0)
    monkeypatch.setattr("cronherd.domain.timing.cron.next_match", None)
    assert schedule.next_after(0) == first


# ---------------------------------------------------------------- what does not match


@pytest.mark.parametrize(
    ("line", "wall", "expected"),
    [
        ("30 2 * * *", "2027-03-28 02:30", []),
        ("30 2 * * *", "2027-03-28 03:00", ["minute", "hour"]),
        ("30 2 * * *", "2027-03-28 02:30:01", ["second"]),
        ("30 2 L * *", "2027-02-27 02:30", ["day of month"]),
        ("30 2 15W 5 *", "2027-05-14 02:30", []),
        ("30 2 15W 5 *", "2027-05-15 02:30", ["day of month"]),
        ("30 2 * 3 *", "2027-04-01 02:30", ["month"]),
        ("30 2 * * 1", "2027-03-28 02:30", ["day of week"]),
        # Either of the two would do, so both are in the way or none.
        ("30 2 1 * 1", "2027-03-28 02:30", ["day of month", "day of week"]),
        ("30 2 28 * 1", "2027-03-28 02:30", []),
        ("30 2 */2 * 1", "2027-03-28 02:30", ["day of month", "day of week"]),
        ("30 2 */9 * 1", "2027-03-28 02:30", ["day of week"]),
        ("0 0 1 2 *", "2027-03-28 02:30", ["minute", "hour", "day of month", "month"]),
    ],
)
def test_it_names_the_fields_in_the_way(line: str, wall: str, expected: list[str]):
    assert mismatch(read_cron(line), datetime.fromisoformat(wall)) == expected


# ---------------------------------------------------------------- properties


def readable(count: int, *, seconds: bool) -> list[CronFields]:
    found: list[CronFields] = []
    for asked in cron_lines(77, count, seconds=seconds):
        try:
            found.append(read_cron(asked.line, seconds=asked.seconds, key=asked.key))
        except Invalid as refused:
            if refused.code != "never_fires":
                raise
    return found


FIELDS = st.sampled_from([*readable(300, seconds=False), *readable(100, seconds=True)])
MOMENTS = st.datetimes(
    EARLY.replace(tzinfo=None), LATE.replace(tzinfo=None), timezones=st.just(UTC)
).map(from_datetime)


@settings(max_examples=150, deadline=None)
@given(
    FIELDS,
    st.sampled_from(ZONES).map(ZoneInfo),
    MOMENTS,
    st.sampled_from(GAPS),
    st.sampled_from(FOLDS),
)
def test_slots_are_later_reproducible_and_nothing_lies_between(
    fields: CronFields, zone: ZoneInfo, at: int, gap: str, fold: str
):
    for _ in range(4):
        slot = next_match(fields, zone, at, gap=gap, fold=fold)  # type: ignore[arg-type]
        if slot is None:
            return
        assert slot > at
        assert slot % SECOND_US == 0
        for between in (slot - 1, (at + slot) // 2, at + 1):
            if at <= between < slot:
                again = next_match(fields, zone, between, gap=gap, fold=fold)  # type: ignore[arg-type]
                assert again == slot
        if fields.wildcard or gap == "skip":
            assert mismatch(fields, to_datetime(slot, zone)) == []
        at = slot


@pytest.mark.parametrize(
    ("line", "zone", "gap"),
    [
        ("0 0 29 2 */6,5", "Europe/Berlin", "after"),  # 29 February on a Friday, or so
        ("0 0 29 2 *", "Pacific/Apia", "after"),
        ("0 0 29 2 1", "UTC", "after"),
        ("0 0 */31 */12 */7,4#5", "America/New_York", "after"),
        ("0 0 L-30 * */6", "Australia/Lord_Howe", "after"),
        ("*/30 2 25-31 3 */7", "Europe/Berlin", "after"),  # every change swallows it
        ("30 2 25-31 3 */7", "Europe/Berlin", "skip"),
        ("30 2 8-14 3 */7", "America/New_York", "skip"),
    ],
)
def test_the_search_is_bounded(line: str, zone: str, gap: str, monkeypatch: pytest.MonkeyPatch):
    """What is counted is what costs; the bench `next` tells the milliseconds."""
    looks: Counter[str] = Counter()
    for owner, name in ((ZoneClock, "_offset"), (DayRule, "of_month")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name), looks))
    fields = read_cron(line)
    for year in (2027, 2080, 2097):
        looks.clear()
        start = from_datetime(datetime(year, 3, 1, tzinfo=UTC))
        next_match(fields, ZoneInfo.no_cache(zone), start, gap=gap)  # type: ignore[arg-type]
        assert 0 < looks["_offset"] <= MOST_OFFSETS
        assert 0 < looks["of_month"] <= MOST_MONTHS


def counted(function: Callable[..., int], looks: Counter[str]) -> Callable[..., int]:
    def count(*arguments: object) -> int:
        looks[function.__name__] += 1
        return function(*arguments)

    return count
