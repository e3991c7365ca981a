"""Crier: tells the log how runs end, a few lines a second, and of the rest how many there were."""

import logging
from collections.abc import Iterable

from cronherd.domain.duration import format_duration
from cronherd.domain.ident import SHORT
from cronherd.domain.run import Outcome
from cronherd.engine.clock import Clock
from cronherd.store.base import Ending

log = logging.getLogger("cronherd")

# What a person can read while it scrolls by; a burst is told as a number.
LINES = 5
EACH_US = 1_000_000


class Crier:
    """One line per ended attempt, as long as there are few."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_us = clock.boot_us()
        self._lines = 0
        self._untold = 0

    def tell(self, ended: Iterable[tuple[str, Ending]]) -> None:
        """These attempts, by the names of their jobs, are on record now."""
        now_us = self._clock.boot_us()
        if now_us - self._since_us > EACH_US:
            self._catch_up(now_us)
        for name, ending in ended:
            if ending.verdict.void:
                continue
            self._lines += 1
            if self._lines > LINES:
                self._untold += 1
            else:
                log.log(_level(ending), "%s", _sentence(name, ending))

    def _catch_up(self, now_us: int) -> None:
        if self._untold:
            log.info("… and %d more runs ended", self._untold)
        self._since_us, self._lines, self._untold = now_us, 0, 0


def _level(ending: Ending) -> int:
    well = ending.verdict.outcome in {Outcome.SUCCEEDED, Outcome.SKIPPED}
    return logging.INFO if well else logging.WARNING


def _sentence(name: str, ending: Ending) -> str:
    seen = ending.exit
    words = [f"{name}: {ending.verdict.outcome.value.replace('_', ' ')}"]
    if seen.started_us is not None:
        took_us = (seen.ended_us - seen.started_us) // 1_000 * 1_000
        words.append(f"after {format_duration(took_us)}")
    if seen.exit_code:
        words.append(f"with exit code {seen.exit_code}")
    if seen.signal:
        words.append(f"by signal {seen.signal}")
    if seen.error_text:
        words.append(f"({seen.error_text})")
    if ending.verdict.wait_us is not None:
        words.append("and is tried again")
    return f"{' '.join(words)}, run {ending.run_id[:SHORT]}"
