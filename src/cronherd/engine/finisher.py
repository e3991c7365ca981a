"""Finisher: what the supervisor tells becomes rows, in batches."""

import queue
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cronherd.domain.judge import judge, lost_exit
from cronherd.domain.run import Exit
from cronherd.engine.clock import Clock
from cronherd.engine.crier import Crier
from cronherd.engine.live import Key, LiveRuns
from cronherd.store.base import Chunk, Claim, Ending, Start, Store
from cronherd.supervisor import base as supervisor_base
from cronherd.supervisor.base import Ended, Gone, Output, Started, Supervisor, SupervisorGone

# How long a batch is gathered: one transaction for all that ends meanwhile. Short when little
# happens, so that nobody waits for it; longer in a burst, so that it pays for few commits.
GATHER_US = 10_000
GATHER_BUSY_US = 40_000
BUSY = 20
MOST = 1_000
MOST_BYTES = 4 << 20
QUIET_S = 0.5


@dataclass(slots=True)
class Batch:
    """What one transaction stores."""

    starts: list[Start] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    endings: list[Ending] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    output_bytes: int = 0

    def __len__(self) -> int:
        return len(self.starts) + len(self.chunks) + len(self.endings)

    def full(self) -> bool:
        """Whether one transaction, with its deadline, should take no more."""
        return len(self) >= MOST or self.output_bytes >= MOST_BYTES


class Finisher:
    """One tick: gather reports, judge the ends, store all of it, tell the supervisor so."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        live: LiveRuns,
        supervisor: Supervisor,
        *,
        chance: Callable[[], float],
        freed: Callable[[], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._live = live
        self._supervisor = supervisor
        self._chance = chance
        self._freed = freed
        self._local: queue.SimpleQueue[tuple[Claim, Exit]] = queue.SimpleQueue()
        self._batch = Batch()
        self._position = 0
        self._busy = False
        # Ends were read that are not stored yet, or whose places were not handed on.
        self.busy = False
        self._crier = Crier(clock)

    @property
    def position(self) -> int:
        """How far the supervisor's spool has been stored."""
        return self._position

    def knows(self, run_id: str, attempt: int) -> bool:
        """Whether an end of this attempt was read that is not stored yet."""
        endings = list(self._batch.endings)
        return any((end.run_id, end.attempt) == (run_id, attempt) for end in endings)

    def end(self, claim: Claim, ending: Exit) -> None:
        """An end that this agent itself knows of: the command was never handed over."""
        self._local.put((claim, ending))

    def tick(self) -> float:
        """Never sleeps between ticks: waiting for reports is its sleep."""
        position = self._gather()
        if len(self._batch):
            # An error here leaves the batch as it is: the next tick stores it again.
            told = self._store.record(self._batch.starts, self._batch.chunks, self._batch.endings)
            stored, self._batch = self._batch, Batch()
            self._busy = len(stored) > BUSY
            self._crier.tell(zip(stored.names, stored.endings, strict=True))
            if told.freed:
                self._store.promote(told.freed)
            if told.freed or told.ready:
                self._freed()
        if position > self._position:
            self._supervisor.ack(position)
            self._position = position
        self.busy = False
        return 0.0

    def _gather(self) -> int:
        """Fill the batch; the spool position up to which it reaches.

        The last words of a supervisor that is gone are stored before that is said.
        """
        self._take_local()
        position = self._position
        if self._batch.full():  # what cannot be stored at the moment does not grow for ever
            return position
        try:
            reports, position = self._supervisor.reports(0.0 if len(self._batch) else QUIET_S)
            self._take(reports)
            if not len(self._batch):
                return position
            until_us = self._clock.boot_us() + (GATHER_BUSY_US if self._busy else GATHER_US)
            while not self._batch.full() and (left_us := until_us - self._clock.boot_us()) > 0:
                reports, position = self._supervisor.reports(left_us / 1_000_000)
                self._take(reports)
        except SupervisorGone:
            if not len(self._batch):
                raise
        return position

    def _take(self, reports: Sequence[supervisor_base.Report]) -> None:
        over: list[Key] = []
        for report in reports:
            claim = self._live.get(report.run_id, report.attempt)
            # A run that is not ours was settled before: its reports came once more. The token
            # tells an earlier claim of the same attempt, which was void, from the present one.
            if claim is None or claim.token != report.token:
                continue
            self._add(claim, report)
            if isinstance(report, Ended | Gone):
                over.append((report.run_id, report.attempt))
        if over:
            # The process is gone, so its place is free, whenever the record is written.
            self.busy = True
            self._live.remove(over)
            self._freed()

    def _add(self, claim: Claim, report: supervisor_base.Report) -> None:
        if isinstance(report, Output):
            self._batch.chunks.append(_chunk(report))
            self._batch.output_bytes += len(report.chunk)
        elif isinstance(report, Started):
            start = Start(
                run_id=report.run_id, token=report.token, at_us=report.at_us, pid=report.pid
            )
            self._batch.starts.append(start)
        elif isinstance(report, Ended):
            self._judge(claim, _exit(report))
        else:
            text = "its supervisor died, and its processes with it"
            self._judge(claim, lost_exit(claim.started_us, self._clock.now_us(), text))

    def _take_local(self) -> None:
        while not self._local.empty():
            claim, ending = self._local.get()
            self._judge(claim, ending)
            self.busy = True
            self._live.remove([(claim.run_id, claim.attempt)])

    def _judge(self, claim: Claim, ending: Exit) -> None:
        verdict = judge(claim.job, claim.attempt, ending, self._chance())
        self._batch.names.append(claim.job.name)
        self._batch.endings.append(claim.ended(ending, verdict))


def _chunk(report: Output) -> Chunk:
    return Chunk(
        run_id=report.run_id,
        token=report.token,
        attempt=report.attempt,
        seq=report.seq,
        stream=report.stream,
        at_us=report.at_us,
        dropped=report.dropped,
        chunk=report.chunk,
    )


def _exit(report: Ended) -> Exit:
    return Exit(
        started_us=report.started_us,
        ended_us=report.ended_us,
        exit_code=report.exit_code,
        signal=report.signal,
        killed_by=report.killed_by,
        error=report.error,
        error_text=report.error_text,
        dropped=report.dropped,
        cpu_us=report.cpu_us,
        peak_rss_bytes=report.peak_rss_bytes,
    )
