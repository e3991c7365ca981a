"""Listening: what tasks tell on descriptor 3 becomes progress, and rows that are kept."""

from dataclasses import replace

from cronherd.domain.judge import SKIPPED
from cronherd.domain.run import Exit
from cronherd.domain.telling import STREAM, Advance, Listener
from cronherd.engine.live import Key, LiveRuns
from cronherd.store.base import Chunk, Claim


class Listening:
    """A listener for each live attempt that told something."""

    def __init__(self, live: LiveRuns) -> None:
        self._live = live
        self._listeners: dict[Key, Listener] = {}

    def hear(self, claim: Claim, piece: Chunk) -> list[Chunk | Advance]:
        """What is to be stored of a piece; all of it unless a task told it."""
        if piece.stream != STREAM:
            return [piece]
        listener = self._listener(claim)
        heard: list[Chunk | Advance] = []
        kept = listener.hear(piece.chunk, piece.dropped)
        if kept or piece.dropped:
            heard.append(replace(piece, chunk=kept))
        if listener.progress is not None:
            stored = listener.progress.stored()
            heard.append(Advance(run_id=claim.run_id, token=claim.token, stored=stored))
        return heard

    def end(self, claim: Claim, seen: Exit) -> Exit:
        """The end of the attempt, with the words of its exception where there are no others."""
        listener = self._listeners.pop((claim.run_id, claim.attempt), None)
        if listener is None:
            return seen
        if listener.skipped and seen.exit_code == 0 and not (seen.error or seen.killed_by):
            return replace(seen, error=SKIPPED, error_text=listener.skipped)
        if not listener.words or seen.error_text or seen.killed_by:
            return seen
        return replace(seen, error_text=listener.words)

    def _listener(self, claim: Claim) -> Listener:
        key = claim.run_id, claim.attempt
        if key not in self._listeners:
            self._forget()
            # What started in an earlier life of this agent may be in the midst of a line.
            self._listeners[key] = Listener(fresh=claim.started_us is None)
        return self._listeners[key]

    def _forget(self) -> None:
        """Those of runs that were taken from us without an end."""
        gone = [key for key in self._listeners if self._live.get(*key) is None]
        for key in gone:
            del self._listeners[key]
