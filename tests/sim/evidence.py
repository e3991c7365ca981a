"""Evidence: what was really executed, as the machines saw it. Never read from the store."""

from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Deed:
    """One command that was executed."""

    run_id: str
    job: str
    attempt: int
    token: str
    fence: int
    cause: str
    slot: str
    host: str
    started_us: int
    ended_us: int | None = None
    how: str = ""
    exit_code: int | None = None
    frozen: bool = False

    @property
    def alive(self) -> bool:
        """Whether it may act at this instant."""
        return self.ended_us is None and not self.frozen

    @property
    def scheduled(self) -> bool:
        return self.cause in {"schedule", "catchup"}


@dataclass(slots=True)
class Evidence:
    """All deeds, and those that have not ended, by job."""

    deeds: list[Deed] = field(default_factory=list)
    by_job: dict[str, list[Deed]] = field(default_factory=dict)
    open: dict[str, list[Deed]] = field(default_factory=dict)

    def begin(self, deed: Deed) -> None:
        self.deeds.append(deed)
        self.by_job.setdefault(deed.job, []).append(deed)
        self.open.setdefault(deed.job, []).append(deed)

    def end(self, deed: Deed, at_us: int, how: str, exit_code: int | None) -> None:
        deed.ended_us, deed.how, deed.exit_code = at_us, how, exit_code
        self.open[deed.job].remove(deed)
