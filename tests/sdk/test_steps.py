"""Every step: its example is a job; what it gives is what a file would say."""

import copy
from typing import Any

import pytest

from cronherd import Scheduler
from cronherd.domain.errors import Invalid, InvalidInput
from cronherd.sdk.scheduler import Group, JobBuilder
from cronherd.sdk.vocabulary import ABSENT, BEGINNINGS, SECTIONS, SETTINGS, Word
from tests.sdk import shop
from tests.sdk.conftest import Say, built

WORDS = [word for words in SECTIONS.values() for word in words]


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.step)
def test_each_example_is_a_job(say: Say, word: Word):
    assert word.step in word.example
    assert say(word.example).spec


def test_each_step_has_a_line_in_the_table_and_each_line_is_a_step():
    public = {name for kind in (JobBuilder, Group, Scheduler) for name in dir(kind)}
    public = {name for name in public if not name.startswith("_") and name.islower()}
    kept = {"scheduler", "times", "said", "number", "work", "default_name", "begun_at"}
    kept |= {"definition", "definitions", "jobs"}
    assert {word.step for word in WORDS} == public - kept
    assert len(WORDS) == len({word.step for word in WORDS})


def test_laravels_words_are_all_there():
    """The frequencies, limits and attributes of its scheduler, written down apart."""
    there = "call command exec job group " + FREQUENCIES + LIMITS + ATTRIBUTES
    known = [name for word in WORDS for name in word.laravel.split(", ")]
    known += [name for word in ABSENT for name in word.laravel.split(", ")]
    assert set(there.split()) - set(known) == set()
    assert set(known) - set(there.split()) - {""} == set()


FREQUENCIES = """
cron everySecond everyTwoSeconds everyFiveSeconds everyTenSeconds everyFifteenSeconds
everyTwentySeconds everyThirtySeconds everyMinute everyTwoMinutes everyThreeMinutes
everyFourMinutes everyFiveMinutes everyTenMinutes everyFifteenMinutes everyThirtyMinutes hourly
hourlyAt everyOddHour everyEvenHour everyTwoHours everyThreeHours everyFourHours everySixHours
daily at dailyAt twiceDaily twiceDailyAt weekly weeklyOn monthly monthlyOn twiceMonthly
daysOfMonth lastDayOfMonth quarterly quarterlyOn yearly yearlyOn timezone
"""
LIMITS = """
weekdays weekends sundays mondays tuesdays wednesdays thursdays fridays saturdays days between
unlessBetween when skip environments
"""
ATTRIBUTES = """
name description user withoutOverlapping onOneServer runInBackground evenInMaintenanceMode
evenWhenPaused catchUp withAttributes useCache sendOutputTo appendOutputTo emailOutputTo
emailWrittenOutputTo emailOutputOnFailure storeOutput before after then onSuccess onFailure
thenWithOutput onSuccessWithOutput onFailureWithOutput pingBefore pingBeforeIf thenPing thenPingIf
pingOnSuccess pingOnSuccessIf pingOnFailure pingOnFailureIf
"""

URL = "https://ping.example.com/1"
GIVEN = {
    'schedule.command(["backup", "--all"])': {"command": ["backup", "--all"]},
    'schedule.exec("a b")': {"command": "a b", "name": "a-b"},
    "schedule.call(shop.nightly)": {"task": "tests.sdk.shop:nightly", "name": "nightly"},
    'schedule.call("a.b:c", 1, 2)': {"task": "a.b:c", "args": [1, 2], "name": "c"},
    "schedule.task(shop.nightly, region='x')": {"args": {"region": "x"}},
    'schedule.task("other")': {"task": "tests.sdk.shop:renamed", "name": "other"},
    "job.without_overlapping()": {},
    "job.without_overlapping(90)": {"timeout": "1h30m"},
    'job.without_overlapping(expires="2h")': {"timeout": "2h"},
    "job.overlapping()": {"overlap": "allow"},
    "job.overlapping(3)": {"max_running": 3},
    "job.queue(7)": {"overlap": "queue", "queue_max": 7},
    "job.replacing()": {"overlap": "replace"},
    "job.on_one_server().run_in_background().even_in_maintenance_mode()": {},
    "job.on_all_servers(rolling=2)": {"spread": "all", "rolling": 2},
    'job.spread("all")': {"spread": "all"},
    'job.environments("production")': {},
    'job.environments(["staging"])': {"enabled": False},
    "job.when(False)": {"enabled": False},
    "job.when(True).skip(False)": {},
    "job.skip(True)": {"enabled": False},
    "job.when(shop.is_open).when('a:b')": {"hooks": {"when": ["tests.sdk.shop:is_open", "a:b"]}},
    "job.before(shop.tidy).then(shop.tidy).after(shop.prepare)": {
        "hooks": {
            "before": "tests.sdk.shop:tidy",
            "after": ["tests.sdk.shop:tidy", "tests.sdk.shop:prepare"],
        }
    },
    'job.catchup("all", within="6h")': {"catchup": "all", "catchup_window": "6h"},
    'job.retries(3, backoff="10s").retry_on(75)': {
        "retries": {"max": 3, "backoff": "10s"}, "retry_on": [75],
    },
    f"job.then_ping('{URL}')": {"ping": {"success": URL, "fail": URL}},
    f"job.ping_before('{URL}').ping_on_failure('{URL}/f')": {
        "ping": {"start": URL, "fail": f"{URL}/f"}
    },
    f"job.ping_on_success_if(False, '{URL}')": {},
    'job.email_output_to("a@x.de", "b@x.de")': {"mailto": "a@x.de, b@x.de", "mail": "always"},
    'job.email_written_output_to("a@x.de")': {"mailto": "a@x.de"},
    'job.email_output_on_failure("a@x.de")': {"mailto": "a@x.de", "mail": "on_failure"},
    'job.append_output_to("/var/log/x")': {"output_file": "/var/log/x"},
    'job.send_output_to("/var/log/x")': {
        "output_file": "/var/log/x", "output_file_fresh": True,
    },
    'job.env(A=1).env(B="2")': {"env": {"A": "1", "B": "2"}},
    'job.pools("db", {"name": "api", "permits": 2})': {
        "pools": [{"name": "api", "permits": 2}, "db"]
    },
    'job.lock("catalogue")': {"lock": "catalogue"},
    'job.lock("/run/x", wait="5m")': {"lock": {"file": "/run/x", "wait": "5m"}},
    'job.set(nice=10, grace="1m")': {"nice": 10, "grace": "1m"},
    'job.name("Report").tags("a").description("d").user("u")': {
        "name": "Report", "tags": ["a"], "description": "d", "user": "u",
    },
}  # fmt: skip


@pytest.mark.parametrize(("steps", "said"), GIVEN.items(), ids=GIVEN)
def test_a_step_says_what_a_file_would(say: Say, steps: str, said: dict[str, Any]):
    plain = {"name": "report", "command": "report", "timezone": "UTC", "schedule": "0 0 * * *"}
    spec = dict(say(f"{steps}.daily()").spec)
    if steps.startswith("schedule."):
        assert said.items() <= spec.items()
        assert spec.keys() <= said.keys() | plain.keys() | {"task", "args"}
    else:
        assert spec == plain | said


def test_the_scheduler_says_what_holds_for_all():
    schedule = Scheduler(timezone="Europe/Berlin", cwd="/srv", python="/p", maintenance="a:down")
    schedule.command("plain").daily().even_in_maintenance_mode()
    schedule.command("asked").daily().skip("a:b")
    schedule.call(shop.nightly).daily().env(A="1").cwd("/own").even_in_maintenance_mode()
    plain, asked, called = (job.spec for job in built(schedule))
    assert "cwd" not in plain
    assert "hooks" not in plain
    assert plain["timezone"] == "Europe/Berlin"
    assert asked["hooks"] == {"skip": ["a:down", "a:b"]}
    assert (asked["cwd"], asked["env"]) == ("/srv", {"CRONHERD_PYTHON": "/p"})
    assert (called["cwd"], called["env"]) == ("/own", {"CRONHERD_PYTHON": "/p", "A": "1"})


# ------------------------------------------------------------------ steps change nothing


def test_a_step_gives_a_new_builder_and_two_from_one_are_two_jobs():
    schedule = Scheduler()
    begun = schedule.command("report")
    before = copy.copy(begun)
    first = begun.daily().name("first")
    second = begun.hourly().name("second")
    assert begun.times == before.times
    assert begun.said == before.said
    assert [job.spec["name"] for job in built(schedule)] == ["first", "second"]
    assert (first.definition["schedule"], second.definition["schedule"]) == (
        "0 0 * * *", "0 * * * *",
    )  # fmt: skip
    with pytest.raises(AttributeError):
        begun.work = {}  # type: ignore[misc]


def test_a_group_is_shared_and_its_jobs_may_say_it_anew():
    schedule = Scheduler()
    group = schedule.group().daily_at("2:30").weekdays().timezone("Europe/Berlin").tags("g")
    group = group.before(shop.prepare)
    group.command("a")
    group.command("b").hourly().mondays().timezone("UTC").before(shop.tidy)
    group.command("c").by_hand()
    a, b, c = (job.spec for job in built(schedule))
    assert (a["schedule"], a["timezone"], a["tags"]) == ("30 2 * * 1-5", "Europe/Berlin", ["g"])
    assert (b["schedule"], b["timezone"]) == ("0 * * * 1", "UTC")
    assert len(b["hooks"]["before"]) == 2
    assert "schedule" not in c
    assert len(schedule.jobs) == 3


# ------------------------------------------------------------------ errors, with their lines


def refused(code: str) -> Invalid:
    """What is refused, at the step or when all is checked."""
    schedule = Scheduler()
    names = {"schedule": schedule, "shop": shop, "__name__": "app"}
    if code.startswith("job"):
        names["job"] = schedule.command("report")
    said = compile(code, "/app/jobs.py", "eval")
    try:
        eval(said, names)  # noqa: S307 - our own
        built(schedule)
    except Invalid as error:
        return error
    raise AssertionError("nobody refused it")


REFUSED = {
    "job": "nothing says when it runs",
    "job.weekdays()": "nothing says when it does",
    "job.daily().hourly()": "hourly() is a second frequency: daily()",
    "job.at('13:00').weekly()": "weekly() is a second frequency: at()",
    "job.hourly().at('13:00')": "at() is a second frequency: hourly()",
    "job.daily().at('13:00').at('14:00')": "at() is a second frequency",
    "job.daily_at('25:00')": "'25:00' is no time of the day",
    "job.daily_at('13:60')": "'13:60' is no time",
    "job.daily_at(13)": "13 is no time of the day",
    "job.hourly_at(60)": "60 is not a minute of the hour",
    "job.hourly_at(True)": "True is not a minute",
    "job.hourly_at('5')": "is not a minute",
    "job.hourly_at([])": "there is not one",
    "job.every_two_hours(-1)": "-1 is not a minute",
    "job.twice_daily(1, 24)": "24 is not an hour",
    "job.monthly_on(32)": "32 is not a day of the month",
    "job.days_of_month()": "there is not one",
    "job.yearly_on(13)": "13 is not a month",
    "job.yearly_on(2, 30)": "no date ever matches day 30",
    "job.days()": "no day of the week is named",
    "job.days(8)": "8 is not a day of the week",
    "job.days('someday')": "'someday' is no day of the week",
    "job.days(1.5)": "1.5 is no day",
    "job.daily().mondays().tuesdays()": "days of the week were said already",
    "job.weekly_on(1).tuesdays()": "never fires",
    "job.hourly().between('9:00', '9:00')": "nothing lies between",
    "job.hourly().between('9:00', '10:00').between('11:00', '12:00')": "no time of the day is left",
    "job.daily_at('3:00').between('9:00', '10:00')": "never fires",
    "job.cron('61 * * * *')": "61",
    "job.cron('*/10 * * * * *')": "six fields",
    "job.schedule()": "a rule is a text or a mapping",
    "job.every('0s')": "at least one second",
    "job.daily().timezone('Mars/Base')": "Mars/Base",
    "job.daily().timeout('soon')": "soon",
    "job.daily().timeout('1h').timeout('2h')": "timeout was said before as '1h'",
    "job.daily().without_overlapping(5).timeout('2h')": "timeout was said before as '300s'",
    "job.daily().without_overlapping().queue()": "overlap was said before as 'skip'",
    "job.daily().send_output_to('/a').append_output_to('/a')": "output_file_fresh was said",
    "job.daily().on_one_server().on_all_servers()": "spread was said before as 'any'",
    "job.daily().without_overlapping([])": "expires is a number of minutes",
    "job.daily().overlapping(1)": "1 is not a number of runs",
    f"job.daily().then_ping('{URL}').ping_on_success('{URL}/2')": "ping.success was said before",
    f"job.daily().ping_before('{URL}').when(shop.is_open)": "goes out before when()",
    "job.daily().when(lambda: True)": "a lambda cannot be found by the process of a run",
    "job.daily().when(3)": "int is no function",
    "job.daily().before(__import__('functools').partial(print))": "partial is no function",
    "job.daily().before('not a name')": "does not name a function",
    "schedule.call(lambda: 1).daily()": "a lambda cannot be found",
    "schedule.call(shop.nightly, 1, region=2).daily()": "in order or by name, not both",
    "schedule.call(shop.nightly, object()).daily()": "is not a value that JSON knows",
    "schedule.task('nobody').daily()": "no task is called 'nobody'",
    "schedule.task(shop.tidy).daily()": "no task is called 'tidy'",
    "schedule.command([]).daily()": "there is no command",
    "schedule.command('x' * 99).daily()": "this job needs a name of its own",
    "job.daily().environments()": "names no environment",
    "job.daily().environments('production')": "nobody said which one this is",
    "job.daily().by_hand()": "runs by hand only, and has a frequency",
    "job.daily().set(colour='red')": "there is no setting colour",
    "job.daily().set(hooks={})": "hooks has steps of its own",
    "job.daily().jitter('2d')": "must be at most 1d",
    "job.daily().pools('db', 'db')": "names the pool 'db' twice",
    "job.daily().env(CRONHERD_X=1)": "names that begin with CRONHERD_",
}


@pytest.mark.parametrize(("code", "words"), REFUSED.items(), ids=REFUSED)
def test_what_cannot_be_said_exactly_is_refused_with_its_line(code: str, words: str):
    error = refused(code)
    errors = error.errors if isinstance(error, InvalidInput) else [error]
    assert words in f"{error}"
    assert all(fault.where.startswith(("/app/jobs.py:1", "tests/sdk/")) for fault in errors)


def test_all_that_is_wrong_is_told_at_once_each_with_the_line_that_said_it():
    schedule = Scheduler()
    source = """
schedule.command("one").daily(
).timeout("soon")
schedule.command("two").cron("61 * * * *")
schedule.command("two").daily()
"""
    exec(compile(source, "/app/jobs.py", "exec"), {"schedule": schedule})  # noqa: S102 - our own
    with pytest.raises(InvalidInput) as caught:
        built(schedule)
    places = [str(error.where).split(": ")[0] for error in caught.value.errors]
    assert places == ["/app/jobs.py:3", "/app/jobs.py:4", "/app/jobs.py:5"]
    assert "the name is taken by the job at /app/jobs.py:4" in str(caught.value)


def test_a_function_of_a_function_and_one_whose_name_was_taken_are_refused():
    def inner() -> bool:
        return True

    job = Scheduler().command("x").daily()
    with pytest.raises(Invalid, match="made in a function"):
        job.when(inner)
    other = eval("lambda: True", {"__name__": shop.__name__})  # noqa: S307 - our own
    other.__qualname__ = "is_open"
    with pytest.raises(Invalid, match="names something else by now"):
        job.when(other)
    other.__module__ = "__main__"
    with pytest.raises(Invalid, match="belongs to the program itself"):
        job.when(other)


def test_the_words_of_the_table_are_sentences():
    for word in (*WORDS, *BEGINNINGS, *SETTINGS):
        assert word.meaning.endswith((".", "…")) or "`" in word.meaning
