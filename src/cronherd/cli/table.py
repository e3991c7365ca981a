"""Tables for terminals: aligned columns, nothing drawn, cut to the width where there is one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unicodedata import combining, east_asian_width

import click

from cronherd.cli.complaint import printable

GAP = "  "
NAME_LEAST = 12  # a name is what the next command needs


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `wide`: only with -o wide, `cut`: may lose its end where room is short."""

    title: str
    wide: bool = False
    cut: bool = False
    least: int = 5  # cut no further: less tells nothing
    right: bool = False
    style: Callable[[str], str] | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text under columns."""

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[str]]


def render(table: Table, *, wide: bool, room: int | None) -> list[str]:
    """The lines of the table, at most `room` cells wide where that is possible."""
    kept = [n for n, column in enumerate(table.columns) if wide or not column.wide]
    columns = [table.columns[n] for n in kept]
    rows = [[printable(row[n]) for n in kept] for row in table.rows]
    widths = [
        max(cells(column.title), *(cells(row[n]) for row in rows), 0)
        for n, column in enumerate(columns)
    ]
    if room is not None and not wide:
        widths = _narrow(columns, widths, room)
    lines = [_line([column.title for column in columns], columns, widths, styled=False)]
    return lines + [_line(row, columns, widths, styled=True) for row in rows]


def _narrow(columns: Sequence[Column], widths: list[int], room: int) -> list[int]:
    """Take from the widest column that may be cut, one cell at a time."""
    widths = list(widths)
    excess = sum(widths) + len(GAP) * (len(widths) - 1) - room
    for _ in range(max(0, excess)):
        able = [n for n, c in enumerate(columns) if c.cut and widths[n] > c.least]
        if not able:
            break
        widths[max(able, key=widths.__getitem__)] -= 1
    return widths


def _line(
    row: Sequence[str], columns: Sequence[Column], widths: Sequence[int], *, styled: bool
) -> str:
    parts = []
    for text, column, width in zip(row, columns, widths, strict=True):
        cell = cut(text, width)
        blanks = " " * (width - cells(cell))
        shown = column.style(cell) if styled and column.style else cell
        parts.append(blanks + shown if column.right else shown + blanks)
    return GAP.join(parts).rstrip()


def cut(text: str, width: int) -> str:
    """The text in at most `width` cells; an ellipsis says that something is missing."""
    if cells(text) <= width:
        return text
    kept = ""
    for char in text:
        if cells(kept + char) > width - 1:
            break
        kept += char
    return f"{kept}…"


def cells(text: str) -> int:
    """How many cells of a terminal the text takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


_COLOURS = {
    "succeeded": "green",
    "failed": "red",
    "timed out": "red",
    "lost": "red",
    "not started": "red",
    "cancelled": "yellow",
    "suspected": "yellow",
    "unknown": "red",
    "running": "cyan",
    "claimed": "cyan",
    "alive": "green",
    "silent": "red",
    "drained": "yellow",
    "stopped": "yellow",
    "maintenance": "red",
    "ok": "green",
    "warning": "yellow",
    "error": "red",
}


def coloured(text: str) -> str:
    """The word with the colour of what it says; the word itself always stands there too."""
    colour = _COLOURS.get(text.partition(" (")[0].partition(" since ")[0])
    return click.style(text, fg=colour) if colour else text


def dim_no(text: str) -> str:
    return click.style(text, dim=True) if text in {"no", "paused"} else text
