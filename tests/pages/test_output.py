"""Output as lines: colours as classes, nothing of a terminal, nothing lost."""

from typing import Any

import pytest

from cronherd.pages.output import Pen, Screen, read_spans

# (what a command writes, texts with their classes): tests/browser holds log.js against the same.
VECTORS: list[tuple[str, list[tuple[str, str]]]] = [
    ("plain", [("plain", "")]),
    ("\x1b[31mred\x1b[0m no", [("red", "a-red"), (" no", "")]),
    ("\x1b[1;4;92mx", [("x", "a-b a-u a-green")]),
    ("\x1b[1mb\x1b[22mn\x1b[2md", [("b", "a-b"), ("n", ""), ("d", "a-d")]),
    (
        "\x1b[33;44mx\x1b[39my\x1b[49mz",
        [("x", "a-yellow a-on-blue"), ("y", "a-on-blue"), ("z", "")],
    ),
    ("\x1b[38;5;196mx\x1b[m!", [("x", "a-red"), ("!", "")]),
    ("\x1b[38;2;0;0;250mx", [("x", "a-blue")]),
    ("\x1b[38:5:2mx", [("x", "a-green")]),
    ("\x1b[38;5mx", [("x", "")]),
    ("\x1b[" + "9" * 5_000 + "mx\x1b[" + "0" * 5_000 + "31my", [("x", ""), ("y", "a-red")]),
    ("\x1b[2J\x1b[1;1Hcleared\x1b[K", [("cleared", "")]),
    ("\x1b]0;title\x07text", [("text", "")]),
    ("\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\", [("link", "")]),
    ("10%\r60%\r100%\r", [("100%", "")]),
    ("<script>alert(1)</script>&amp;", [("<script>alert(1)</script>&amp;", "")]),
    ("a\x07b\x00c\x7f", [("a␇b␀c␡", "")]),
    ("\x1b", []),
    ("tab\there", [("tab\there", "")]),
]


def piece(text: bytes, *, seq: int, stream: str = "stdout", **more: Any) -> dict[str, Any]:
    return {
        "attempt": 1, "seq": seq, "stream": stream, "at": f"2026-11-21T10:00:0{seq}Z",
        "dropped_bytes": 0, "bytes": text.decode("latin-1"), **more,
    }  # fmt: skip


@pytest.mark.parametrize(("text", "spans"), VECTORS)
def test_spans(text: str, spans: list[tuple[str, str]]):
    assert read_spans(text, Pen()) == spans


def test_a_colour_goes_on_in_the_next_line_of_its_stream():
    screen = Screen()
    screen.feed([piece(b"\x1b[31mone\ntwo\n", seq=0), piece(b"err\n", seq=1, stream="stderr")])
    assert [line.spans for line in screen.lines] == [
        (("one", "a-red"),), (("two", "a-red"),), (("err", ""),),
    ]  # fmt: skip


def test_lines_and_letters_that_come_in_parts_are_whole():
    euro = "10 €\n".encode()
    screen = Screen()
    screen.feed([piece(euro[:4], seq=0), piece(b"no\n", seq=1, stream="stderr")])
    screen.feed([piece(euro[4:] + b"end", seq=2)])
    screen.end()
    told = [(line.number, line.stream, line.text, line.at) for line in screen.lines]
    assert told == [
        (1, "stderr", "no", "2026-11-21T10:00:01Z"),
        (2, "stdout", "10 €", "2026-11-21T10:00:00Z"),
        (3, "stdout", "end", "2026-11-21T10:00:02Z"),
    ]


def test_a_gap_and_a_new_attempt_are_told():
    screen = Screen()
    screen.feed([piece(b"a\n", seq=0), piece(b"z\n", seq=1, dropped_bytes=4096)])
    screen.feed([piece(b"again\n", seq=0, attempt=2)])
    assert [line.note for line in screen.lines] == [
        "", "4,096 bytes are missing here: there was too much", "", "",
    ]  # fmt: skip
    assert [line.first for line in screen.lines] == [True, False, False, True]


def test_an_endless_line_is_cut_and_says_so():
    spans = read_spans("x" * 25_000, Pen())
    assert len(spans[0][0]) == 20_000
    assert spans[1] == (" … 5,000 characters more", "a-d")


def test_bytes_that_are_no_text_are_shown_as_such():
    screen = Screen()
    screen.feed([piece(b"\xff\xfe\n", seq=0)])
    assert screen.lines[0].text == "\ufffd\ufffd"
