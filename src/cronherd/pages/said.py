"""What the last request did, told once on the page that follows it: a short-lived cookie."""

import base64
import json
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from cronherd.pages.forms import local

COOKIE = "cronherd_said"
_TEXT = 600  # characters; a cookie has 4 KiB
_SECONDS = 60
_KINDS = ("ok", "bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One sentence; `kind` is `ok` or `bad`. `link` is where to go on, `word` what is there."""

    kind: str
    text: str
    link: str = ""
    word: str = ""


def keep(response: Response, said: Said, *, secure: bool) -> None:
    """Tell it on the next page."""
    raw = json.dumps(
        [said.kind, said.text[:_TEXT], said.link, said.word], ensure_ascii=False
    ).encode("utf-8", "replace")
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
        kind, *texts = json.loads(base64.urlsafe_b64decode(value.encode()))
    except (ValueError, TypeError):
        return None
    if kind not in _KINDS or len(texts) != 3 or not all(isinstance(each, str) for each in texts):
        return None
    text, link, word = texts
    return Said(kind=kind, text=text[:_TEXT], link=local(link, ""), word=word)
