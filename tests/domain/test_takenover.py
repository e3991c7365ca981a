"""Lines that were taken over are put back byte by byte, whatever the file is written in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.crontab import Kind, parse_crontab
from cronherd.domain.errors import Conflict
from cronherd.domain.takenover import Taken, comment_out, put_back, taken_lines

AT = "2026-11-21T10:00:00Z"
LATER = "2026-11-21T10:05:00Z"


def take(raw: bytes, jobs: dict[int, str], at: str = AT) -> tuple[bytes, tuple[Taken, ...]]:
    lines = raw.split(b"\n")
    taken = tuple(Taken(number, job, lines[number - 1]) for number, job in jobs.items())
    return comment_out(raw, jobs, at), taken


@pytest.mark.parametrize(
    "raw",
    [
        b"0 4 * * * x\n",
        b"0 4 * * * x",
        b"0 4 * * * x\r\n# y\r\n",
        b"\t0\t4 * * *\tx \t\n\n\n",
        b"0 4 * * * t\xe4glich\n",
        b"\xef\xbb\xbf0 4 * * * x\n",
        b"0 4 * * * echo ': '\n",
        b"0 4 * * * x\0y\n",
    ],
)
def test_a_line_is_commented_out_for_every_cron_and_put_back(raw: bytes):
    changed, taken = take(raw, {1: "it's"})
    assert changed.startswith(b"#cronherd# 2026-11-21T10:00:00Z 'it\\'s': ")
    assert taken_lines(changed) == taken
    assert parse_crontab(changed.decode("latin-1"), Kind.USER, commented=True).entries == ()
    back = put_back(changed, taken, AT, "/tab")
    assert (back.raw, back.lines, back.missing) == (raw, (1,), ())


@given(st.binary(max_size=200), st.sets(st.integers(1, 5)), st.sampled_from(["a", "a-2", "'", "ü"]))
def test_any_bytes_come_back(raw: bytes, numbers: set[int], job: str):
    jobs = {number: job for number in numbers if number <= raw.count(b"\n") + 1}
    changed, taken = take(raw, jobs)
    assert put_back(changed, taken, AT, "/tab").raw == raw


def test_what_was_edited_meanwhile_stays():
    changed, taken = take(b"0 4 * * * a\n0 5 * * * b\n", {1: "a", 2: "b"})
    edited = b"NEW=1\n" + changed + b"0 6 * * * c\n"
    back = put_back(edited, taken, AT, "/tab")
    assert back.raw == b"NEW=1\n0 4 * * * a\n0 5 * * * b\n0 6 * * * c\n"
    assert back.lines == (2, 3)


def test_a_line_that_was_removed_meanwhile_is_told():
    changed, taken = take(b"0 4 * * * a\n0 5 * * * b\n", {1: "a", 2: "b"})
    back = put_back(changed.split(b"\n", 1)[1], taken, AT, "/tab")
    assert (back.raw, back.missing) == (b"0 5 * * * b\n", (taken[0],))


def test_a_taken_line_that_was_edited_is_refused():
    changed, taken = take(b"0 4 * * * a\n", {1: "a"})
    with pytest.raises(Conflict, match="line 1 was taken over for 'a' and changed since"):
        put_back(changed.replace(b"0 4", b"0 5"), taken, AT, "/tab")


def test_another_takeover_of_the_file_is_left_alone():
    first, taken = take(b"0 4 * * * a\n0 5 * * * b\n", {1: "a"})
    second, later = take(first, {2: "b"}, LATER)
    assert put_back(second, later, LATER, "/tab").raw == first
    assert (
        put_back(second, taken, AT, "/tab").raw
        == take(b"0 4 * * * a\n0 5 * * * b\n", {2: "b"}, LATER)[0]
    )


def test_equal_lines_are_each_put_back_once():
    raw = b"0 4 * * * a\n0 4 * * * a\n"
    changed, taken = take(raw, {1: "a", 2: "a"})
    assert put_back(changed, taken, AT, "/tab").raw == raw


def test_a_taken_line_takes_its_remark_with_it():
    text = f"# About a\n#cronherd# {AT} 'a': 0 4 * * * a\n0 5 * * * beta\n"
    (entry,) = parse_crontab(text, Kind.USER).entries
    assert (entry.name, entry.description) == ("beta", "")


def test_a_line_keeps_its_name_when_its_neighbour_is_taken_over():
    raw = b"0 4 * * * /srv/sync --left\n# Remark\n0 5 * * * /srv/sync --left\n0 6 * * * sync --x\n"
    before = {e.line: e.name for e in parse_crontab(raw.decode(), Kind.USER).entries}
    assert before[1].startswith("sync-")
    for taken in ({1: "a"}, {3: "a"}, {1: "a", 4: "b"}):
        text = comment_out(raw, taken, AT).decode()
        after = {e.line: e.name for e in parse_crontab(text, Kind.USER).entries}
        assert after == {line: name for line, name in before.items() if line not in taken}


def test_a_name_that_export_wrote_is_the_name():
    text = (
        "#cronherd# description What b does\n#cronherd# job Old Name\n0 5 * * * b\n0 6 * * * beta\n"
    )
    first, second = parse_crontab(text, Kind.USER).entries
    assert (first.name, first.description, first.named) == ("Old Name", "What b does", True)
    assert (second.name, second.description, second.named) == ("beta", "", False)


def test_two_jobs_of_one_written_name_are_told_apart():
    line = "#cronherd# job one\n0 5 * * * b\n"
    first, second = parse_crontab(line + line, Kind.USER).entries
    assert (first.name, first.named) == ("one", True)
    assert second.name != "one"
    assert not second.named
