"""What a benchmark found: printed as a short table, written as JSON."""

import json
import os
import platform
import sqlite3
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cronherd import __version__

Row = Mapping[str, Any]


class BenchError(Exception):
    """The benchmark could not be run; one sentence says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One goal and what was measured for it."""

    what: str
    value: float
    goal: float
    unit: str
    at_least: bool

    @property
    def met(self) -> bool:
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def sentence(self) -> str:
        sign = "at least" if self.at_least else "at most"
        verdict = "met" if self.met else "NOT met"
        return f"{self.what}: {self.value:g} {self.unit} ({sign} {self.goal:g}): {verdict}"


@dataclass(slots=True, kw_only=True)
class Report:
    """Tables of rows, targets, and what must be known to read them."""

    name: str
    tables: dict[str, list[Row]] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    began: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    load: tuple[float, ...] = field(default_factory=os.getloadavg)

    def show(self) -> None:
        """For people."""
        for title, rows in self.tables.items():
            print(f"\n{title}")
            print_table(rows)
        print()
        if self.settings:
            told = ", ".join(f"{name} {value}" for name, value in self.settings.items())
            print(f"  server: {told}")
        for target in self.targets:
            print(f"  {target.sentence()}")
        for note in self.notes:
            print(f"  note: {note}")

    def write(self, folder: Path, database: str) -> Path:
        """For later comparison; nothing in it names a person's machine or folder."""
        document = {
            "name": self.name,
            "database": database,
            "version": __version__,
            "began": self.began,
            "machine": machine(folder),
            "database_settings": self.settings,
            "load_average_before": list(self.load),
            "load_average_after": list(os.getloadavg()),
            "tables": self.tables,
            "targets": [
                {"what": t.what, "value": t.value, "goal": t.goal, "unit": t.unit,
                 "at_least": t.at_least, "met": t.met}
                for t in self.targets
            ],
            "notes": self.notes,
        }  # fmt: skip
        path = folder / f"{self.name}-{database}.json"
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return path


def machine(folder: Path) -> dict[str, object]:
    """What the figures depend on; no name of a host, no path."""
    return {
        "processors": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "filesystem": filesystem(folder),
    }


def filesystem(folder: Path) -> str:
    """The kind of file system: commits to one in memory would cost nothing."""
    where = str(folder.resolve())
    best, kind = "", "unknown"
    for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines():
        _, mount, found, *_ = line.split()
        inside = where == mount or where.startswith(mount.rstrip("/") + "/")
        if inside and len(mount) >= len(best):
            best, kind = mount, found
    return kind


def print_table(rows: Sequence[Row]) -> None:
    if not rows:
        return
    columns = list(rows[0])
    cells = [[str(column) for column in columns]]
    cells += [[spelled(row[column]) for column in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        first, *others = zip(line, widths, strict=True)
        parts = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        print("  " + "  ".join(parts).rstrip())


def spelled(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else str(value)


def median_row(rows: Sequence[Row]) -> dict[str, Any]:
    """The medians of rows with the same columns; words are taken from the first."""
    return {
        key: tidy(statistics.median(row[key] for row in rows)) if is_number(value) else value
        for key, value in rows[0].items()
    }


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def tidy(value: float, digits: int = 4) -> float:
    """As many digits as were measured."""
    return float(f"{value:.{digits}g}")


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: a value that was really seen."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


def spread(values: Sequence[float], scale: float = 1.0) -> dict[str, float]:
    """How values lie, each multiplied by `scale`."""
    marks: dict[str, Callable[[], float]] = {
        "min": lambda: min(values),
        "p50": lambda: percentile(values, 0.50),
        "p90": lambda: percentile(values, 0.90),
        "p99": lambda: percentile(values, 0.99),
        "max": lambda: max(values),
    }
    return {name: tidy(mark() * scale) for name, mark in marks.items()}
