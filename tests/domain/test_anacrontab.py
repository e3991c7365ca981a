"""What the lines of /etc/anacrontab become."""

import pytest

from cronherd.definition.jobs import read_job
from cronherd.domain.crontab import CrontabEntry, Kind, guess_kind, parse_crontab
from cronherd.domain.imported import definition_of_entry

DEBIAN = """\
SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin
HOME=/root
LOGNAME=root

# These replace cron's entries
1\t5\tcron.daily\trun-parts --report /etc/cron.daily
7\t10\tcron.weekly\trun-parts --report /etc/cron.weekly
@monthly\t15\tcron.monthly\trun-parts --report /etc/cron.monthly
"""


def read(text: str) -> tuple[CrontabEntry, ...]:
    return parse_crontab(text, Kind.ANACRON).entries


def test_debians_own_file_becomes_jobs_that_catch_up():
    assert guess_kind("/etc/anacrontab", DEBIAN) is Kind.ANACRON
    entries = read(DEBIAN)
    assert [(e.name, e.schedule, e.user, e.period) for e in entries] == [
        ("cron-daily", "5 0 * * *", "root", "1d"),
        ("cron-weekly", "10 0 * * 0", "root", "7d"),
        ("cron-monthly", "15 0 1 * *", "root", "31d"),
    ]
    job = definition_of_entry(entries[1], node="n", timezone="UTC", agent_user="root")
    found = job.definition
    assert (found["overlap"], found["catchup"], found["catchup_window"]) == ("skip", "latest", "7d")
    assert read_job(found, timezone="UTC").name == "cron-weekly"
    assert "anacron counts days from the last run" in job.notes[0]


def test_the_hours_it_may_start_in_move_it():
    (entry,) = read("START_HOURS_RANGE=3-22\nRANDOM_DELAY=45\n1 65 daily nice x\n")
    assert entry.schedule == "5 4 * * *"
    assert dict(entry.environment) == {}


def test_a_percent_sign_is_plain_for_anacron():
    (entry,) = read("1 5 stamp date +%F \\% \\\\\n")
    assert (entry.command, entry.stdin) == ("date +%F \\% \\\\", None)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("3 5 x y", "a period of '3' has no day it belongs to"),
        ("@hourly 5 x y", "a period of '@hourly' has no day"),
        ("1 soon x y", "'soon' is not a delay in minutes"),
        ("1 1440 x y", "lead beyond midnight"),
        ("1 5 x", "an anacron line is: a period in days"),
        ("", "an anacron line is"),
    ],
)
def test_what_has_no_day_is_refused_with_the_reason(line: str, reason: str):
    (refused,) = parse_crontab(f"{line or 'x'}\n", Kind.ANACRON).refusals
    assert reason in refused.reason
    assert refused.hint
