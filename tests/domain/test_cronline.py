"""The schedule at the beginning of a line of a crontab."""

import pytest

from cronherd.domain.cronline import take_schedule
from cronherd.domain.errors import Invalid


@pytest.mark.parametrize(
    ("line", "schedule", "note"),
    [
        ("0 0 15w * * x", "0 0 15W * *", "15W is the weekday nearest to day 15, as in Quartz"),
        ("0 0 LW * * x", "0 0 LW * *", "L is the last one, as in Quartz"),
        ("0~30 3 * * * x", "0~30 3 * * *", "~ is one value drawn for the job, which stays"),
        ("5,h(0-29) 3 * * * x", "5,H(0-29) 3 * * *", "H is one value drawn for the job"),
        ("0 3 ? * THU x", "0 3 * * THU", ""),
    ],
)
def test_it_notes_what_debian_reads_in_another_way(line: str, schedule: str, note: str):
    notes: list[str] = []
    assert take_schedule(line, notes) == (schedule, "x")
    assert len(notes) == bool(note)
    assert note in "".join(notes)


def test_it_takes_a_user_where_the_last_field_should_be_for_a_slip() -> None:
    with pytest.raises(Invalid) as refused:
        take_schedule("* * * * root /usr/bin/x", [])
    assert refused.value.text == "day of week (field 5): 'ROOT' is not a value"
    assert refused.value.hint.startswith("is a field missing? is 'root' a user?")
    assert "--system" in refused.value.hint
