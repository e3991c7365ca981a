"""Hostile strings, and every place of a schema that takes a text."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

STRINGS = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "' autofocus onfocus=alert(1) x='",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "//evil.example.com/x",
    "]]></svg></textarea></title><style>*{}</style><!--",
    "{{ 7*7 }}{% raw %}${7*7}#{7*7}<%= 7*7 %>",
    "{job.__class__.__mro__} %(name)s %s %n {0}",
    "a\r\nBcc: evil@example.com\r\n\r\nbody",
    "a\r\nSet-Cookie: cronherd_session=evil",
    "a\nfired: a line of a log that nobody wrote",
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07\x1b]52;c;ZXZpbA==\x07",
    "\x1b]8;;https://evil.example.com\x1b\\here\x1b]8;;\x1b\\",
    "\x1bP+q544e\x1b\\\x9b31m\x9d0;title\x9c",
    "a\x00b",
    "".join(map(chr, (*range(1, 9), *range(11, 32), *range(127, 160)))),
    "\u202egnp.evil\u202c \u2066x\u2069",
    "a\u200bb\u200d\ufeffc\u00ad",
    "a\u2028b\u2029c",
    "\ud800 lone \udfff",
    "x" * 70_000,
    "\U0001f4a3" * 40,
    "e\u0301" * 60 + "\u0335" * 60,
    'a"}\ncronherd_evil{x="1"} 1\n',
    '\\"} 1',
    '=cmd|"/C calc"!A0',
    "@SUM(1+1)*cmd",
    "; id $(id) `id` | id && id",
    "9" * 5_000,
    "-rf",
    "--config=/etc/shadow",
    "@/etc/passwd",
    "'; DROP TABLE job; --",
    "%' OR 1=1 -- _%",
    "../../../etc/passwd",
    "..%2f..%2fetc%2fpasswd",
    "/etc/passwd",
    "https://user:pass@evil.example.com/?a=<b>",
    "None",
    "NaN",
    "1e400",
    " ",
    "",
)


def spots(schema: Json, text: str) -> Iterator[object]:
    """Values of a schema, each with the text at another place that takes one."""
    for choice in schema.get("anyOf") or schema.get("oneOf") or ():
        yield from spots(choice, text)
    said: str | list[str] = schema.get("type", [])
    kinds = {said} if isinstance(said, str) else set(said)
    if "string" in kinds or not schema:
        yield text
    if "array" in kinds:
        for value in spots(schema.get("items", {}), text):
            yield [value]
    if "object" in kinds:
        yield from _members(schema, text)


def _members(schema: Json, text: str) -> Iterator[object]:
    named: Json = schema.get("properties", {})
    least = {key: sample(named[key]) for key in schema.get("required", ()) if key in named}
    for key, part in named.items():
        for value in spots(part, text):
            yield {**least, key: value}
    rest = schema.get("additionalProperties", True)
    if rest is not False and not named:
        more: Json = {} if rest is True else rest
        yield {text: sample(more)}
        for value in spots(more, text):
            yield {"KEY": value}


def sample(schema: Json) -> object:
    """A value that may be right."""
    if "enum" in schema:
        return schema["enum"][0]
    for choice in schema.get("anyOf", ()):
        return sample(choice)
    kinds = schema.get("type", "string")
    kind = kinds if isinstance(kinds, str) else kinds[0]
    if kind == "object":
        named: Json = schema.get("properties", {})
        return {key: sample(named[key]) for key in schema.get("required", ()) if key in named}
    if kind == "array":
        return [sample(schema.get("items", {}))]
    return {"integer": 1, "number": 1, "boolean": True, "null": None}.get(kind, "x")


def texts_of(value: object) -> Iterator[str]:
    """Each text in a document, keys among them."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from texts_of(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts_of(part)
