"""What a task tells: read piece by piece, kept, put together again; whatever it is."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.telling import (
    DEPTH,
    KEPT_BYTES,
    LINE_BYTES,
    SPARE_BYTES,
    STORED_LENGTH,
    Listener,
    Progress,
    Told,
    error_words,
    parse_line,
    read_error,
    read_progress,
    read_stored,
    read_told,
)

ODD = "a line on descriptor 3 was not understood and was passed over"
ERROR = {"type": "ValueError", "message": "no such table", "traceback": "Traceback …"}


def line(kind: str, value: Any) -> bytes:
    return json.dumps({kind: value}).encode() + b"\n"


def hear(*pieces: bytes, fresh: bool = True) -> tuple[Listener, list[bytes]]:
    listener = Listener(fresh=fresh)
    return listener, [listener.hear(piece) for piece in pieces]


# ------------------------------------------------------------------ lines


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"hello",
        b"[1, 2]",
        b"{}",
        b'"result"',
        b'{"result": 1, "error": 2}',
        b'{"outcome": 1}',
        b'{"result": NaN}',
        b'{"result": Infinity}',
        b'{"result": 1e999}',
        b'{"result": "\\ud800"}',
        b'{"result": "\xff"}',
        b'{"result": "\x00"}',
        b'\x00{"result": 1}',
        b'{"result": ' + b"9" * 5000 + b"}",
        b'{"result": ' + b"[" * 100_000,
        b'{"result": ' + b"[" * 500 + b"]" * 500 + b"}",
        b'{"result": "' + b"x" * LINE_BYTES + b'"}',
    ],
)
def test_what_is_no_telling_is_nothing(bad: bytes):
    assert parse_line(bad) is None
    listener, kept = hear(bad + b"\n", line("result", 1))
    assert read_told(b"".join(kept)).result == 1
    assert listener.progress is None


def test_nesting_ends_somewhere():
    def nested(depth: int) -> bytes:
        return b'{"result": ' + b"[" * depth + b"]" * depth + b"}"

    assert parse_line(nested(DEPTH - 1)) is not None
    assert parse_line(nested(DEPTH)) is None


@given(st.lists(st.binary(max_size=60), max_size=8), st.booleans())
def test_no_bytes_break_it(pieces: list[bytes], fresh: bool):  # noqa: FBT001 - drawn
    _, kept = hear(*pieces, fresh=fresh)
    read_told(b"".join(kept))


# ------------------------------------------------------------------ progress


def test_progress_is_heard_and_not_kept_and_the_last_one_counts():
    listener, kept = hear(line("progress", [1, 4, "a"]) + line("progress", [2, 4, "b"]))
    assert listener.progress == Progress(2, 4, "b")
    assert kept == [b""]
    listener.hear(b"")
    assert listener.progress is None


@pytest.mark.parametrize(
    ("value", "progress"),
    [
        ([5], Progress(5)),
        ([5, None], Progress(5)),
        ([5, 0, "x"], Progress(5, None, "x")),
        ([5, -1], Progress(5)),
        ([0.5, 1.5], Progress(0.5, 1.5)),
        ([1, 2, " a\n\tb\x1b[0m "], Progress(1, 2, "a b?[0m")),
        ([], None),
        ([1, 2, "x", 3], None),
        ("5", None),
        (["5"], None),
        ([True], None),
        ([1, "2"], None),
        ([1, 2, 3], None),
        ([1e16], None),
        ([10**4000], None),
        ({"done": 1}, None),
    ],
)
def test_progress_is_one_to_three_values(value: object, progress: Progress | None):
    assert read_progress(value) == progress


def test_progress_that_is_none_leaves_the_one_before():
    listener, _ = hear(line("progress", [3, 4]) + line("progress", ["x"]))
    assert listener.progress == Progress(3, 4)


@given(
    st.integers(-(10**15), 10**15) | st.floats(-1e15, 1e15),
    st.none() | st.integers(1, 10**15) | st.floats(1e-300, 1e15),
    st.text(max_size=400),
)
def test_it_fits_its_column_and_comes_back(done: float, total: float | None, text: str):
    progress = read_progress([done, total, text])
    assert progress is not None
    stored = progress.stored()
    assert len(stored) <= STORED_LENGTH
    back = read_stored(stored)
    assert back is not None
    assert (back.done, back.total) == (progress.done, progress.total)
    assert progress.text.startswith(back.text)


@pytest.mark.parametrize("text", ["x" * 400, '"' * 200, "\U0001f600" * 200, "\x00" * 200])
def test_a_long_text_gives_way_to_the_numbers(text: str):
    stored = Progress(1, 2, text).stored()
    assert STORED_LENGTH - 12 <= len(stored) <= STORED_LENGTH
    back = json.loads(stored)
    assert back[:2] == [1, 2]
    assert text.startswith(back[2])


@pytest.mark.parametrize("stored", [None, "", "x", "[", "{}", "[1,2,3]", '1}, {"a": 1'])
def test_a_column_that_says_something_else_says_nothing(stored: str | None):
    assert read_stored(stored) is None


# ------------------------------------------------------------------ what is kept


def test_the_last_result_and_the_last_error_are_kept():
    told = line("result", {"rows": 1}) + line("error", ERROR) + line("result", {"rows": 2})
    listener, kept = hear(told)
    assert kept == [told]
    assert read_told(told) == Told(result={"rows": 2}, error=ERROR)
    assert listener.words == "ValueError: no such table"


@given(st.lists(st.integers(0, 200), max_size=6), st.integers(0, 6))
def test_however_it_is_cut_and_whoever_listens_it_is_read_as_it_was_said(
    cuts: list[int], crash: int
):
    said = line("progress", [1, 2]) + line("error", ERROR) + line("result", list(range(20)))
    edges = sorted({0, len(said), *(cut for cut in cuts if cut < len(said))})
    pieces = [said[a:b] for a, b in pairwise(edges)]
    _, before = hear(*pieces[:crash])
    _, after = hear(*pieces[crash:], fresh=False)
    told = read_told(b"".join(before + after))
    assert (told.result, told.error, told.notes) == (list(range(20)), ERROR, ())


def test_an_error_that_came_in_pieces_has_its_words():
    said = line("error", ERROR)
    listener, _ = hear(said[:20], said[20:])
    assert listener.words == "ValueError: no such table"


def test_a_line_that_is_nothing_is_not_kept_and_noted_once():
    _, kept = hear(b"hello\n" * 3, b"again\n", line("result", 1))
    told = read_told(b"".join(kept))
    assert (told.result, told.notes) == (1, (ODD,))
    assert len(b"".join(kept)) < 120


def test_an_empty_line_is_nothing_and_no_fault():
    assert hear(b"\n\n", b"  \n")[1] == [b"", b""]


def test_the_end_of_a_line_that_an_earlier_life_stored_is_kept_without_a_note():
    _, kept = hear(b'ue": 5}\n' + line("result", 2), fresh=False)
    assert read_told(b'{"res' + b"".join(kept)) == Told(result=2)
    assert kept[0].startswith(b'ue": 5}\n')


def test_a_huge_line_costs_little_and_does_not_hide_what_follows():
    listener, kept = hear(*[b"x" * 65_536] * 3, b"\n", line("result", 1))
    assert len(listener._open) == 0
    told = read_told(b"".join(kept))
    assert (told.result, told.notes) == (1, (ODD,))
    listener, _ = hear(*[b"x" * 65_536] * 9)
    assert len(listener._open) <= LINE_BYTES + 1


def test_what_is_kept_of_an_attempt_is_bounded():
    _, kept = hear(*[b"x" * 65_536] * 20)
    assert sum(map(len, kept)) == KEPT_BYTES


@pytest.mark.parametrize("cut", [0, 1, 30])
def test_a_gap_hides_neither_what_is_before_nor_what_is_behind_it(cut: int):
    """Whole lines, and half ones, on both sides."""
    said = line("result", {"rows": 1}) + line("progress", [1, 2])[: cut and 9]
    behind = (line("note", "hidden" * 10)[-cut:] if cut else b"") + line("error", ERROR)
    listener = Listener(fresh=True)
    kept = listener.hear(said) + listener.hear(behind, 5000) + listener.hear(line("note", "x"))
    note = "5000 bytes on descriptor 3 were passed over: more came than is kept"
    assert read_told(kept) == Told(result={"rows": 1}, error=ERROR, notes=(note, "x"))
    assert listener.words == "ValueError: no such table"


@pytest.mark.parametrize("at", [0, 1, 500])
@pytest.mark.parametrize("junk", [b"x" * 65_536, line("note", "y" * 100) * 500])
def test_the_last_words_have_room_however_much_was_told_before(junk: bytes, at: int):
    result = line("result", "r" * 60_000)
    pieces = [*[junk] * 9, b"\n" + result[:at], result[at:] + line("error", ERROR)]
    _, kept = hear(*pieces)
    told = read_told(b"".join(kept))
    assert (told.result, told.error) == ("r" * 60_000, ERROR)
    _, kept = hear(*pieces, *[result] * 20)
    assert sum(map(len, kept)) <= KEPT_BYTES + SPARE_BYTES
    assert read_told(b"".join(kept)).result == "r" * 60_000


def test_notes_are_few_and_each_said_once():
    said = b"".join(line("note", f"n{number // 2}") for number in range(40)) + line("note", 5)
    assert read_told(said).notes == ("n15", "n16", "n17", "n18", "n19")


@pytest.mark.parametrize("value", [None, "x", [], {"type": 5, "message": ["m"]}])
def test_an_error_has_texts_whatever_was_said(value: object):
    assert read_error(value) == {"type": "", "message": "", "traceback": ""}


def test_the_words_of_an_error_are_one_short_line():
    words = error_words({"type": "", "message": "a\nb" + "x" * 500, "traceback": ""})
    assert words.startswith("a b")
    assert len(words) == 300
