"""Cron expressions in English, each construct."""

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.timing.cronexpr import read_cron
from cronherd.domain.timing.cronwords import explain_cron

HOUR_BY_HOUR = "at 00:00, 05:00, 10:00, 15:00 and 20:00 every day"
EVERY_SEVENTH = "at 00:00 on every 7th day of the month"
FIRST = "at 00:00 on day 1 of the month"
FROM_FIVE = "at every 15th minute from 5 through 50 past every hour"
THURSDAYS = "at 00:00 on Thursday in March, June, September and December"
NEAREST = "the weekday (Monday to Friday) nearest to day"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        # times
        ("30 2 * * *", "at 02:30 every day"),
        ("0,30 9,17 * * *", "at 09:00, 09:30, 17:00 and 17:30 every day"),
        ("0 */5 * * *", HOUR_BY_HOUR),
        ("* * * * *", "every minute"),
        ("*/1 * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("0,20,40 * * * *", "every 20 minutes"),
        ("*/7 * * * *", "at every 7th minute from 0 through 56 past every hour"),
        ("5-59/10 * * * *", "at every 10th minute from 5 through 55 past every hour"),
        ("1-59/2 * * * *", "at every 2nd minute from 1 through 59 past every hour"),
        ("10-20 * * * *", "at every minute from 10 through 20 past every hour"),
        ("@hourly", "at minute 0 past every hour"),
        ("7,8 * * * *", "at minutes 7 and 8 past every hour"),
        ("5,10-13 * * * *", "at minutes 5 and 10 through 13 past every hour"),
        ("*/5 2 * * *", "every 5 minutes in hour 2"),
        ("* 2,4,5 * * *", "every minute in hours 2, 4 and 5"),
        ("0 */2 * * *", "at minute 0 past every 2nd hour"),
        ("3 */5,1,2 * * *", "at minute 3 past hours 0 through 2, 5, 10, 15 and 20"),
        ("0 9-21/3 * * *", "at 09:00, 12:00, 15:00, 18:00 and 21:00 every day"),
        ("30 1-23/2 * * *", "at minute 30 past every 2nd hour from 1 through 23"),
        (
            "7 9-17 * * MON-FRI",
            "at minute 7 past every hour from 9 through 17 on Monday through Friday",
        ),
        # days
        ("0 0 1 * *", "at 00:00 on day 1 of the month"),
        ("0 0 1,15 * *", "at 00:00 on days 1 and 15 of the month"),
        ("0 0 */2 * *", "at 00:00 on every 2nd day of the month"),
        ("0 0 1-7 * *", "at 00:00 on every day from 1 through 7 of the month"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        ("0 0 L-1 * *", "at 00:00 on the day before the last of the month"),
        ("0 0 L-3 * *", "at 00:00 on the 3rd day before the last of the month"),
        ("0 0 LW * *", "at 00:00 on the last weekday (Monday to Friday) of the month"),
        ("0 0 15W * *", f"at 00:00 on {NEAREST} 15 of the month"),
        ("0 0 1,15W * *", f"at 00:00 on day 1 and {NEAREST} 15 of the month"),
        ("0 0 * * 7", "at 00:00 on Sunday"),
        ("0 0 ? * 2,4", "at 00:00 on Tuesday and Thursday"),
        ("0 0 * * FRI-7", "at 00:00 on Friday through Sunday"),
        ("0 0 * * 5L", "at 00:00 on the last Friday of the month"),
        ("0 0 * * 1#2", "at 00:00 on the second Monday of the month"),
        ("0 0 * * 5#5,6L", "at 00:00 on the fifth Friday and the last Saturday of the month"),
        ("0 0 * * 3,6L", "at 00:00 on Wednesday and the last Saturday of the month"),
        ("0 0 * 1-3,7 *", "at 00:00 every day in January through March and July"),
        ("*/5 * * MAR *", "every 5 minutes in March"),
        ("0 0 29 2 *", "at 00:00 on day 29 of the month in February"),
        # both fields of days
        ("0 0 1 * MON", "at 00:00 on day 1 of the month, or on Monday"),
        ("0 0 1 3 MON", "at 00:00 on day 1 of the month, or on Monday, in March"),
        ("0 0 1-31 * MON", "at 00:00 every day"),
        ("0 0 1 * 0-6", "at 00:00 every day"),
        ("0 0 */7 * 1", f"{EVERY_SEVENTH}, only where that is Monday"),
        ("0 0 */7 2 1", f"{EVERY_SEVENTH}, only where that is Monday, in February"),
        ("0 0 1 * */3", f"{FIRST}, only where that is Wednesday, Saturday and Sunday"),
    ],
)
def test_it_says_each_construct(expression: str, words: str):
    assert explain_cron(expression) == words
    assert explain_cron(read_cron(expression)) == words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 30 2 * * *", "at 02:30 every day"),
        ("15,45 30 2 * * *", "at 02:30:15 and 02:30:45 every day"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("15 * * * * *", "at second 15 of every minute"),
        ("*/10 * 9-17 * * *", "every 10 seconds in every hour from 9 through 17"),
        ("*/10 7 * * * *", "every 10 seconds in minute 7 past every hour"),
        ("5 */2 * * * 1", "at second 5 in every 2nd minute past every hour on Monday"),
    ],
)
def test_it_says_seconds(expression: str, words: str):
    assert explain_cron(read_cron(expression, seconds="first")) == words


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("H 2 * * *", "at 02:05 every day (drawn: minute 5 from H)"),
        (
            "H/15 * * * *",
            f"{FROM_FIVE} (drawn: first minute 5 from H/15)",
        ),
        (
            "H H(0-7) * * *",
            "at 07:05 every day (drawn: minute 5 from H, hour 7 from H(0-7))",
        ),
        (
            "0 0 * H/3 1~5",
            f"{THURSDAYS} (drawn: first month March from H/3, day of week Thursday from 1~5)",
        ),
    ],
)
def test_it_says_what_was_drawn(expression: str, words: str):
    assert explain_cron(read_cron(expression, key="backup")) == words


def test_it_refuses_what_cannot_be_read():
    with pytest.raises(Invalid):
        explain_cron("60 * * * *")
