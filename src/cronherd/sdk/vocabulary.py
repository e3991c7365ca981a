"""Every word of a schedule in code: Laravel's, ours, what it means here, and an example.

The table is data: docs/reference/schedule-steps.md is made from it, tests run each example, and
they fail for a step that has no line here. In an example `job` is `schedule.command("report")`,
and `shop` a module with the functions that are named.
"""

from dataclasses import dataclass

OURS = ""
"""Where Laravel has no such word."""


@dataclass(frozen=True, slots=True)
class Word:
    """A step, or what begins a job: `laravel` is the same word there, as it is written there."""

    step: str
    laravel: str
    meaning: str
    example: str


@dataclass(frozen=True, slots=True)
class Absent:
    """A word of Laravel that is none here, and what to do instead."""

    laravel: str
    instead: str


BEGINNINGS = (
    Word("command", "command, exec", "A text for the shell, or a list that is executed as it is.",
         'schedule.command(["backup", "--all"]).daily()'),
    Word("exec", "exec", "The same as command().", 'schedule.exec("backup --all").daily()'),
    Word("call", "call", "A function at the top level of a module, in a process of its own; a "
         "lambda is refused, since no other process could find it.",
         "schedule.call(shop.nightly, region='north').daily()"),
    Word("task", "job", "A function with @task, or its name.",
         'schedule.task("nightly").daily()'),
    Word("group", "group", "Steps that several jobs share; a job may say each of them anew.",
         'schedule.group().daily().command("report")'),
)  # fmt: skip

FREQUENCIES = (
    Word("cron", "cron", "Cron's fields; `seconds='first'` for six of them.",
         'job.cron("*/15 8-17 * * *")'),
    Word("every_second", "everySecond", "Each second.", "job.every_second()"),
    Word("every_two_seconds", "everyTwoSeconds", "At each even second.", "job.every_two_seconds()"),
    Word("every_five_seconds", "everyFiveSeconds", "At second 0, 5, 10 …",
         "job.every_five_seconds()"),
    Word("every_ten_seconds", "everyTenSeconds", "At second 0, 10, 20 …",
         "job.every_ten_seconds()"),
    Word("every_fifteen_seconds", "everyFifteenSeconds", "At second 0, 15, 30, 45.",
         "job.every_fifteen_seconds()"),
    Word("every_twenty_seconds", "everyTwentySeconds", "At second 0, 20, 40.",
         "job.every_twenty_seconds()"),
    Word("every_thirty_seconds", "everyThirtySeconds", "At second 0 and 30.",
         "job.every_thirty_seconds()"),
    Word("every_minute", "everyMinute", "Each minute. Laravel does that where nothing is said, "
         "here a frequency is asked for.", "job.every_minute()"),
    Word("every_two_minutes", "everyTwoMinutes", "At each even minute.", "job.every_two_minutes()"),
    Word("every_three_minutes", "everyThreeMinutes", "At minute 0, 3, 6 …",
         "job.every_three_minutes()"),
    Word("every_four_minutes", "everyFourMinutes", "At minute 0, 4, 8 …",
         "job.every_four_minutes()"),
    Word("every_five_minutes", "everyFiveMinutes", "At minute 0, 5, 10 …",
         "job.every_five_minutes()"),
    Word("every_ten_minutes", "everyTenMinutes", "At minute 0, 10, 20 …",
         "job.every_ten_minutes()"),
    Word("every_fifteen_minutes", "everyFifteenMinutes", "At minute 0, 15, 30, 45.",
         "job.every_fifteen_minutes()"),
    Word("every_thirty_minutes", "everyThirtyMinutes", "At minute 0 and 30.",
         "job.every_thirty_minutes()"),
    Word("hourly", "hourly", "At minute 0 of each hour.", "job.hourly()"),
    Word("hourly_at", "hourlyAt", "At that minute of each hour, or at those.",
         "job.hourly_at([17, 47])"),
    Word("every_odd_hour", "everyOddHour", "At 1:00, 3:00 … 23:00; the minute may be said.",
         "job.every_odd_hour(15)"),
    Word("every_even_hour", "everyEvenHour", "At 0:00, 2:00 … 22:00; the minute may be said.",
         "job.every_even_hour(15)"),
    Word("every_two_hours", "everyTwoHours", "At 0:00, 2:00 …; the minute may be said.",
         "job.every_two_hours()"),
    Word("every_three_hours", "everyThreeHours", "At 0:00, 3:00 …; the minute may be said.",
         "job.every_three_hours(5)"),
    Word("every_four_hours", "everyFourHours", "At 0:00, 4:00 …; the minute may be said.",
         "job.every_four_hours()"),
    Word("every_six_hours", "everySixHours", "At 0:00, 6:00 …; the minute may be said.",
         "job.every_six_hours()"),
    Word("daily", "daily", "At midnight, or at the time that at() says.", "job.daily()"),
    Word("daily_at", "dailyAt", "The same as at().", 'job.daily_at("13:00")'),
    Word("at", "at", "Each day at that time; behind a frequency of days, its time.",
         'job.monthly().at("13:00")'),
    Word("twice_daily", "twiceDaily", "At two hours of each day.", "job.twice_daily(1, 13)"),
    Word("twice_daily_at", "twiceDailyAt", "At two hours of each day, at that minute.",
         "job.twice_daily_at(1, 13, 15)"),
    Word("weekly", "weekly", "Sunday at midnight; days() may say another day.", "job.weekly()"),
    Word("weekly_on", "weeklyOn", "On that day of the week; numbers count from 0, Sunday.",
         'job.weekly_on(1, "8:00")'),
    Word("monthly", "monthly", "On the first of each month.", "job.monthly()"),
    Word("monthly_on", "monthlyOn", "On that day of each month that has it.",
         'job.monthly_on(4, "15:00")'),
    Word("twice_monthly", "twiceMonthly", "On two days of each month.",
         'job.twice_monthly(1, 16, "13:00")'),
    Word("days_of_month", "daysOfMonth", "On those days of each month.",
         "job.days_of_month(1, 10, 20)"),
    Word("last_day_of_month", "lastDayOfMonth", "On the last day of each month; Laravel takes the "
         "length of the month in which it reads the schedule.", 'job.last_day_of_month("15:00")'),
    Word("quarterly", "quarterly", "On the first of January, April, July and October.",
         "job.quarterly()"),
    Word("quarterly_on", "quarterlyOn", "On that day of these four months.",
         'job.quarterly_on(4, "14:00")'),
    Word("yearly", "yearly", "On January 1.", "job.yearly()"),
    Word("yearly_on", "yearlyOn", "On that day of that month.", 'job.yearly_on(6, 1, "17:00")'),
    Word("schedule", OURS, "Rules in the words of a file; several are one set.",
         'job.schedule("30 2 * * *", "at 2030-01-01 09:00")'),
    Word("every", OURS, "Any period, counted from 1970.", 'job.every("90m")'),
    Word("by_hand", OURS, "No schedule: it runs when somebody asks.", "job.by_hand()"),
)  # fmt: skip

LIMITS = (
    Word("days", "days", "Only on these days of the week, whatever else is said: beside a day of "
         "the month both must hold. cron and Laravel take either.", 'job.hourly().days("Mon", 4)'),
    Word("weekdays", "weekdays", "Only from Monday to Friday.", 'job.weekdays().at("8:00")'),
    Word("weekends", "weekends", "Only on Saturday and Sunday.", "job.weekends().hourly()"),
    *(Word(f"{day}days", f"{day}days", f"Only on {day.capitalize()}days.",
           f'job.weekly().{day}days().at("13:00")')
      for day in ("mon", "tues", "wednes", "thurs", "fri", "satur", "sun")),
    Word("between", "between", "Only in this part of the day; its end is outside, and it may go "
         "over midnight. It is part of the schedule, so the next time that is shown is true.",
         'job.hourly().between("7:00", "22:00")'),
    Word("unless_between", "unlessBetween", "Not in this part of the day; its end is outside.",
         'job.hourly().unless_between("23:00", "4:00")'),
    Word("timezone", "timezone", "The zone in which all times of the job are meant.",
         'job.daily().timezone("America/New_York")'),
    Word("when", "when", "A function that is asked by the node, in the process of the run. When it "
         "says no, the run ends as skipped and names it. A constant no switches the schedule off.",
         "job.daily().when(shop.is_open)"),
    Word("skip", "skip", "The opposite of when().", "job.daily().skip(shop.is_holiday)"),
    Word("environments", "environments", "The schedule is off unless Scheduler(environment=…) is "
         "one of these; that is decided when it is applied.",
         'job.daily().environments("staging", "production")'),
    Word("excluding", OURS, "Times without slots: days, stretches, dates, holidays.",
         'job.daily().excluding("12-24 - 01-02", {"holidays": "DE"})'),
    Word("starting", OURS, "No slots before this instant.", 'job.daily().starting("2026-01-01")'),
    Word("ending", OURS, "No slots from this instant on.", 'job.daily().ending("2099-01-01")'),
    Word("max_runs", OURS, "After so many runs by the schedule it is over.",
         "job.daily().max_runs(10)"),
    Word("jitter", OURS, "How much later a slot may fire, so that jobs spread.",
         'job.hourly().jitter("5m")'),
)  # fmt: skip

SETTINGS = (
    Word("name", OURS, "What the job is called. Without it the function's name, or what of the "
         "command can be one. Laravel's name is the description.", 'job.daily().name("Report")'),
    Word("description", "name, description", "What it is for, in words.",
         'job.daily().description("Sends the report")'),
    Word("tags", OURS, "Words to find jobs by.", 'job.daily().tags("shop", "mail")'),
    Word("user", "user", "The user it runs as, where the node allows it.",
         'job.daily().user("shop")'),
    Word("without_overlapping", "withoutOverlapping", "At most one run at once; so it is here "
         "without it, too. A lock cannot be left behind, so nothing expires by itself: with "
         "`expires`, in minutes, a run that takes longer is ended.",
         "job.daily().without_overlapping(expires=10)"),
    Word("overlapping", OURS, "Any number of runs at once, or so many. In Laravel that is so "
         "unless withoutOverlapping is said.", "job.daily().overlapping(3)"),
    Word("queue", OURS, "A slot that comes while it runs waits for the end.",
         "job.hourly().queue(5)"),
    Word("replacing", OURS, "A slot that comes while it runs ends the old run.",
         "job.hourly().replacing()"),
    Word("on_one_server", "onOneServer", "Each slot is one run in the whole fleet; so it is "
         "here without it, too.", "job.daily().on_one_server()"),
    Word("on_all_servers", OURS, "Each slot is a run on every node that fits; in Laravel that "
         "is so unless onOneServer is said.", "job.daily().on_all_servers(rolling=2)"),
    Word("spread", OURS, "any: one run for each slot; all: one on each node.",
         'job.daily().spread("all")'),
    Word("run_in_background", "runInBackground", "Nothing more than is so anyway: each run is a "
         "process, and none waits for another job.", "job.daily().run_in_background()"),
    Word("even_in_maintenance_mode", "evenInMaintenanceMode", "The job is not asked what "
         "Scheduler(maintenance=…) says, which skips the others while the application is down. "
         "`cronherd maintenance on` holds every job.", "job.daily().even_in_maintenance_mode()"),
    Word("run_on", OURS, "The labels a node must have.", 'job.daily().run_on("zone=eu, !slow")'),
    Word("prefer", OURS, "The labels of nodes that come first.", 'job.daily().prefer("fast")'),
    Word("pools", OURS, "Pools whose permits each run holds.", 'job.daily().pools("database")'),
    Word("lock", OURS, "A lock that each run holds: a name in the fleet, a file, or a URL.",
         'job.daily().lock("catalogue", wait="10m")'),
    Word("priority", OURS, "What a busy node takes first: the smaller number.",
         "job.daily().priority(-5)"),
    Word("min_gap", OURS, "How long nothing of it starts after an end.",
         'job.every_minute().min_gap("10s")'),
    Word("catchup", "catchUp", "What becomes of slots that were missed: none, latest, all.",
         'job.daily().catchup("latest", within="6h")'),
    Word("retries", OURS, "How often a failed run is tried again.",
         'job.daily().retries(3, backoff="1m")'),
    Word("retry_on", OURS, "The exit codes that are tried again.",
         "job.daily().retries(3).retry_on(75)"),
    Word("delivery", OURS, "Whether a run whose node is gone may be started once more.",
         'job.daily().delivery("at_least_once")'),
    Word("pause_after_failures", OURS, "After so many failures in a row it is paused.",
         "job.daily().pause_after_failures(3)"),
    Word("timeout", OURS, "How long a run may take.", 'job.daily().timeout("1h")'),
    Word("cwd", OURS, "The directory it starts in, where functions are found.",
         'job.daily().cwd("/srv/shop")'),
    Word("env", OURS, "Variables of its environment.", 'job.daily().env(MODE="fast")'),
    Word("secrets", OURS, "Secrets of the fleet that it gets.", 'job.daily().secrets("token")'),
    Word("set", OURS, "Any other setting of a job.", 'job.daily().set(nice=10, grace="1m")'),
)  # fmt: skip

TELLING = (
    Word("send_output_to", "sendOutputTo", "All output goes to this file as well, on the node that "
         "runs it; each attempt empties it first.",
         'job.daily().send_output_to("/var/log/report.log")'),
    Word("append_output_to", "appendOutputTo", "All output goes to the end of this file as well, "
         "on the node that runs it.", 'job.daily().append_output_to("/var/log/report.log")'),
    Word("email_output_to", "emailOutputTo", "The end of each run is mailed, with its output.",
         'job.daily().email_output_to("ops@example.com")'),
    Word("email_written_output_to", "emailWrittenOutputTo", "Runs that wrote something are mailed.",
         'job.daily().email_written_output_to("ops@example.com")'),
    Word("email_output_on_failure", "emailOutputOnFailure", "Runs that did not succeed are mailed.",
         'job.daily().email_output_on_failure("ops@example.com")'),
    Word("before", "before", "A function that is called before, in the process of the run. If it "
         "raises, the run fails and nothing is started.", "job.daily().before(shop.prepare)"),
    Word("after", "after", "A function that is called at last, however it ended. If it raises, a "
         "note of the run says so, and its end stays what it is.", "job.daily().after(shop.tidy)"),
    Word("then", "then", "The same as after().", "job.daily().then(shop.tidy)"),
    Word("on_success", "onSuccess", "A function that is called after a success.",
         "job.daily().on_success(shop.tidy)"),
    Word("on_failure", "onFailure", "A function that is called after a failure, also when the run "
         "is to end early and its grace leaves time.", "job.daily().on_failure(shop.tidy)"),
    Word("ping_before", "pingBefore", "A URL that is called when a run has started; not beside "
         "when() and skip(), which are asked later.",
         'job.daily().ping_before("https://ping.example.com/1")'),
    Word("ping_before_if", "pingBeforeIf", "The same, if the constant is true.",
         'job.daily().ping_before_if(True, "https://ping.example.com/1")'),
    Word("then_ping", "thenPing", "A URL that is called when a run has ended.",
         'job.daily().then_ping("https://ping.example.com/1")'),
    Word("then_ping_if", "thenPingIf", "The same, if the constant is true.",
         'job.daily().then_ping_if(True, "https://ping.example.com/1")'),
    Word("ping_on_success", "pingOnSuccess", "A URL that is called when a run has succeeded.",
         'job.daily().ping_on_success("https://ping.example.com/1")'),
    Word("ping_on_success_if", "pingOnSuccessIf", "The same, if the constant is true.",
         'job.daily().ping_on_success_if(True, "https://ping.example.com/1")'),
    Word("ping_on_failure", "pingOnFailure", "A URL that is called when a run ended otherwise.",
         'job.daily().ping_on_failure("https://ping.example.com/1")'),
    Word("ping_on_failure_if", "pingOnFailureIf", "The same, if the constant is true.",
         'job.daily().ping_on_failure_if(True, "https://ping.example.com/1")'),
)  # fmt: skip

ABSENT = (
    Absent("storeOutput", "the output of every run is stored"),
    Absent("thenWithOutput, onSuccessWithOutput, onFailureWithOutput",
           "a webhook, or email_output_to(); hooks do not see the output"),
    Absent("withAttributes", "tags()"),
    Absent("evenWhenPaused", "a pause of a job is for that job alone"),
    Absent("useCache", "locks are in the fleet's own database"),
)  # fmt: skip

SECTIONS = {
    "What begins a job": BEGINNINGS,
    "When it runs": FREQUENCIES,
    "When it does not": LIMITS,
    "What else holds": SETTINGS,
    "Output, mail, hooks and pings": TELLING,
}
