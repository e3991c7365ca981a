"""Recorder: stores what was told, in parts as large as the database takes them.

A part that is refused is halved, down to the one report at fault; a part that takes too long is
halved as well, and grows again. No report is given up while the database takes nothing at all: then
the fault is not the report's.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from cronherd.domain.errors import StatementRefused, Unavailable
from cronherd.domain.event import EventKind
from cronherd.domain.ident import SHORT
from cronherd.domain.telling import Advance
from cronherd.engine.clock import Clock
from cronherd.engine.crier import Crier
from cronherd.engine.live import Key
from cronherd.store.base import Chunk, Ending, Recorded, Start, Store

log = logging.getLogger("cronherd")

MOST = 1_000
MOST_BYTES = 4 << 20
# So many refused reports in a row are enough to ask whether the database takes any.
FEW = 10

Report = Start | Chunk | Ending | Advance


@dataclass(slots=True)
class Entry:
    """One report, the name of its job, and why it was refused by itself."""

    job: str
    report: Report
    error: StatementRefused | None = None


class Recorder:
    """Keeps reports in the order they were told until they are stored."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        freed: Callable[[], None],
        posted: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._freed = freed
        self._posted = posted
        self._crier = Crier(clock)
        self._waiting: list[Entry] = []
        self._refused: list[Entry] = []
        self._open: set[Key] = set()
        self._noted: set[str] = set()
        self._told = Recorded()
        self._output_bytes = 0
        self._size = MOST
        # Something was stored in this save.
        self._taking = False
        # The last save left nothing but what was refused.
        self.stuck = False

    def __len__(self) -> int:
        return len(self._waiting) + len(self._refused)

    def full(self) -> bool:
        """Whether one transaction, with its deadline, should take no more."""
        return len(self) >= MOST or self._output_bytes >= MOST_BYTES

    def knows(self, run_id: str, attempt: int) -> bool:
        """Whether an end of this attempt is here, or was here and could not be stored."""
        here = (entry.report for entry in (*self._waiting, *self._refused))
        ends = {(end.run_id, end.attempt) for end in here if isinstance(end, Ending)}
        return (run_id, attempt) in ends | self._open

    def add(self, job: str, report: Report) -> None:
        """To be stored after all that was told before."""
        self._waiting.append(Entry(job, report))
        self._output_bytes += _weight(report)

    def save(self) -> None:
        """Store all of it; what an error leaves is stored by the next call, less at a time."""
        self._waiting += self._refused  # they keep nobody else waiting
        self._refused = []
        self.stuck = self._taking = False
        while self._waiting:
            self._save_part(self._waiting[: self._size])
            if len(self._refused) >= FEW:
                self._settle()
        self._settle()

    def _save_part(self, part: list[Entry]) -> None:
        error = self._record(part)
        if error is not None and len(part) > 1:
            self._size = len(part) // 2
            return
        if error is None:
            self._size = min(self._size * 2, MOST)
        elif not self._save_less(part[0], error):
            self._refused.append(replace(part[0], error=error))
        del self._waiting[: len(part)]
        self._output_bytes = sum(
            _weight(entry.report) for entry in (*self._waiting, *self._refused)
        )
        self._hand_on()

    def _hand_on(self) -> None:
        """What the stored ends freed; should this fail, a sweep finds it."""
        told, self._told = self._told, Recorded()
        if told.posted:
            self._posted()
        if told.freed:
            self._store.promote(told.freed)
        if told.freed or told.ready:
            self._freed()

    def _record(self, part: Sequence[Entry]) -> StatementRefused | None:
        """One transaction; why the database refused it."""
        starts = [entry.report for entry in part if isinstance(entry.report, Start)]
        chunks = [entry.report for entry in part if isinstance(entry.report, Chunk)]
        ends = [(entry.job, entry.report) for entry in part if isinstance(entry.report, Ending)]
        advances = [entry.report for entry in part if isinstance(entry.report, Advance)]
        try:
            endings = [ending for _, ending in ends]
            self._told = self._store.record(starts, chunks, endings, advances)
        except StatementRefused as error:
            return error
        except Unavailable:
            self._size = max(1, len(part) // 2)  # a slow one may take that much in time
            raise
        self._taking = True
        self._crier.tell(ends)
        return None

    def _save_less(self, entry: Entry, error: StatementRefused) -> bool:
        """Store what can still be said of a report that is refused as it is."""
        for less in _less(entry.report, self._clock.now_us()):
            if self._record([replace(entry, report=less)]) is None:
                self._complain(entry, error, "was stored without what the database refuses")
                return True
        return False

    def _settle(self) -> None:
        """Give up what was refused in every form, unless the database takes nothing else either."""
        for entry in self._refused:
            self._leave_open(entry)
        errors = [entry.error for entry in self._refused if entry.error is not None]
        if errors and not self._taking:
            self.stuck = True
            raise errors[0]
        for entry, error in zip(self._refused, errors, strict=True):
            self._give_up(entry, error)
        self._refused = []

    def _leave_open(self, entry: Entry) -> None:
        """A run whose end cannot be stored is not to be taken for one that never started."""
        end = entry.report
        if isinstance(end, Ending):
            at_us = end.exit.started_us or self._clock.now_us()
            start = Start(run_id=end.run_id, token=end.token, at_us=at_us, pid=0)
            self._record([replace(entry, report=start)])

    def _give_up(self, entry: Entry, error: StatementRefused) -> None:
        if isinstance(entry.report, Ending):
            self._open.add((entry.report.run_id, entry.report.attempt))
            loss = "is given up, and the run stays open until this agent starts again"
        else:
            loss = "cannot be stored in any form and is dropped"
        self._complain(entry, error, loss)

    def _complain(self, entry: Entry, error: StatementRefused, what: str) -> None:
        """Nothing is given up silently. One event for each run: it may have much output."""
        report = entry.report
        text = f"{_what(report)} of run {report.run_id[:SHORT]} {what}: {error}"
        log.error("%s: %s", entry.job, text)
        if report.run_id not in self._noted:
            self._store.note(EventKind.REPORT_REFUSED, entry.job, "finisher", text)
            self._noted.add(report.run_id)
            if len(self._noted) > MOST:
                self._noted.pop()


def _weight(report: Report) -> int:
    return len(report.chunk) if isinstance(report, Chunk) else 0


def _less(report: Report, now_us: int) -> Iterator[Report]:
    """Ever less of a report, down to what must be said."""
    if isinstance(report, Start):
        yield replace(report, at_us=now_us)
    elif isinstance(report, Chunk):
        yield replace(report, chunk=b"", dropped=report.dropped + len(report.chunk))
    elif isinstance(report, Ending):
        words = report.exit.error_text.encode("ascii", "replace").decode().replace("\0", "?")
        seen = replace(report.exit, error_text=words)
        yield replace(report, exit=seen)
        seen = replace(seen, error_text="", error="", killed_by="")
        yield replace(report, exit=replace(seen, dropped=0, cpu_us=0, peak_rss_bytes=0))


def _what(report: Report) -> str:
    if isinstance(report, Chunk):
        return f"{len(report.chunk)} bytes of output"
    if isinstance(report, Ending):
        return f"the end ({report.verdict.outcome.value.replace('_', ' ')})"
    if isinstance(report, Advance):
        return "the progress"
    return "the start"
