"""What a task tells of itself on descriptor 3: JSON, an object with one key a line. Pure.

    {"progress": [37, 100, "customers"]}      how far it is; the last one counts
    {"result": …}                             what its function returned
    {"error": {"type": …, "message": …, "traceback": …}}
    {"note": "the result was not kept: …"}    a sentence for people
    {"skipped": "shop:is_open said no"}       nothing was started, and why

Anything may come here: half a line, a huge one, bytes that are no text, an object in an object a
thousand times over. What is none of the above is passed over, and a note says so once.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

STREAM = 3
RESULT_BYTES = 65_536
TRACEBACK_BYTES = 32_768
LINE_BYTES = 131_072
"""A longer line is nothing: a result or an error, written out, is shorter."""
KEPT_BYTES = 262_144
"""So much of an attempt's telling is kept,"""
SPARE_BYTES = 2 * LINE_BYTES
"""and, when that is full, this much of results and errors: they come last."""
DEPTH = 50
STORED_LENGTH = 200
_NUMBER_MOST = 1e15
_ESCAPED = 6  # characters that JSON may make of one
_WORDS_LENGTH = 300
_NOTES = 5
_KINDS = frozenset({"progress", "result", "error", "note", "skipped"})
_LAST_WORDS = frozenset({"result", "error", "skipped"})
_MISSING = b'{"note": "%d bytes on descriptor 3 were passed over: more came than is kept"}\n'
_ODD = b'{"note": "a line on descriptor 3 was not understood and was passed over"}\n'

Number = int | float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task is; `total` None: it does not know how much there is."""

    done: Number
    total: Number | None = None
    text: str = ""

    def stored(self) -> str:
        """As it stands in its column: the text gives way where both do not fit."""
        length = min(len(self.text), STORED_LENGTH)
        while True:
            written = _written(self, self.text[:length])
            excess = len(written) - STORED_LENGTH
            if excess <= 0 or not length:
                return written
            length -= min(length, 1 + excess // _ESCAPED)


@dataclass(slots=True, kw_only=True)
class Advance:
    """A running attempt says how far it is; `stored` is the text of the column."""

    run_id: str
    token: str
    stored: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that an attempt told and that is kept; `error` has type, message and traceback."""

    result: Any = None
    error: dict[str, str] | None = None
    notes: tuple[str, ...] = ()


class Listener:
    """One attempt's descriptor 3, piece by piece: what to keep of each, and what it says.

    Progress is not kept, a line that did not end yet is, as it came: whoever listens after a
    crash of the agent hears only its end (`fresh` is False then), and both ends are read as one.
    """

    __slots__ = (
        "_first",
        "_kept",
        "_odd",
        "_open",
        "_spare",
        "_torn",
        "progress",
        "skipped",
        "words",
    )

    def __init__(self, *, fresh: bool) -> None:
        self._open = b""
        self._first = not fresh
        self._kept = 0
        self._spare = SPARE_BYTES
        self._odd = False
        self._torn = False
        """What was kept last has no end, and gets none."""
        self.progress: Progress | None = None
        self.words = ""
        self.skipped = ""
        """The hook that said no, and so nothing was started."""

    def hear(self, piece: bytes, dropped: int = 0) -> bytes:
        """What is to be kept of the next piece. `progress` is the last one in it, if any.

        `dropped`: so many bytes are missing right before it.
        """
        self.progress = None
        kept = bytearray()
        if dropped:
            kept += self._skip(dropped)
        *lines, tail = piece.split(b"\n")
        for line in lines:
            kept += self._line(line)
        if tail:
            self._open += tail[: LINE_BYTES + 1 - len(self._open)]
            kept += self._fitting(tail)
        return bytes(kept)

    def _skip(self, dropped: int) -> bytes:
        """What comes next does not belong to the open line, and may begin in the midst of one."""
        self._open, self._first, self._torn = b"", True, True
        return self._closed(_MISSING % dropped)

    def _line(self, end: bytes) -> bytes:
        """The end of a line, which may be all of it."""
        began, maybe_half = bool(self._open), self._first
        whole = self._open + end
        told = parse_line(whole)
        self._open, self._first = b"", False
        keeps = (began or (told is None and maybe_half)) and not self._torn
        kept = end + b"\n" if keeps else b""
        if told is None:
            odd = not maybe_half and not self._odd and (began or bool(end.strip()))
            self._odd = self._odd or odd
            kept = self._fitting(kept)
            return kept + self._closed(_ODD) if odd else kept
        kind, value = told
        if kind == "progress":
            self.progress = read_progress(value) or self.progress
            return self._fitting(kept)
        if kind == "error":
            self.words = error_words(read_error(value))
        elif kind == "skipped" and isinstance(value, str):
            self.skipped = _line_of(value, _WORDS_LENGTH)
        text = (whole if self._torn else end) + b"\n"
        return self._closed(text, spare=kind in _LAST_WORDS)

    def _closed(self, text: bytes, *, spare: bool = False) -> bytes:
        """A line to keep, or its end. Behind a torn one it begins anew."""
        if self._torn:
            text = b"\n" + text
        if len(text) <= KEPT_BYTES - self._kept:
            self._torn = False
            return self._fitting(text)
        if spare and len(text) <= self._spare:
            self._torn = False
            self._spare -= len(text)
            return text
        self._torn = True
        return b""

    def _fitting(self, text: bytes) -> bytes:
        """As much of it as there is room for."""
        room = KEPT_BYTES - self._kept
        if len(text) > room:
            self._torn = True
            text = text[:room]
        self._kept += len(text)
        return text


def parse_line(line: bytes) -> tuple[str, Any] | None:
    """The key and the value of one line; None for anything else."""
    if len(line) > LINE_BYTES:
        return None
    try:
        told = json.loads(line.decode(), parse_constant=_refuse)
        if not isinstance(told, dict) or len(told) != 1 or not _flat(told, DEPTH):
            return None
        # What no answer can carry is nothing: half a surrogate pair, a number like 1e999.
        json.dumps(told, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        return None
    ((kind, value),) = told.items()
    return (kind, value) if kind in _KINDS else None


def read_told(kept: bytes) -> Told:
    """What was kept of an attempt, put together again; the last of each kind counts."""
    result, error = None, None
    notes: dict[str, None] = {}
    for kind, value in _all_told(kept):
        if kind == "result":
            result = value
        elif kind == "error":
            error = read_error(value)
        elif kind == "note" and isinstance(value, str):
            notes[_line_of(value, _WORDS_LENGTH)] = None
    return Told(result=result, error=error, notes=tuple(notes)[-_NOTES:])


def _all_told(kept: bytes) -> Iterator[tuple[str, Any]]:
    for line in kept.split(b"\n"):
        told = parse_line(line) if line else None
        if told is not None:
            yield told


def read_progress(value: object) -> Progress | None:
    """`[done]`, `[done, total]` or `[done, total, text]`; None for anything else."""
    if not isinstance(value, list) or not 1 <= len(value) <= 3:
        return None
    done, total, text = (*value, None, None)[:3]
    if not _is_number(done) or not (total is None or _is_number(total)):
        return None
    if not (text is None or isinstance(text, str)):
        return None
    whole = total if total is not None and total > 0 else None
    return Progress(done, whole, _line_of(text or "", STORED_LENGTH))


def read_stored(stored: str | None) -> Progress | None:
    """The progress of a column."""
    if not stored:
        return None
    told = parse_line(f'{{"progress": {stored}}}'.encode("utf-8", "replace"))
    return read_progress(told[1]) if told else None


def read_error(value: object) -> dict[str, str]:
    """Type, message and traceback as texts, whatever was said."""
    said = value if isinstance(value, dict) else {}
    return {
        key: text if isinstance(text := said.get(key), str) else ""
        for key in ("type", "message", "traceback")
    }


def error_words(error: dict[str, str]) -> str:
    """`ValueError: no such table`, on one line."""
    words = ": ".join(part for part in (error["type"], error["message"]) if part)
    return _line_of(words, _WORDS_LENGTH)


def _written(progress: Progress, text: str) -> str:
    value = [progress.done, progress.total, text]
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _is_number(value: object) -> bool:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    return abs(value) <= _NUMBER_MOST  # so it is finite, too


def _line_of(text: str, length: int) -> str:
    """A text of anybody as one line of so many characters."""
    line = " ".join(text[: 4 * length].split())[:length]
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else "?" for char in line)


def _flat(value: object, depth: int) -> bool:
    """Whether nothing lies deeper than that."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_flat(part, depth - 1) for part in inner)


def _refuse(word: str) -> None:
    raise ValueError(f"{word} is no JSON")
