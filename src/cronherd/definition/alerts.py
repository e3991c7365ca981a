"""How it is read who is told of a job: mailto, mail, webhook and ping."""

import re
from collections.abc import Mapping
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field

from cronherd.definition.command import read_items, read_secret_name
from cronherd.definition.faults import (
    Kind,
    Shape,
    check,
    choice,
    given,
    nested,
    read_text,
    spell,
)
from cronherd.domain.alert import (
    RECIPIENTS,
    URL_BYTES,
    WEBHOOK_DEFAULT,
    WEBHOOK_EVENTS,
    MailWhen,
    recipients_of,
)
from cronherd.domain.errors import Invalid

MAILTO_BYTES = 1_000
ADDRESS_LENGTH = 320
# What a mail server could not take for something else: no quotes, no brackets, no blanks.
_ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.][A-Za-z0-9!#$%&'*+/=?^_`{|}~.@-]*")
_URL = re.compile(r"[!-~]+")
_HINT = "write https://hooks.example.com/jobs"


def read_address(value: object) -> str:
    """One receiver: an address, or the name of a local user."""
    text = read_text(value, most=ADDRESS_LENGTH, lines=False)
    if _ADDRESS.fullmatch(text) and text.count("@") <= 1 and not text.startswith("@"):
        return text
    raise Invalid(f"{spell(text)} cannot be mailed to", code="bad_mailto", hint="ops@example.com")


def read_mailto(value: object) -> str:
    """Receivers with commas or blanks between them, as they were written; empty for nobody."""
    text = read_text(value, most=MAILTO_BYTES, lines=False, empty=True)
    addresses = recipients_of(text)
    if len(addresses) > RECIPIENTS:
        raise Invalid(f"has more than {RECIPIENTS} receivers", code="too_many")
    read_items(addresses, read_address)
    return text


def read_url(value: object) -> str:
    """The URL of something that is called: http or https, no name and password in it."""
    url = read_text(value, most=URL_BYTES, lines=False)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        text = f"{spell(url)} is not a URL: {error}"
        raise Invalid(text, code="bad_url", hint=_HINT) from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise Invalid(f"{spell(url)} is not an http URL", code="bad_url", hint=_HINT)
    if not _URL.fullmatch(url) or not parts.hostname.isascii():
        text = "a URL has no blanks and only ASCII"
        raise Invalid(text, code="bad_url", hint="write other characters as %C3%A4, hosts as xn--")
    if "@" in parts.netloc:
        text = "a URL here has no user and password"
        raise Invalid(text, code="bad_url", hint="sign webhooks with a secret instead")
    if parts.fragment:
        raise Invalid("a URL here has no #", code="bad_url", hint=_HINT)
    return url


def _read_events(value: object) -> list[str]:
    parts = value if isinstance(value, list | tuple) else [value]
    if not parts:
        raise Invalid("names no event", hint=f"one of {', '.join(WEBHOOK_EVENTS)}")
    known = choice(*WEBHOOK_EVENTS)
    words = read_items(parts, lambda part: str(known.read(part)))
    return [event.value for event in WEBHOOK_EVENTS if event.value in words]


_EVENTS = {"type": "array", "items": {"enum": [event.value for event in WEBHOOK_EVENTS]}}
_URL_SCHEMA = {"type": "string", "format": "uri", "maxLength": URL_BYTES}


class WebhookDefinition(Shape):
    """A URL that is told of the job's runs."""

    url: Annotated[str, Kind(read_url, _URL_SCHEMA)] = Field(
        description="Where the documents are posted to."
    )
    on: Annotated[list[str], Kind(_read_events, _EVENTS)] = Field(
        default=[event.value for event in WEBHOOK_DEFAULT],
        description="What it is told of: start, success, failure.",
    )
    secret: Annotated[str | None, Kind(read_secret_name, {"type": "string"})] = Field(
        default=None, description="The secret of the fleet that signs what is posted."
    )


class PingDefinition(Shape):
    """URLs that are called as they are."""

    start: Annotated[str | None, Kind(read_url, _URL_SCHEMA)] = Field(
        default=None, description="Called when a run has started."
    )
    success: Annotated[str | None, Kind(read_url, _URL_SCHEMA)] = Field(
        default=None, description="Called when a run has succeeded."
    )
    fail: Annotated[str | None, Kind(read_url, _URL_SCHEMA)] = Field(
        default=None, description="Called when a run has ended in any other way."
    )


def read_webhook(value: object) -> str | dict[str, object]:
    """A URL, or a mapping with more than a URL."""
    if not isinstance(value, Mapping):
        return read_url(value)
    said = {key: part for key, part in given(check(WebhookDefinition, value)).items() if part}
    if said.get("on") == [event.value for event in WEBHOOK_DEFAULT]:
        del said["on"]
    return str(said["url"]) if len(said) == 1 else said


def read_ping(value: object) -> str | dict[str, object]:
    """A URL below which start and fail lie, or one for each event."""
    if not isinstance(value, Mapping):
        return read_url(value)
    said = {key: part for key, part in given(check(PingDefinition, value)).items() if part}
    if not said:
        raise Invalid("names no URL", hint="write a URL, or {success: URL, fail: URL}")
    return said


MAILTO = Kind(read_mailto, {"type": "string", "maxLength": MAILTO_BYTES})
MAIL = choice(*MailWhen)
WEBHOOK = Kind(read_webhook, {"anyOf": [_URL_SCHEMA, nested(WebhookDefinition).schema]})
PING = Kind(read_ping, {"anyOf": [_URL_SCHEMA, nested(PingDefinition).schema]})
