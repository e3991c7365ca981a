"""Words of a request and of an answer, and errors rebuilt from problem documents."""

import http.client
import json
from collections.abc import Mapping
from typing import TypeVar
from urllib.parse import quote, urlencode

from cronherd.client.fleet import Json
from cronherd.domain.errors import (
    Conflict,
    CronherdError,
    Invalid,
    InvalidInput,
    NotFound,
    Refused,
    Unavailable,
)

Kind = TypeVar("Kind", bound=CronherdError)


def path_of(noun: str, name: str, verb: str = "") -> str:
    """The path of a thing by its name, percent-encoded. Raises NotFound or Invalid."""
    if not name or "/" in name:  # no segment of a path, and no name of ours
        raise NotFound(f"there is no '{name[:80]}' among the {noun}")
    try:
        return f"/{noun}/{quote(name, safe='')}{verb and '/'}{verb}"
    except UnicodeEncodeError:
        raise Invalid(f"{name[:80]!a} is not UTF-8", code="bad_text") from None


def match_of(version: int | None) -> dict[str, str]:
    """The header that names the version an edit is for; None: whatever there is."""
    return {"If-Match": "*" if version is None else f'"{version}"'}


def query_of(query: Mapping[str, object]) -> str:
    """The query string, without what is None. Raises Invalid."""
    given = [(key, value) for key, value in query.items() if value is not None]
    try:
        return f"?{urlencode(given, doseq=True)}" if given else ""
    except UnicodeEncodeError:
        raise Invalid("a name that was given is not UTF-8", code="bad_text") from None


def dumped(document: object) -> bytes:
    """A document as bytes. Raises Invalid for what JSON cannot hold."""
    try:
        return json.dumps(document, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise Invalid(f"this cannot be sent as JSON: {error}"[:300], code="bad_json") from None


def document_of(content: bytes, where: str) -> Json:
    """The document in an answer. Raises Unavailable when it is none of ours."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Unavailable(f"what answers at {where} is not cronherd", code="no_answer")
    return document


_KINDS: dict[int, type[CronherdError]] = dict.fromkeys((408, 429, 502, 503, 504), Unavailable)
_KINDS |= {
    401: Refused,
    403: Refused,
    404: NotFound,
    409: Conflict,
    412: Conflict,
    500: CronherdError,
}


def error_of(status: int, content: bytes, where: str) -> CronherdError:
    """The error that a problem document tells of."""
    document = document_of(content, where)
    if not isinstance(document.get("code"), str):
        return Unavailable(f"what answers at {where} is not cronherd ({status})", code="no_answer")
    if document.get("errors"):
        return InvalidInput([_rebuilt(Invalid, fault) for fault in document["errors"]])
    unknown = Invalid if status < http.client.INTERNAL_SERVER_ERROR else CronherdError
    return _rebuilt(_KINDS.get(status, unknown), document)


def _rebuilt(kind: type[Kind], document: Json) -> Kind:
    text, code, hint, where = (
        str(document.get(key) or "") for key in ("detail", "code", "hint", "where")
    )
    return kind(text, code=code, hint=hint, where=where)
