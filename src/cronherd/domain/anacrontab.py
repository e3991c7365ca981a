"""The lines of /etc/anacrontab: a period in days, a delay in minutes, a name, a command.

anacron runs what was not run for so many days, whenever the host is up. Here each line becomes a
time of day that is caught up when it was missed, so a host that is off at night loses nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from cronherd.domain.cronline import take_word
from cronherd.domain.crontab_lines import CrontabEntry
from cronherd.domain.crontab_reader import Reader, refused
from cronherd.domain.timing.cronexpr import check_cron

_HOUR = 60
_LATEST = 24 * _HOUR
_NAMED = {
    "@daily": "1",
    "@weekly": "7",
    "@monthly": "month",
    "@yearly": "year",
    "@annually": "year",
}
# Period: the days of cron fields, and how long a missed one is worth catching up.
_DAYS = {
    "1": ("* * *", "1d"),
    "7": ("* * 0", "7d"),
    "month": ("1 * *", "31d"),
    "year": ("1 1 *", "366d"),
}
_SETTINGS = ("START_HOURS_RANGE", "RANDOM_DELAY")


class AnacronReader(Reader):
    """Reads the jobs of an anacrontab; settings and comments are those of a crontab."""

    def read_job(self, number: int, text: str, body: str, remarks: Sequence[str]) -> CrontabEntry:
        period, rest = take_word(body)
        delay, rest = take_word(rest)
        name, command = take_word(rest)
        if not command.strip():
            raise refused(
                "an anacron line is: a period in days, a delay in minutes, a name, a command",
                "write e.g. '7 10 weekly-report /usr/local/bin/report'",
            )
        schedule, window, note = self._schedule(period, delay)
        # What cron reads behind its five fields is what anacron reads here; % is plain for it.
        plain = re.sub(r"([%\\])", r"\\\1", command)
        entry = super().read_job(number, text, f"{schedule} {plain}", remarks)
        environment = {k: v for k, v in entry.environment.items() if k not in _SETTINGS}
        return replace(
            entry,
            user="root",
            period=window,
            name=entry.name or name,
            environment=environment,
            notes=(*entry.notes, note),
        )

    def _schedule(self, period: str, delay: str) -> tuple[str, str, str]:
        if not re.fullmatch(r"\d{1,4}", delay, re.ASCII):
            raise refused(f"'{delay[:40]}' is not a delay in minutes", "write e.g. 10")
        kind = _NAMED.get(period.lower(), period.lstrip("0"))
        if kind not in _DAYS:
            raise refused(
                f"a period of '{period[:40]}' has no day it belongs to",
                "make a job with the schedule 'every 3d' and catchup: latest",
            )
        days, window = _DAYS[kind]
        first = re.match(r"\d{1,2}", self.settings.get("START_HOURS_RANGE", ""), re.ASCII)
        minute = (int(first[0]) * _HOUR if first else 0) + int(delay)
        if minute >= _LATEST:
            raise refused("its hour and delay lead beyond midnight", "give it a shorter delay")
        fields = f"{minute % _HOUR} {minute // _HOUR} {days}"
        return (
            check_cron(fields),
            window,
            (
                "anacron counts days from the last run; here it has its time of day, "
                "and one that was missed is caught up (catchup: latest)"
            ),
        )
