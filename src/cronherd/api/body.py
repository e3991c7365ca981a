"""Bodies of requests: JSON only, and bounded before and after it is read."""

import json
import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from starlette.requests import Request

from cronherd.domain.errors import Invalid

BODY_BYTES = 32 << 20  # 20,000 jobs of 1.6 KB
BODY_VALUES = 2_000_000  # 32 MiB of `[],[],…` would fill a gigabyte of memory
BODY_DEPTH = 32  # a definition has six levels
KEY_LENGTH = 80  # of a key in a sentence

_FORBIDDEN = re.compile(r"[\x00\ud800-\udfff]")
Kind = TypeVar("Kind")


async def _bytes_of(request: Request) -> bytes:
    """The whole body; what is above the limit is not kept."""
    if _announced(request) > BODY_BYTES:
        raise _too_large()
    kept = bytearray()
    async for part in request.stream():
        kept += part
        if len(kept) > BODY_BYTES:
            raise _too_large()
    if kept and not _is_json(request.headers.get("content-type", "")):
        raise Invalid(
            "the body must be JSON", code="not_json", hint="send Content-Type: application/json"
        )
    return bytes(kept)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) < 20 else 0


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def _too_large() -> Invalid:
    return Invalid(f"a body has at most {BODY_BYTES >> 20} MiB", code="too_large")


# Both are plain functions: FastAPI reads the JSON in its thread pool, never in the event loop.


def _document(raw: Annotated[bytes, Depends(_bytes_of)]) -> object:
    if not raw:
        raise Invalid("the body is missing", code="bad_json", hint="send a JSON document")
    return parse_json(raw)


def _mapping(raw: Annotated[bytes, Depends(_bytes_of)]) -> dict[str, Any]:
    document = parse_json(raw) if raw else {}
    if not isinstance(document, dict):
        raise Invalid("the body must be a mapping")
    return document


Document = Annotated[object, Depends(_document)]
Mapping = Annotated[dict[str, Any], Depends(_mapping)]


def parse_json(raw: bytes) -> object:
    """Read a document strictly: RFC 8259, no key twice, no NaN, no NUL, bounded. Raises Invalid."""
    if sum(raw.count(mark) for mark in (b",", b"[", b"{")) > BODY_VALUES:
        raise Invalid(f"the body holds more than {BODY_VALUES:,} values", code="too_many")
    try:
        # Text first: json guesses an encoding from bytes, and would take UTF-16.
        document: object = json.loads(
            raw.decode(), object_pairs_hook=_pairs, parse_constant=_refuse_constant
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise Invalid(f"the body is not JSON: {error}"[:300], code="bad_json") from None
    _check(document)
    return document


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise Invalid(f"the key '{_short(twice)}' stands twice", code="duplicate_key")
    return mapping


def _refuse_constant(word: str) -> object:
    raise Invalid(f"{word} is not JSON", code="bad_json")


def _too_deep() -> Invalid:
    return Invalid(f"the body is nested deeper than {BODY_DEPTH} levels", code="too_deep")


def _check(document: object) -> None:
    """Level by level and not recursive: this is what recursion has to be protected from."""
    level: list[object] = [document]
    for _ in range(BODY_DEPTH + 1):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise _too_deep()


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        for key in value:
            _check_text(key, f"the text '{_short(key)}'")
        return value.values()
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        _check_text(value, "a text in the body")  # which is not repeated: it may be a secret
    elif isinstance(value, float) and not math.isfinite(value):
        raise Invalid("a number in the body is too large", code="bad_json")
    return ()


def _check_text(text: str, called: str) -> None:
    if _FORBIDDEN.search(text):
        sentence = f"{called} contains a NUL or half a surrogate pair"
        raise Invalid(sentence, code="bad_text")


def _short(text: str) -> str:
    return ascii(text[:KEY_LENGTH])[1:-1]


# Members of a mapping


def only(document: dict[str, Any], *known: str) -> None:
    """Refuse members that nobody would read."""
    for key in document:
        if key not in known:
            hint = f"known are {', '.join(known)}"
            raise Invalid("is not known here", code="unknown_key", hint=hint, where=_short(key))


def required(document: dict[str, Any], key: str) -> str:
    """A text that has to be there. Raises Invalid."""
    if key not in document:
        raise Invalid("is required", code="missing", where=key)
    return member(document, key, str, "")


def member(document: dict[str, Any], key: str, kind: type[Kind], default: Kind) -> Kind:
    """A member of one kind, the default when it is absent."""
    value = document.get(key, default)
    if isinstance(value, kind) and not (kind is int and isinstance(value, bool)):
        return value
    words = {
        bool: "true or false",
        str: "text",
        list: "a list",
        dict: "a mapping",
        int: "a whole number",
    }
    raise Invalid(f"must be {words[kind]}", where=key)
