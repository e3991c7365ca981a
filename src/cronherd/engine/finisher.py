"""Finisher: what the supervisor tells becomes rows, in batches."""

import queue
from collections.abc import Callable, Sequence

from cronherd.domain.judge import judge, lost_exit
from cronherd.domain.run import Exit
from cronherd.engine.clock import Clock
from cronherd.engine.listening import Listening
from cronherd.engine.live import Key, LiveRuns
from cronherd.engine.recorder import Recorder
from cronherd.store.base import Chunk, Claim, Start, Store
from cronherd.supervisor import base as supervisor_base
from cronherd.supervisor.base import Ended, Gone, Output, Started, Supervisor, SupervisorGone

# How long a batch is gathered: one transaction for all that ends meanwhile. Short when little
# happens, so that nobody waits for it; longer in a burst, so that it pays for few commits.
GATHER_US = 10_000
GATHER_BUSY_US = 40_000
BUSY = 20
QUIET_S = 0.5


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
        posted: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = clock
        self._live = live
        self._supervisor = supervisor
        self._chance = chance
        self._freed = freed
        self._local: queue.SimpleQueue[tuple[Claim, Exit]] = queue.SimpleQueue()
        self._recorder = Recorder(store, clock, freed=freed, posted=posted)
        self._listening = Listening(live)
        self._position = 0
        self._busy = False
        # Ends were read that are not stored yet, or whose places were not handed on.
        self.busy = False

    @property
    def position(self) -> int:
        """How far the supervisor's spool has been stored."""
        return self._position

    def knows(self, run_id: str, attempt: int) -> bool:
        """Whether an end of this attempt was read that is not stored yet, or never can be."""
        return self._recorder.knows(run_id, attempt)

    def end(self, claim: Claim, ending: Exit) -> None:
        """An end that this agent itself knows of: the command was never handed over."""
        self._local.put((claim, ending))

    def tick(self) -> float:
        """Never sleeps between ticks: waiting for reports is its sleep."""
        position = self._gather()
        if len(self._recorder):
            self._busy = len(self._recorder) > BUSY
            # An error here leaves what is not stored yet: the next tick stores it, and says so.
            self._recorder.save()
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
        if self._recorder.full():  # what cannot be stored at the moment does not grow for ever
            return position
        try:
            reports, position = self._supervisor.reports(0.0 if len(self._recorder) else QUIET_S)
            self._take(reports)
            if not len(self._recorder):
                return position
            until_us = self._clock.boot_us() + (GATHER_BUSY_US if self._busy else GATHER_US)
            while not self._recorder.full() and (left_us := until_us - self._clock.boot_us()) > 0:
                reports, position = self._supervisor.reports(left_us / 1_000_000)
                self._take(reports)
        except SupervisorGone:
            # What only the refused wait for may never come: the next life hears them again.
            if not len(self._recorder) or self._recorder.stuck:
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
            for piece in self._listening.hear(claim, _chunk(report)):
                self._recorder.add(claim.job.name, piece)
        elif isinstance(report, Started):
            start = Start(
                run_id=report.run_id,
                token=report.token,
                at_us=report.at_us,
                pid=report.pid,
                announced=claim.job.alerts is not None and claim.job.alerts.starts,
            )
            self._recorder.add(claim.job.name, start)
        elif isinstance(report, Ended):
            self._judge(claim, self._listening.end(claim, _exit(report)))
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
        self._recorder.add(claim.job.name, claim.ended(ending, verdict))


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
        read_bytes=report.read_bytes,
        written_bytes=report.written_bytes,
        pid=report.pid,
        how=report.how,
        leaked=report.leaked,
    )
