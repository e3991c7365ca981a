"""What the last request did, told once on the page that follows it: a short-lived cookie."""

import base64
import json
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

COOKIE = "cronherd_said"
_TEXT = 600  # characters; a cookie has 4 KiB
_SECONDS = 60
_KINDS = ("ok", "bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One sentence; `kind` is `ok` or `bad`."""

    kind: str
    text: str


def keep(response: Response, said: Said, *, secure: bool) -> None:
    """Tell it on the next page."""
    raw = json.dumps([said.kind, said.text[:_TEXT]], ensure_ascii=False).encode("utf-8", "replace")
    value = base64.urlsafe_b64encode(raw).decode()
    response.set_cookie(
        COOKIE, value, max_age=_SECONDS, httponly=True, samesite="lax", secure=secure
    )


def read(request: Request) -> Said | None:
    """What is to be told; whatever else stands in the cookie is nothing."""
    value = request.cookies.get(COOKIE)
    if not value:
        return None
    try:
        kind, text = json.loads(base64.urlsafe_b64decode(value.encode()))
    except (ValueError, TypeError):
        return None
    if kind not in _KINDS or not isinstance(text, str):
        return None
    return Said(kind=kind, text=text[:_TEXT])
