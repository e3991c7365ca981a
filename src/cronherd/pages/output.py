"""Output of runs as lines: its colours as classes, everything else of a terminal taken out.

What a command writes is only ever text: a template escapes it, and static/log.js, which does the
same for output that comes live, makes text nodes of it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_BASE = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_RGB = (
    (0, 0, 0), (205, 49, 49), (13, 188, 121), (229, 229, 16),
    (36, 114, 200), (188, 63, 188), (17, 168, 205), (229, 229, 229),
)  # fmt: skip
_LEVELS = (0, 95, 135, 175, 215, 255)
_ESCAPE = re.compile(
    r"""\x1b\[(?P<sgr>[0-9;:]*)m            # colours
    | \x1b\[[0-?]*[\x20-/]*[@-~]            # other sequences: the cursor, clearing
    | \x1b[\]PX^_].*?(?:\x07|\x1b\\|$)      # strings: titles, links
    | \x1b[\x20-/]*[0-~]?                   # the rest
    """,
    re.VERBOSE,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
LINE_CHARS = 20_000  # of one line; what is longer can be downloaded

Span = tuple[str, str]


@dataclass(slots=True)
class Pen:
    """How a terminal would write at this place."""

    bold: bool = False
    faint: bool = False
    italic: bool = False
    under: bool = False
    front: str = ""
    back: str = ""

    @property
    def classes(self) -> str:
        flags = (("b", self.bold), ("d", self.faint), ("i", self.italic), ("u", self.under))
        words = [f"a-{name}" for name, on in flags if on]
        words += [f"a-{self.front}"] if self.front else []
        words += [f"a-on-{self.back}"] if self.back else []
        return " ".join(words)

    def write(self, codes: str) -> None:
        """Change as an SGR sequence says."""
        numbers = [_bounded(code) for code in codes.replace(":", ";").split(";")[:32]]
        place = 0
        while place < len(numbers):
            place += self._one(numbers, place)

    def _one(self, numbers: list[int], place: int) -> int:
        code = numbers[place]
        if code in {38, 48}:
            return self._extended(numbers, place)
        if code == 0:
            self.bold = self.faint = self.italic = self.under = False
            self.front = self.back = ""
        elif code in {1, 2, 3, 4}:
            setattr(self, ("bold", "faint", "italic", "under")[code - 1], True)
        elif code == 22:
            self.bold = self.faint = False
        elif code in {23, 24}:
            setattr(self, "italic" if code == 23 else "under", False)
        elif code in {39, 49}:
            setattr(self, "front" if code == 39 else "back", "")
        elif 30 <= code <= 37 or 90 <= code <= 97:
            self.front = _BASE[code % 10]
        elif 40 <= code <= 47 or 100 <= code <= 107:
            self.back = _BASE[code % 10]
        return 1

    def _extended(self, numbers: list[int], place: int) -> int:
        """`38;5;N` and `38;2;R;G;B`, as the nearest of the eight colours that a theme has."""
        kind = numbers[place + 1] if place + 1 < len(numbers) else 0
        rest = numbers[place + 2 :]
        if kind == 5 and rest:
            colour, used = _of_256(rest[0]), 3
        elif kind == 2 and len(rest) >= 3:
            colour, used = _nearest(rest[0], rest[1], rest[2]), 5
        else:
            return len(numbers) - place
        setattr(self, "front" if numbers[place] == 38 else "back", colour)
        return used


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line as it is shown; `note` instead of text where output is missing."""

    number: int
    attempt: int
    stream: str
    at: str | None
    spans: tuple[Span, ...] = ()
    note: str = ""
    first: bool = False

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.spans)


@dataclass(slots=True)
class _Half:
    """A line that has no end yet."""

    content: bytearray = field(default_factory=bytearray)
    at: str | None = None
    pen: Pen = field(default_factory=Pen)


class Screen:
    """Pieces of output in, lines out, in the order in which they ended."""

    def __init__(self, first: int = 1) -> None:
        self.lines: list[Line] = []
        self.number = first  # of the next line
        self._attempt = 0
        self._first = False
        self._halves: dict[str, _Half] = {}

    def feed(self, pieces: Iterable[Mapping[str, Any]]) -> None:
        for piece in pieces:
            if piece["attempt"] != self._attempt:
                self.end()
                self._halves.clear()
                self._attempt, self._first = piece["attempt"], True
            if piece["dropped_bytes"]:
                self.end()
                text = f"{piece['dropped_bytes']:,} bytes are missing here: there was too much"
                self._add(Line(number=0, attempt=self._attempt, stream="", at=None, note=text))
            self._split(piece["stream"], piece["bytes"].encode("latin-1"), piece["at"])

    def end(self) -> None:
        """What has no line end is a line, too."""
        for stream, half in self._halves.items():
            if half.content:
                self._close(stream, half)

    def cut(self, most: int) -> int:
        """Keep so many lines; the number of the first that is not kept."""
        following = next((line.number for line in self.lines[most:] if line.number), self.number)
        self.lines = self.lines[:most]
        return following

    def _split(self, stream: str, content: bytes, at: str | None) -> None:
        half = self._halves.setdefault(stream, _Half())
        *whole, rest = content.split(b"\n")
        for part in whole:
            half.at = half.at or at
            half.content += part
            self._close(stream, half)
        if rest:
            half.at = half.at or at
            half.content += rest

    def _close(self, stream: str, half: _Half) -> None:
        text = bytes(half.content).decode("utf-8", "replace")
        spans = tuple(read_spans(text, half.pen))
        self._add(
            Line(number=self.number, attempt=self._attempt, stream=stream, at=half.at, spans=spans)
        )
        self.number += 1
        half.content, half.at = bytearray(), None

    def _add(self, line: Line) -> None:
        if self._first:
            line = Line(
                number=line.number, attempt=line.attempt, stream=line.stream, at=line.at,
                spans=line.spans, note=line.note, first=True,
            )  # fmt: skip
            self._first = False
        self.lines.append(line)


def read_spans(text: str, pen: Pen) -> list[Span]:
    """A line as texts with their classes. Of what was written over only the last is kept."""
    text = text.rstrip("\r")
    text = text.rsplit("\r", 1)[-1]
    cut = len(text) > LINE_CHARS
    spans: list[Span] = []
    place = 0
    for found in _ESCAPE.finditer(text[:LINE_CHARS]):
        _put(spans, text[place : found.start()], pen)
        if found["sgr"] is not None:
            pen.write(found["sgr"])
        place = found.end()
    _put(spans, text[place:LINE_CHARS], pen)
    if cut:
        spans.append((f" … {len(text) - LINE_CHARS:,} characters more", "a-d"))
    return spans


def _put(spans: list[Span], text: str, pen: Pen) -> None:
    text = _CONTROL.sub(_picture, text)
    if text:
        spans.append((text, pen.classes))


def _picture(found: re.Match[str]) -> str:
    """A control character as something that can be seen."""
    return chr(0x2421 if found[0] == "\x7f" else 0x2400 + ord(found[0]))


def _bounded(digits: str) -> int:
    """A number of a sequence. Anybody writes these: Python refuses to read 4,301 digits."""
    return int(digits.lstrip("0")[:6] or 0)


def _of_256(number: int) -> str:
    if number < 16:
        return _BASE[number % 8]
    if number < 232:
        red, green, blue = ((number - 16) // 36, (number - 16) // 6 % 6, (number - 16) % 6)
        return _nearest(_LEVELS[red % 6], _LEVELS[green], _LEVELS[blue])
    grey = 8 + 10 * (number - 232)
    return _nearest(grey, grey, grey)


def _nearest(red: int, green: int, blue: int) -> str:
    wanted = (red, green, blue)
    far = [sum((a - b) ** 2 for a, b in zip(wanted, each, strict=True)) for each in _RGB]
    return _BASE[far.index(min(far))]
