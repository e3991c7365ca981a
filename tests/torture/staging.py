"""Evidence and records made up for the checker's own tests: a quiet world, to be disturbed."""

from dataclasses import dataclass, field
from typing import Any

from tests.torture.case import Case, Violation
from tests.torture.checker import check
from tests.torture.evidence import SECOND_NS, SECOND_US, Birth, Deed, Evidence, Fault
from tests.torture.records import AttemptRecord, JobRecord, LedgerRecord, Records, RunRecord

BEGAN_US = 1_800_000_000 * SECOND_US
BEGAN_NS = 1_000 * SECOND_NS
PERIOD_S = 10


def ns(second: float) -> int:
    return BEGAN_NS + round(second * SECOND_NS)


def us(second: float) -> int:
    return BEGAN_US + round(second * SECOND_US)


@dataclass(kw_only=True)
class World:
    """One job, every 10 s, and six slots, of which each ran for a second on its own."""

    name: str = "job"
    spec: dict[str, Any] = field(default_factory=dict)
    births: list[Birth] = field(default_factory=list)
    runs: list[RunRecord] = field(default_factory=list)
    attempts: list[AttemptRecord] = field(default_factory=list)
    ledger: list[LedgerRecord] = field(default_factory=list)
    permits: list[tuple[str, int, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    pools: dict[str, int] = field(default_factory=dict)
    last_s: float = 60
    over_s: float = 62

    @property
    def schedule(self) -> str:
        return str(self.spec.get("schedule", f"every {PERIOD_S}s"))

    def ran(
        self,
        slot_s: float | None,
        *,
        at_s: float | None = None,
        lasted_s: float = 1,
        run: str = "",
        attempt: int = 1,
        fence: int = 0,
        node: str = "node0",
        code: int = 0,
        cause: str = "schedule",
        final: bool = True,
    ) -> Birth:
        """A start as it should be: seen, and recorded as it was seen."""
        at_s = (slot_s or 0) + 0.05 if at_s is None else at_s
        run = run or f"run-{len(self.runs):04}"
        slot_us = None if slot_s is None else us(slot_s)
        birth = Birth(
            run=run,
            job=self.name,
            slot_us=slot_us,
            attempt=attempt,
            fence=fence or round(at_s * 1000),
            node=node,
            pid=len(self.births) + 1,
            at_ns=ns(at_s),
            real_ns=us(at_s) * 1_000,
            cause=cause,
            end_ns=ns(at_s + lasted_s),
            code=code,
            dead_ns=ns(at_s + lasted_s + 0.01),
        )
        self.births.append(birth)
        self.attempts.append(
            AttemptRecord(
                run=run,
                number=attempt,
                node=node,
                started_us=us(at_s),
                ended_us=us(at_s + lasted_s),
                exit_code=code,
            )
        )
        if final:
            self.runs.append(
                RunRecord(
                    id=run,
                    job=self.name,
                    slot_us=slot_us,
                    cause=cause,
                    state="finished",
                    outcome="failed" if code else "succeeded",
                    started_us=us(at_s),
                    ended_us=us(at_s + lasted_s),
                    attempt=attempt,
                    exit_code=code,
                )
            )
        return birth

    def skipped(
        self, from_s: float, reason: str, *, to_s: float | None = None, at_s: float | None = None
    ) -> None:
        to_s = from_s if to_s is None else to_s
        at_s = to_s + 0.02 if at_s is None else at_s
        count = round((to_s - from_s) / PERIOD_S) + 1
        self.ledger.append(
            LedgerRecord(
                job=self.name,
                from_us=us(from_s),
                to_us=us(to_s),
                count=count,
                reason=reason,
                at_us=us(at_s),
            )
        )

    def hurt(self, kind: str, from_s: float, to_s: float, target: str = "node0") -> None:
        self.faults.append(Fault(kind=kind, target=target, from_ns=ns(from_s), to_ns=ns(to_s)))

    def did(
        self,
        kind: str,
        at_s: float,
        *,
        answer: str = "",
        ok: bool | None = True,
        target: str = "",
    ) -> None:
        deed = Deed(
            kind=kind,
            target=target or self.name,
            from_ns=ns(at_s),
            to_ns=ns(at_s + 0.5),
            ok=ok,
            answer=answer,
        )
        self.deeds.append(deed)

    def case(self) -> Case:
        evidence = Evidence(
            births=sorted(self.births, key=lambda birth: birth.at_ns),
            faults=self.faults,
            deeds=self.deeds,
            offset_us=BEGAN_US - BEGAN_NS // 1_000,
        )
        job = JobRecord(
            name=self.name,
            spec=self.spec,
            last_slot_us=us(self.last_s),
            schedules=[(us(0), self.schedule)],
        )
        records = Records(
            jobs={self.name: job},
            runs=self.runs,
            attempts=self.attempts,
            ledger=self.ledger,
            permits=self.permits,
            pools=self.pools,
        )
        return Case(evidence=evidence, records=records, over_us=us(self.over_s))

    def violations(self) -> list[Violation]:
        return check(self.case())

    def kinds(self) -> set[str]:
        return {violation.kind for violation in self.violations()}


def quiet_world(*, without: tuple[int, ...] = (), **spec: Any) -> World:
    """Slots 10 to 60; those in `without` are left to the test."""
    world = World(spec=spec)
    for slot_s in range(PERIOD_S, 61, PERIOD_S):
        if slot_s not in without:
            world.ran(slot_s)
    return world
