"""Data on stdout in the form that was asked for; talk on stderr."""

import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from cronherd.cli.complaint import printable
from cronherd.cli.session import Session
from cronherd.cli.table import Table, render

Json = dict[str, Any]
API_VERSION = "v1"
_UNSEEN = "\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROLS = re.compile(f"[{_UNSEEN}]")
_OBEYED = re.compile(rf"(\x1b\[[0-9;]*m)|[\x00-\x08\x0b-\x1f{_UNSEEN}]")


def put(
    session: Session,
    document: Json,
    *,
    table: Callable[[], Table],
    names: Callable[[], Sequence[str]],
) -> None:
    """Print a document as -o says; `table` and `names` are asked only for their own form."""
    if put_document(session, document, names):
        return
    put_table(session, table())


def put_document(session: Session, document: Json, names: Callable[[], Sequence[str]]) -> bool:
    """Print it where the form is one for programs; False where people are to read it."""
    form = session.settings.output
    if form == "json":
        say(to_json(versioned(document), indent=2))
    elif form == "yaml":
        say(to_yaml(versioned(document)).rstrip("\n"))
    elif form == "name":
        for name in names():
            say(name.replace("\n", "\\n"))  # one a line, whoever gave it
    else:
        return False
    return True


def put_table(session: Session, table: Table) -> None:
    wide = session.settings.output == "wide"
    room = shutil.get_terminal_size().columns if is_terminal(sys.stdout) else None
    for line in render(table, wide=wide, room=room):
        say(line, color=has_colour(session))


def put_each(
    session: Session, documents: Sequence[Json], name: str, sentence: Callable[[Json], str]
) -> None:
    """What was done to several things: for programs one document, for people a line for each."""
    one = documents[0] if len(documents) == 1 else {"items": list(documents)}
    if not put_document(session, one, lambda: [str(found[name]) for found in documents]):
        for document in documents:
            talk(sentence(document))


def to_json(document: object, indent: int | None = None) -> str:
    """JSON that people can read, without the control characters that JSON itself lets pass."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: str, *, color: bool = False) -> None:
    """Lines of data: with `color` a terminal obeys our colours in it, and nothing else ever."""
    plain = text if color else click.unstyle(text)
    click.echo(_harmless(plain, color=color), color=color)


def put_text(text: str) -> None:
    """What another program reads, as it is; only a terminal is shown what it would obey."""
    shown = _harmless(text, color=False) if is_terminal(sys.stdout) else text
    click.echo(shown, color=True)  # its escapes belong to it


def _harmless(text: str, *, color: bool) -> str:
    def shown(found: re.Match[str]) -> str:
        return found[0] if color and found[1] else found[0].encode("unicode_escape").decode()

    return _OBEYED.sub(shown, text)


def talk(text: str) -> None:
    """One line for the person, never for the pipe."""
    click.echo(printable(text), err=True, color=False)


def versioned(document: Json) -> Json:
    return document if "api_version" in document else {"api_version": API_VERSION, **document}


def is_terminal(stream: Any) -> bool:
    return stream is not None and not stream.closed and bool(stream.isatty())


def has_colour(session: Session) -> bool:
    """No colour without a terminal, with --no-color, or with NO_COLOR set to anything."""
    return (
        is_terminal(sys.stdout)
        and not session.settings.no_color
        and not session.environ.get("NO_COLOR")
        and session.environ.get("TERM") != "dumb"
    )


def to_yaml(value: object) -> str:
    """YAML that our own reader, and any reader of YAML 1.1, takes for the same."""
    from cronherd.definition.spelling import to_yaml as spell  # noqa: PLC0415 - it imports yaml

    return spell(value)


def every_page(ask: Callable[[str | None], Json]) -> Json:
    """All items of a list that comes in pages."""
    document = ask(None)
    items = list(document["items"])
    while document.get("next"):
        document = ask(document["next"])
        items += document["items"]
    return {"api_version": document.get("api_version", API_VERSION), "items": items, "next": None}
