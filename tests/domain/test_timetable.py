"""Windows, exclusions, start and end around a rule: against a count minute by minute."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from time import perf_counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import DAY_US, format_instant, from_datetime, parse_instant
from cronherd.domain.timing.frame import read_frame
from cronherd.domain.timing.rule import Schedule
from cronherd.domain.timing.schedule import parse_schedule, shortest_distance

Meaning = Callable[[datetime], bool]
Rule = tuple[object, Meaning]
_DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
# Zones, and instants shortly before their clocks change.
CHANGES = [
    *(("Europe/Berlin", "2027-03-27"), ("Europe/Berlin", "2027-10-30")),
    *(("America/New_York", "2027-03-13"), ("America/New_York", "2027-11-06")),
    *(("Australia/Lord_Howe", "2027-04-03"), ("Australia/Lord_Howe", "2027-10-02")),
    *(("Africa/Casablanca", "2027-02-06"), ("Africa/Casablanca", "2027-03-13")),
    *(("Antarctica/Troll", "2027-03-27"), ("Antarctica/Troll", "2027-10-30")),
    *(("Asia/Kolkata", "2027-02-27"), ("Pacific/Apia", "2011-12-29")),
    ("America/Santiago", "2027-09-04"),  # at midnight
]


def test_the_zones_do_change_where_the_test_looks():
    for zone, day in CHANGES:
        start = datetime.fromisoformat(day).replace(tzinfo=UTC)
        offsets = {
            (start + timedelta(hours=hour)).astimezone(ZoneInfo(zone)).utcoffset()
            for hour in range(72)
        }
        assert len(offsets) == (1 if zone == "Asia/Kolkata" else 2), (zone, day)


# ---------------------------------------------------------------- rules and what they mean

minutes = st.integers(0, 1439)
around = st.sampled_from([0, 30, 60, 90, 119, 120, 121, 150, 179, 180, 181, 240, 1380, 1439])


def clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"


def daily(days: set[int], opens: int, closes: int) -> Rule:
    length = (closes - opens) % 1440 or 1440

    def holds(wall: datetime) -> bool:
        for back in (0, 1):
            day = wall.date() - timedelta(days=back)
            since = wall - datetime(day.year, day.month, day.day) - timedelta(minutes=opens)
            if day.weekday() in days and timedelta(0) <= since < timedelta(minutes=length):
                return True
        return False

    return f"{','.join(_DAYS[day] for day in days)} {clock(opens)}-{clock(closes)}", holds


def weekly(first: int, opens: int, last: int, closes: int) -> Rule:
    begins, ends = first * 1440 + opens, last * 1440 + closes

    def holds(wall: datetime) -> bool:
        at = wall.weekday() * 1440 + wall.hour * 60 + wall.minute
        return begins <= at < ends if begins < ends else (at >= begins or at < ends)

    return f"{_DAYS[first]} {clock(opens)} - {_DAYS[last]} {clock(closes)}", holds


def dated(begins: datetime, length: int) -> Rule:
    ends = begins + timedelta(minutes=length)
    text = f"{begins:%Y-%m-%d %H:%M} - {ends:%Y-%m-%d %H:%M}"
    return text, lambda wall: begins <= wall < ends


def yearly(first: date, length: int) -> Rule:
    last = first + timedelta(days=length)
    days = {first + timedelta(days=day) for day in range(length + 1)}
    named = {(day.month, day.day) for day in days}
    return f"{first:%m-%d} - {last:%m-%d}", lambda wall: (wall.month, wall.day) in named


def by_cron(every: int, hour: int) -> Rule:
    expression = f"*/{every} {hour}-{hour + 1} * * *"
    return {
        "cron": expression
    }, lambda wall: wall.minute % every == 0 and wall.hour in {hour, hour + 1}


def own(days: list[date]) -> Rule:
    return {"dates": [day.isoformat() for day in days]}, lambda wall: wall.date() in days


def dailies() -> st.SearchStrategy[Rule]:
    some = st.sets(st.integers(0, 6), min_size=1, max_size=7)
    pairs = st.tuples(minutes | around, minutes | around).filter(lambda pair: pair[0] != pair[1])
    return st.builds(lambda days, pair: daily(days, *pair), some, pairs)


def exclusions(start: datetime) -> st.SearchStrategy[Rule]:
    near = st.integers(-1440, 3 * 1440).map(lambda minute: start + timedelta(minutes=minute))
    day = st.integers(0, 6)
    weeks = st.tuples(day, minutes | around, day, minutes | around)
    return st.one_of(
        dailies(),
        weeks.filter(lambda four: four[:2] != four[2:]).map(lambda four: weekly(*four)),
        st.builds(dated, near, st.integers(1, 2 * 1440)),
        st.builds(yearly, near.map(datetime.date), st.integers(1, 3)),
        st.builds(by_cron, st.sampled_from([1, 7, 30]), st.integers(0, 22)),
        st.lists(near.map(datetime.date), min_size=1, max_size=3, unique=True).map(own),
    )


@settings(max_examples=120, deadline=None)
@given(place=st.sampled_from(CHANGES), more=st.data())
def test_its_slots_are_those_that_a_count_of_minutes_leaves(
    place: tuple[str, str], more: st.DataObject
):
    zone, day = place
    start = datetime.fromisoformat(day)
    windows = more.draw(st.lists(dailies(), max_size=2))
    excluding = more.draw(st.lists(exclusions(start), max_size=3))
    bounds = more.draw(st.tuples(st.booleans(), st.integers(0, 1440), st.integers(1441, 4000)))
    spec = more.draw(st.sampled_from(["every 1m", "every 7m", "*/20 * * * *", "30 */2 * * *"]))

    begins_us = from_datetime(start.replace(tzinfo=UTC))
    ends_us = begins_us + 3 * DAY_US
    said: dict[str, object] = {}
    if windows:
        said["window"] = [text for text, _ in windows]
    if excluding:
        said["excluding"] = [text for text, _ in excluding]
    least_us, end_us = begins_us, ends_us
    if bounds[0]:
        least_us, end_us = begins_us + bounds[1] * 60_000_000, begins_us + bounds[2] * 60_000_000
        said |= {"start": format_instant(least_us), "end": format_instant(end_us)}

    expected: list[int] = []
    removed: list[int] = []
    plain = parse_schedule(spec, timezone=zone)
    at_us = plain.next_after(begins_us)
    while at_us is not None and at_us <= ends_us:
        moment = datetime.fromtimestamp(at_us // 1_000_000, ZoneInfo(zone)).replace(tzinfo=None)
        is_open = not windows or any(holds(moment) for _, holds in windows)
        if is_open and (not bounds[0] or least_us <= at_us < end_us):
            gone = any(holds(moment) for _, holds in excluding)
            (removed if gone else expected).append(at_us)
        at_us = plain.next_after(at_us)

    code = ""
    schedule: Schedule | None = None
    try:
        schedule = parse_schedule(spec, timezone=zone, frame=read_frame(said, zone, ""))
    except Invalid as error:
        code = error.code
    if schedule is None:
        assert (code, expected) == ("never_fires", [])
        return
    found: list[int] = []
    at_us = schedule.next_after(begins_us)
    while at_us is not None and at_us <= ends_us:
        found.append(at_us)
        at_us = schedule.next_after(at_us)
    assert found == expected
    gone_us = schedule.excluded_between(begins_us, ends_us, 100_000)
    assert [slot_us for slot_us, _ in gone_us] == removed
    assert schedule.excluded_between(begins_us, ends_us, 2) == gone_us[:2]
    assert schedule.excludes is bool(excluding)


# ---------------------------------------------------------------- single answers


def answers(spec: object, now: str, count: int, **said: object) -> list[str | None]:
    frame = read_frame(said, "Europe/Berlin", "")
    at_us: int | None = parse_instant(now)
    schedule = parse_schedule(spec, timezone="Europe/Berlin", frame=frame, now_us=at_us or 0)
    found: list[str | None] = []
    while len(found) < count and at_us is not None:
        at_us = schedule.next_after(at_us)
        found.append(format_instant(at_us))
    return found


def test_start_belongs_to_it_and_end_does_not():
    said = {"start": "2027-01-01 10:00", "end": "2027-01-01 12:00"}
    assert answers("0 * * * *", "2026-06-01", 3, **said) == [
        *("2027-01-01T09:00:00Z", "2027-01-01T10:00:00Z", None)
    ]


def test_an_exclusion_over_the_second_pass_of_an_hour_leaves_the_first():
    """At 03:00 the clock goes back to 02:00; what is left out from 02:30 on is so twice."""
    found = answers("*/15 * * * *", "2027-10-30 23:55", 6, excluding="02:30-03:15")
    assert found == [
        *("2027-10-31T00:00:00Z", "2027-10-31T00:15:00Z"),  # 02:00 and 02:15 summer time
        *("2027-10-31T01:00:00Z", "2027-10-31T01:15:00Z"),  # the same, winter time
        *("2027-10-31T02:15:00Z", "2027-10-31T02:30:00Z"),
    ]


def test_it_names_the_rule_that_took_a_slot():
    frame = read_frame({"excluding": ["Sat-Sun", {"holidays": "DE"}]}, "UTC", "")
    schedule = parse_schedule("0 9 * * *", timezone="UTC", frame=frame)
    found = schedule.excluded_between(parse_instant("2026-12-24"), parse_instant("2026-12-28"), 9)
    assert [(format_instant(slot_us), rule) for slot_us, rule in found] == [
        ("2026-12-25T09:00:00Z", "holidays DE"),
        ("2026-12-26T09:00:00Z", "Sat,Sun"),
        ("2026-12-27T09:00:00Z", "Sat,Sun"),
    ]


@pytest.mark.parametrize(
    ("spec", "said", "hint"),
    [
        ("0 3 * * *", {"excluding": "02:00-04:00"}, "leave nothing of it"),
        ("0 3 * * *", {"window": "04:00-05:00"}, "leave nothing of it"),
        ("0 3 * * *", {"excluding": {"cron": "* 3 * * *"}}, "leave nothing of it"),
        ("0 3 * * *", {"end": "2026-12-31"}, "its end has passed"),
        ("0 0 1 1 *", {"start": "2027-02-01", "end": "2027-03-01"}, "leave nothing of it"),
        ("at 2026-06-01", {"window": "00:00-01:00"}, "its instant has passed"),
    ],
)
def test_what_leaves_nothing_is_refused_with_its_reason(
    spec: object, said: dict[str, object], hint: str
):
    with pytest.raises(Invalid) as caught:
        answers(spec, "2027-01-01", 1, **said)
    assert caught.value.code == "never_fires"
    assert hint in caught.value.hint


def test_a_rule_that_is_read_again_after_its_last_slot_is_still_one():
    frame = read_frame({"end": "2027-01-01", "excluding": "Sat"}, "UTC", "")
    assert (
        parse_schedule("0 3 * * *", timezone="UTC", frame=frame).next_after(
            parse_instant("2027-01-01")
        )
        is None
    )


def test_an_end_before_the_start_is_refused():
    with pytest.raises(Invalid, match="is not after its start"):
        read_frame({"start": "2027-01-02", "end": "2027-01-02"}, "UTC", "")


@pytest.mark.parametrize("name", ["window", "excluding", "start", "end"])
def test_after_takes_none_of_it(name: str):
    said = {"window": "01:00-02:00", "excluding": "Sat", "start": "2027-01-01", "end": "2027-01-01"}
    with pytest.raises(Invalid) as caught:
        answers("after 5m", "2026-01-01", 1, **{name: said[name]})
    assert caught.value.code == "bad_schedule"


def test_the_shortest_distance_is_the_one_between_neighbours():
    schedule = parse_schedule(["0 9 * * *", "10 9 * * *"], timezone="UTC")
    assert shortest_distance(schedule, 0) == 600_000_000
    single = parse_schedule("at 2027-01-01", timezone="UTC")
    assert shortest_distance(single, 0) is None


def test_a_long_search_ends():
    """Nothing here is fast by luck: each jumps over what is taken out, or gives up in time."""
    hard: list[tuple[object, dict[str, object]]] = [
        ("0 3 * * *", {"excluding": [{"cron": "* * * 1,3-12 *"}, {"cron": "* * 1-28 * *"}]}),
        ("0 3 * * *", {"excluding": "2027-01-01 - 2080-01-01"}),
        ("every 1s", {"window": "Mon 03:00-03:01"}),
        ("oncalendar Mon *-02-29", {"excluding": ["01:00-02:00"]}),
        ("* * * * *", {"excluding": [{"cron": "0-58 0-22 * * *"}, {"cron": "1-59 * * * *"}]}),
    ]
    for spec, said in hard:
        frame = read_frame(said, "Europe/Berlin", "")
        schedule = parse_schedule(spec, timezone="Europe/Berlin", frame=frame)
        begun = perf_counter()
        assert schedule.next_after(parse_instant("2027-01-01")) is not None
        # 20 ms is the promise; the machine of a test may be busy.
        assert perf_counter() - begun < 1, (spec, said)
