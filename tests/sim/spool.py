"""Spool: what one host's supervisors wrote down, which outlives them and their agents."""

from dataclasses import dataclass, field

from cronherd.supervisor.base import Ended, Gone, Report

Key = tuple[str, int, str]  # run, attempt, token


def key_of(report: Report) -> Key:
    return report.run_id, report.attempt, report.token


@dataclass(slots=True)
class Spool:
    """Reports by position until they are acknowledged, and starts that have not ended."""

    position: int = 0
    reports: list[tuple[int, int, Report]] = field(default_factory=list)
    intents: dict[Key, int] = field(default_factory=dict)

    def add(self, report: Report, at_us: int) -> None:
        self.position += 1
        self.reports.append((self.position, at_us, report))
        if isinstance(report, Ended | Gone):
            self.intents.pop(key_of(report), None)

    def intend(self, key: Key, at_us: int) -> None:
        """Written before anything is spawned."""
        self.intents[key] = at_us

    def after(self, position: int) -> list[tuple[int, Report]]:
        return [(at, report) for at, _, report in self.reports if at > position]

    def ack(self, position: int) -> None:
        self.reports = [entry for entry in self.reports if entry[0] > position]

    def tear(self, since_us: int) -> None:
        """The power failed: what was written since then had not reached the disk."""
        self.reports = [entry for entry in self.reports if entry[1] < since_us]
        self.intents = {key: at for key, at in self.intents.items() if at < since_us}
