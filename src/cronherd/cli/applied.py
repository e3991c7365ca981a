"""A plan in lines: + and ~ and - before names, - and + before each value that differs."""

import json
import sys
from collections.abc import Sequence

import click

from cronherd.cli.complaint import printable
from cronherd.cli.output import Json, has_colour, say, talk
from cronherd.cli.session import Session
from cronherd.domain.errors import Conflict
from cronherd.domain.job import BY_HAND

NAMED = 5
_SIGNS = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "rename": ("~", "yellow"),
    "delete": ("-", "red"),
    "refused": ("!", "red"),
}


def show_changes(session: Session, changes: Sequence[Json]) -> None:
    """A line for each job that changes, and what differs below it."""
    colour = has_colour(session)
    for change in changes:
        if change["change"] not in _SIGNS:
            continue
        sign, tint = _SIGNS[change["change"]]
        said = click.style(f"{sign} {printable(change['name'])}", fg=tint)
        notes = printable(", ".join(_notes(change)))
        say(f"{said}  ({notes})" if notes else said, color=colour)
        if change["change"] in {"update", "rename"}:
            for difference in change["differences"]:
                _show_difference(difference, colour=colour)
    sys.stdout.flush()


def _notes(change: Json) -> list[str]:
    notes = [f"renamed from {change['from']}"] if "from" in change else []
    if change["change"] == "delete":
        notes.append("its runs stay")
    if "taken_from" in change:
        owner = change["taken_from"]
        whose = "made by hand" if owner == BY_HAND else f"was of {owner}"
        notes.append(f"{whose}, belongs to this source from now on")
    if change.get("drifted"):
        notes.append("was edited since it was applied")
    if "refusal" in change:
        notes.append(change["refusal"]["text"])
    return notes


def tell_left(changes: Sequence[Json]) -> None:
    """What the sources no longer say and still have."""
    left = [str(change["name"]) for change in changes if change["change"] == "left"]
    if left:
        names = ", ".join(left[:NAMED]) + (f", and {len(left) - NAMED} more" * (len(left) > NAMED))
        talk(f"no longer said, and kept: {names} (--prune deletes them)")


def refusal_of(changes: Sequence[Json]) -> Conflict | None:
    """Why the whole cannot be applied, in one sentence; None when it can."""
    found = [change["refusal"] for change in changes if "refusal" in change]
    if not found:
        return None
    more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    text = f"nothing can be applied: {found[0]['text']}{more}"
    code = found[0]["code"]
    return Conflict(text, code=code, hint=found[0]["hint"])


def _show_difference(difference: Json, *, colour: bool) -> None:
    for sign, key, tint in (("-", "old", "red"), ("+", "new", "green")):
        value = difference[key]
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            shown = json.dumps(text, ensure_ascii=False) if "\n" in text else text
            shown = printable(shown)
            say(click.style(f"  {sign} {difference['key']}: {shown}", fg=tint), color=colour)
