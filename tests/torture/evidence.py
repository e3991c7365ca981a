"""What was seen from outside: births and deaths of commands, faults, deeds of people, clocks.

One folder holds it as lines of text, so that it can be read after anything died. All instants are
CLOCK_BOOTTIME in nanoseconds: every node of a torture is a process of one kernel, so this clock
puts everything into one true order. Instants of the database are UTC microseconds.
"""

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

SECOND_NS = 1_000_000_000
SECOND_US = 1_000_000
FOREVER_NS = 1 << 62
WITNESS = "witness."
DEATHS = "deaths"
FAULTS = "faults"
DEEDS = "deeds"
CLOCK = "clock"


def boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def instant_us(text: str) -> int | None:
    """CRONHERD_SCHEDULED_AT as UTC microseconds; None for a run without a slot."""
    if text == "-":
        return None
    read = datetime.fromisoformat(text)
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    gone = read - epoch
    return (gone.days * 86_400 + gone.seconds) * SECOND_US + gone.microseconds


@dataclass(slots=True, kw_only=True)
class Birth:
    """One start of a command and what became of it.

    `end_ns` was written by the command itself, `dead_ns` seen by the coroner; both None: neither.
    """

    run: str
    job: str
    slot_us: int | None
    attempt: int
    fence: int
    node: str
    pid: int
    at_ns: int
    real_ns: int
    cause: str = "schedule"
    end_ns: int | None = None
    code: int | None = None
    term_ns: int | None = None
    dead_ns: int | None = None

    @property
    def until_ns(self) -> int:
        """Until when it lived for certain: its own last line, else the instant it was seen dead."""
        if self.end_ns is not None:
            return self.end_ns
        return FOREVER_NS if self.dead_ns is None else self.dead_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that the nemesis did; `target` is a node's name, `database` or `all`."""

    kind: str
    target: str
    from_ns: int
    to_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """Something a person asked for, between asking and the answer. `ok` None: nobody knows."""

    kind: str
    target: str
    from_ns: int
    to_ns: int
    ok: bool | None = True
    answer: str = ""


@dataclass(slots=True, kw_only=True)
class Evidence:
    """All of it. `offset_us`: the database's clock minus the boot clock."""

    births: list[Birth] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    offset_us: int = 0
    clock_error_us: int = 2_000

    def database_us(self, at_ns: int) -> int:
        """An instant on the database's clock."""
        return at_ns // 1_000 + self.offset_us

    def boot_ns(self, at_us: int) -> int:
        """An instant of the database on the boot clock."""
        return (at_us - self.offset_us) * 1_000


class Notes:
    """Writes faults, deeds and clock samples; from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()

    def fault(self, fault: Fault) -> None:
        self._add(FAULTS, f"{fault.kind} {fault.target} {fault.from_ns} {fault.to_ns}")

    def deed(self, deed: Deed) -> None:
        ok = {True: "ok", False: "refused", None: "unknown"}[deed.ok]
        answer = deed.answer or "-"
        self._add(DEEDS, f"{deed.kind} {deed.target} {deed.from_ns} {deed.to_ns} {ok} {answer}")

    def sample(self, before_ns: int, database_us: int, after_ns: int) -> None:
        self._add(CLOCK, f"{before_ns} {database_us} {after_ns}")

    def _add(self, name: str, line: str) -> None:
        with self._lock, (self._folder / name).open("a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())


def read_evidence(folder: Path) -> Evidence:
    """Everything that was written; a torn last line of a killed writer does not count."""
    evidence = Evidence(births=_births(folder))
    for words in _lines(folder / FAULTS):
        kind, target, from_ns, to_ns = words
        evidence.faults.append(
            Fault(kind=kind, target=target, from_ns=int(from_ns), to_ns=int(to_ns))
        )
    for words in _lines(folder / DEEDS):
        kind, target, from_ns, to_ns, ok, answer = words
        known = {"ok": True, "refused": False}.get(ok)
        evidence.deeds.append(
            Deed(
                kind=kind,
                target=target,
                from_ns=int(from_ns),
                to_ns=int(to_ns),
                ok=known,
                answer=answer,
            )
        )
    _set_clock(evidence, folder)
    return evidence


def _births(folder: Path) -> list[Birth]:
    births: dict[tuple[str, str, str], Birth] = {}
    for path in sorted(folder.glob(f"{WITNESS}*")):
        for words in _lines(path):
            match words:
                case ["S", run, job, slot, attempt, fence, node, pid, at, real, cause]:
                    births[run, attempt, pid] = Birth(
                        run=run,
                        job=job,
                        slot_us=instant_us(slot),
                        attempt=int(attempt),
                        fence=int(fence),
                        node=node,
                        pid=int(pid),
                        at_ns=int(at),
                        real_ns=int(real),
                        cause=cause,
                    )
                case ["T", run, attempt, pid, at]:
                    births[run, attempt, pid].term_ns = int(at)
                case ["E", run, attempt, pid, at, code]:
                    births[run, attempt, pid].end_ns = int(at)
                    births[run, attempt, pid].code = int(code)
                case _:
                    raise ValueError(f"{path.name}: not a line of a witness: {words}")
    for words in _lines(folder / DEATHS):
        run, attempt, pid, at = words
        if (run, attempt, pid) in births:
            births[run, attempt, pid].dead_ns = int(at)
    return sorted(births.values(), key=lambda birth: birth.at_ns)


def _set_clock(evidence: Evidence, folder: Path) -> None:
    samples = [[int(word) for word in words] for words in _lines(folder / CLOCK)]
    if not samples:
        return
    offsets = [
        database_us - (before_ns + after_ns) // 2_000
        for before_ns, database_us, after_ns in samples
    ]
    evidence.offset_us = round(median(offsets))
    # Only the quick samples tell how far the two clocks went apart.
    quick = [
        offset
        for offset, (before_ns, _, after_ns) in zip(offsets, samples, strict=True)
        if after_ns - before_ns < SECOND_NS // 100
    ]
    drift = max((abs(offset - evidence.offset_us) for offset in quick), default=0)
    evidence.clock_error_us = max(2_000, drift + 1_000)


def _lines(path: Path) -> Iterator[list[str]]:
    if not path.exists():
        return
    text = path.read_text("utf-8", "replace")
    for line in text.split("\n")[:-1]:
        yield line.split(" ")
