"""One YAML text with the place of everything in it.

The scalars are those of YAML 1.2: `12:30`, `no`, `2026-01-01` and `0755` stay text. The builder
walks the parser's events itself, so that depth and size are bounded before anything is built, an
alias costs nothing, and every key keeps its line and column. JSON is read as the YAML it is.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml

from cronherd.domain.errors import Invalid

KeyPath = tuple[str | int, ...]

MAX_BYTES = 10 * 1024 * 1024  # a hundred thousand jobs; more is not a configuration
MAX_DEPTH = 64  # ours needs six; the builder recurses once a level
MAX_NODES = 1_000_000  # with every alias counted as what it stands for
_MAX_DIGITS = 40

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_UNREADABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FORBIDDEN = re.compile("[\0\ud800-\udfff]")
_PAIR = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})", re.IGNORECASE)
_WORDS: Mapping[str, object] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
# Like the integers, without a leading zero: `08.5` and `00` are text.
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_TAG = "tag:yaml.org,2002:"
_TAGS = {f"{_TAG}{name}" for name in ("str", "int", "float", "bool", "null")}


class Spelled(float):
    """A number that remembers how it was written: `1.10` is not `1.1` where text is meant."""

    spelling: str

    def __new__(cls, spelling: str) -> Self:
        number = super().__new__(cls, spelling)
        number.spelling = spelling
        return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """What a text says, and where it says it."""

    name: str
    value: object
    marks: Mapping[KeyPath, tuple[int, int]]

    def place(self, path: KeyPath) -> str:
        """`cronherd.yaml:11:5` of the key or item, else of its nearest known ancestor."""
        line, column = self.mark(path)
        return f"{self.name}:{line}:{column}" if line else self.name

    def mark(self, path: KeyPath) -> tuple[int, int]:
        """Line and column of the key or item, or of its ancestor; (0, 0) where nothing is known."""
        for length in range(len(path), 0, -1):
            if mark := self.marks.get(path[:length]):
                return mark
        return (0, 0)


def read_document(path: Path, name: str = "") -> Document:
    """The file as a Document. Raises Invalid, with the file's name, for whatever is in the way.

    `name` is what people call the file, when that is shorter than its path.
    """
    name = name or str(path)
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise Invalid("there is no such file", code="no_file", where=name) from None
    except IsADirectoryError:
        raise Invalid("is a directory, not a file", code="no_file", where=name) from None
    except PermissionError:
        raise Invalid(
            "may not be read", code="not_readable", hint="check its owner and mode", where=name
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a path"
        raise Invalid(f"cannot be read: {reason}", code="not_readable", where=name) from None
    return load_document(_decode(raw, name), name)


def load_document(text: str, name: str) -> Document:
    """The text as a Document. Raises Invalid with the place, code `bad_yaml` or more exact."""
    text = _checked(text, name)
    marks: dict[KeyPath, tuple[int, int]] = {}
    if not text.strip():
        return Document(name=name, value=None, marks=marks)
    events = yaml.parse(text, Loader=_LOADER)
    try:
        value = _Builder(events, name, marks).document()
    except yaml.YAMLError as error:
        raise _syntax_error(error, text, name) from None
    except (ValueError, OverflowError):  # the pure loader's, for an escape beyond Unicode
        raise Invalid("is not YAML", code="bad_yaml", where=name) from None
    return Document(name=name, value=value, marks=marks)


def resolve_scalar(text: str) -> object:
    """A plain scalar by the core schema of YAML 1.2, without hexadecimal and octal."""
    if text in _WORDS:
        return _WORDS[text]
    if not text[0].isdigit() and text[0] not in "-+.":
        return text
    if _INT.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise Invalid("a number is too long", code="bad_number")
        return int(text)
    return Spelled(text) if _FLOAT.fullmatch(text) else text


def _decode(raw: bytes, name: str) -> str:
    if len(raw) > MAX_BYTES:
        raise _too_large(name)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode()
        hint = "save it as UTF-8"
        if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            hint = "it looks like UTF-16: save it as UTF-8"
        raise Invalid(
            "is not UTF-8", code="not_utf8", hint=hint, where=_spot(name, before)
        ) from None


def _checked(text: str, name: str) -> str:
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_BYTES:
        raise _too_large(name)
    if found := _UNREADABLE.search(text):
        raise Invalid(
            f"a character that text may not have (U+{ord(found[0]):04X})",
            code="bad_text",
            where=_spot(name, text[: found.start()]),
        )
    # JSON writes what lies beyond 16 bits as two escapes, which YAML does not know.
    return _PAIR.sub(_join_pair, text) if text.lstrip()[:1] in {"{", "["} else text


def _too_large(name: str) -> Invalid:
    return Invalid(f"is larger than {MAX_BYTES >> 20} MiB", code="too_large", where=name)


def _join_pair(found: re.Match[str]) -> str:
    high, low = int(found[1], 16), int(found[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _spot(name: str, before: str) -> str:
    lines = before.split("\n")
    return f"{name}:{len(lines)}:{len(lines[-1]) + 1}"


class _Builder:
    """Builds the value from the parser's events, once, in order."""

    def __init__(
        self, events: Iterator[Any], name: str, marks: dict[KeyPath, tuple[int, int]]
    ) -> None:
        self._events = events
        self._name = name
        self._marks = marks
        self._nodes = 0
        self._deepest = 0
        # Each anchor's value, how many nodes it stands for, and how many levels it has: aliases
        # of aliases could otherwise nest without bound.
        self._anchors: dict[str, tuple[object, int, int]] = {}

    def document(self) -> object:
        value: object = None
        documents = 0
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refuse(event, "a second document begins here", "one file, one text")
            elif isinstance(event, yaml.NodeEvent):
                value = self._node(event, ())
        return value

    def _node(self, event: Any, path: KeyPath) -> object:
        self._count(event, 1)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event, len(path))
        self._descend(event, len(path))
        nodes_before, deepest_before = self._nodes, self._deepest
        self._deepest = len(path)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            value = self._mapping(event, path)
        else:
            value = self._sequence(event, path)
        if event.anchor:
            nodes, levels = 1 + self._nodes - nodes_before, self._deepest - len(path)
            self._anchors[event.anchor] = (value, nodes, levels)
        self._deepest = max(self._deepest, deepest_before)
        return value

    def _descend(self, event: Any, depth: int) -> None:
        self._deepest = max(self._deepest, depth)
        if depth > MAX_DEPTH:
            raise self._refuse(event, f"is nested deeper than {MAX_DEPTH} levels", "")

    def _count(self, event: Any, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise self._refuse(event, f"holds more than {MAX_NODES:,} values", "aliases count too")

    def _alias(self, event: Any, depth: int) -> object:
        if event.anchor not in self._anchors:
            # `schedule: *abc` is read as an alias: the quotes are what is missing.
            text = f"'*{event.anchor}' means an alias that does not exist"
            raise self._refuse(event, text, f"as text, put it in quotes: '*{event.anchor}'")
        value, nodes, levels = self._anchors[event.anchor]
        self._count(event, nodes)
        self._descend(event, depth + levels)
        return value

    def _scalar(self, event: Any) -> object:
        if _FORBIDDEN.search(event.value):
            raise self._refuse(event, "contains a NUL or half a surrogate pair", "", "bad_text")
        if event.tag not in (None, "!") and event.tag not in _TAGS:
            raise self._refuse(event, f"the tag '{event.tag[:40]}' is not known here", "")
        if event.tag == f"{_TAG}str" or (event.tag is None and not event.implicit[0]):
            return event.value
        if event.tag == "!":
            return event.value
        try:
            return resolve_scalar(event.value)
        except Invalid as error:
            raise self._refuse(event, error.text, error.hint, error.code) from None

    def _mapping(self, event: Any, path: KeyPath) -> dict[str, object]:
        self._check_tag(event, "map")
        pairs: dict[str, object] = {}
        for key in self._events:
            if isinstance(key, yaml.MappingEndEvent):
                return pairs
            name = self._key(key)
            here = (*path, name)
            if name in pairs:
                hint = f"first on line {self._marks[here][0]}"
                raise self._refuse(key, f"'{name[:80]}' is given twice", hint, "duplicate_key")
            self._marks[here] = (key.start_mark.line + 1, key.start_mark.column + 1)
            pairs[name] = self._node(next(self._events), here)
        raise AssertionError("the parser ends every mapping")

    def _key(self, event: Any) -> str:
        if not isinstance(event, yaml.ScalarEvent):
            raise self._refuse(event, "a key must be plain text", "quote it, or remove the braces")
        if event.value == "<<" and event.implicit[0]:
            raise self._refuse(event, "'<<' does not merge here", "use the defaults: block")
        self._count(event, 1)
        if event.anchor:
            self._anchors[event.anchor] = (event.value, 1, 0)
        if _FORBIDDEN.search(event.value):
            raise self._refuse(event, "contains a NUL or half a surrogate pair", "", "bad_text")
        return str(event.value)

    def _sequence(self, event: Any, path: KeyPath) -> list[object]:
        self._check_tag(event, "seq")
        items: list[object] = []
        for part in self._events:
            if isinstance(part, yaml.SequenceEndEvent):
                return items
            here = (*path, len(items))
            self._marks[here] = (part.start_mark.line + 1, part.start_mark.column + 1)
            items.append(self._node(part, here))
        raise AssertionError("the parser ends every list")

    def _check_tag(self, event: Any, name: str) -> None:
        if event.tag not in (None, "!", f"{_TAG}{name}"):
            raise self._refuse(event, f"the tag '{event.tag[:40]}' is not known here", "")

    def _refuse(self, event: Any, text: str, hint: str, code: str = "bad_yaml") -> Invalid:
        mark = event.start_mark
        where = f"{self._name}:{mark.line + 1}:{mark.column + 1}"
        return Invalid(text, code=code, hint=hint, where=where)


# The parser's words, and ours. The first that is found in its sentence counts.
_SENTENCES = (
    ("mapping values are not allowed", "a ':' is not expected here",
     "put the text in quotes, or check the indentation"),
    ("could not find expected ':'", "a ':' is missing after a key", "check the line above too"),
    ("unexpected end of stream", "a quote is not closed", ""),
    ("',' or ']'", "a ',' or a closing ']' is missing", ""),
    ("',' or '}'", "a ',' or a closing '}' is missing", ""),
    ("expected alphabetic or numeric", "text that begins with '*' or '&' needs quotes",
     "write '*/5 * * * *'"),
    ("did not find expected key", "a key is expected here", "check indentation and quotes"),
    ("did not find expected '-'", "a list item '- ' is expected here", "check the indentation"),
    ("block sequence entries are not allowed", "a list item is not expected here",
     "begin the list on its own line"),
    ("block collections", "a list or mapping is not expected here", "check the indentation"),
    ("expected <document start>", "the text goes on where it should end",
     "check indentation and quotes"),
    ("escape", "an unknown escape within double quotes", "use single quotes, or write \\\\"),
    ("directive", "a line that begins with '%' needs quotes", ""),
    ("undefined tag handle", "a tag '!' is not known here", "put the text in quotes"),
)  # fmt: skip


def _syntax_error(error: yaml.YAMLError, text: str, name: str) -> Invalid:
    """One plain sentence for what the parser says in its own words."""
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    if mark is None:
        return Invalid("is not YAML", code="bad_yaml", where=name)
    where = f"{name}:{mark.line + 1}:{mark.column + 1}"
    sentence, hint = _plain_words(str(getattr(error, "problem", "")), _line(text, mark.line), mark)
    return Invalid(sentence, code="bad_yaml", hint=hint, where=where)


def _plain_words(problem: str, line: str, mark: Any) -> tuple[str, str]:
    char = line[mark.column : mark.column + 1]
    if "\t" in line[: mark.column + 1] and not line[: mark.column].strip():
        return "a tab cannot indent YAML", "use blanks"
    if "cannot start any token" in problem and char:
        rest = line[mark.column :].strip()[:40].replace("'", "")
        return f"text cannot begin with '{char}'", f"put it in quotes: '{rest}'"
    if "${" in line and "'}'" in problem:
        return "'${' needs quotes within braces", "write '${NAME}'"
    for words, sentence, hint in _SENTENCES:
        if words in problem:
            return sentence, hint
    return "is not YAML here", "check indentation and quotes"


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number] if number < len(lines) else ""
