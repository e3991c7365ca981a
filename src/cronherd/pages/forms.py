"""What a form sent, and where to go afterwards."""

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import Depends
from starlette.requests import Request

from cronherd.domain.errors import Invalid

FORM_BYTES = 1 << 20  # a definition of 10,000 characters a field, or a thousand names
FORM_FIELDS = 5_000

_ONCE = re.compile(r"[0-9a-f]{32}")
_LOCAL = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]*")


class Form:
    """The fields of a form, each a text; what was not sent is empty."""

    def __init__(self, fields: Mapping[str, list[str]]) -> None:
        self.fields = fields

    def one(self, name: str, default: str = "") -> str:
        return self.fields.get(name, [default])[-1]

    def all(self, name: str) -> list[str]:
        return list(self.fields.get(name, ()))

    @property
    def once(self) -> str | None:
        """By which a form that is sent twice is known; None where it has none."""
        told = self.one("once")
        return told if _ONCE.fullmatch(told) else None

    def back(self, default: str) -> str:
        """Where it wants to return to: an address of ours, whatever somebody wrote there."""
        return local(self.one("back"), default)


def local(address: str, default: str) -> str:
    """The address if it is a path on this host, else the default."""
    return address if _LOCAL.fullmatch(address) else default


async def _form(request: Request) -> Form:
    """What was sent, read once: whoever checks the token of the session may have read it before."""
    fields: dict[str, list[str]] | None = getattr(request.state, "form", None)
    if fields is None:
        fields = request.state.form = await _read(request)
    return Form(fields)


async def _read(request: Request) -> dict[str, list[str]]:
    kept = bytearray()
    async for part in request.stream():
        kept += part
        if len(kept) > FORM_BYTES:
            raise Invalid("a form has at most 1 MiB", code="too_large")
    try:
        fields = parse_qs(
            kept.decode(), keep_blank_values=True, max_num_fields=FORM_FIELDS, errors="strict"
        )
    except ValueError:
        raise Invalid("this is not a form", code="bad_text") from None
    if any("\x00" in text for texts in fields.values() for text in texts):
        raise Invalid("the form contains a NUL", code="bad_text")
    return fields


TheForm = Annotated[Form, Depends(_form)]
