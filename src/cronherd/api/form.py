"""Forms of pages: read once, bounded, and without a library."""

from typing import Annotated
from urllib.parse import parse_qsl

from fastapi import Depends
from starlette.requests import Request

from cronherd.domain.errors import Invalid

FORM_BYTES = 1 << 20
FIELDS = 2_000
MEDIA_TYPE = "application/x-www-form-urlencoded"


async def form_of(request: Request) -> dict[str, list[str]]:
    """Each field with its values, in their order; empty for what is no form. Raises Invalid."""
    found: dict[str, list[str]] | None = getattr(request.state, "form", None)
    if found is None:
        found = await _read(request)
        request.state.form = found
    return found


async def _read(request: Request) -> dict[str, list[str]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != MEDIA_TYPE:
        return {}
    kept = bytearray()
    async for part in request.stream():
        kept += part
        if len(kept) > FORM_BYTES:
            raise Invalid(f"a form has at most {FORM_BYTES >> 20} MiB", code="too_large")
    try:
        pairs = parse_qsl(
            kept.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELDS,
        )
    except ValueError:
        raise Invalid("this is not a form", code="bad_form") from None
    form: dict[str, list[str]] = {}
    for name, value in pairs:
        if "\x00" in name or "\x00" in value:
            raise Invalid("a field contains a NUL", code="bad_text")
        form.setdefault(name, []).append(value)
    return form


Form = Annotated[dict[str, list[str]], Depends(form_of)]


def field(form: dict[str, list[str]], name: str) -> str:
    """The one value of a field; '' when it is not there."""
    return form.get(name, [""])[0]
