"""steady: more work than a node can do, for some seconds; then every slot must be accounted for."""

import time
from collections import Counter
from pathlib import Path

from bench.burst import cpu_ratio
from bench.fleet import Fleet, wait_for
from bench.records import Records
from bench.report import BenchError, Report, Row, Target, tidy
from bench.stage import Bench

JOBS = 2_000
GOAL_PER_S = 2_000.0
WARM_S = 3
SECOND_US = 1_000_000
LOOP_RUNS = 4_000

ENDED = """
SELECT j.name, h.slot_us, h.outcome FROM run_history h JOIN job j ON j.id = h.job_id
"""
SKIPPED = "SELECT j.name, l.from_us, l.to_us, l.count FROM ledger l JOIN job j ON j.id = l.job_id"
LIVE = "SELECT j.name, r.slot_us, r.state FROM run r JOIN job j ON j.id = r.job_id"
MARKS = """
SELECT j.name, j.created_us, d.last_slot_us FROM job j JOIN job_due d ON d.job_id = j.id
"""

Slot = tuple[str, int]


def run(bench: Bench) -> Report:
    report = Report(name="steady")
    witness, evidence = bench.program("witness"), bench.folder / "evidence"
    command = [str(witness), str(evidence)]
    jobs = [
        {"name": f"steady-{n}", "command": command, "schedule": "every 1s"} for n in range(JOBS)
    ]
    before = bench.loop(LOOP_RUNS, [str(witness), str(bench.folder / "loop")])
    with bench.fleet() as fleet:
        bench.say(f"{JOBS} jobs every 1s for {bench.seconds} s")
        fleet.client.apply_jobs(jobs, "bench", "bench", dry_run=False)
        speed = _measure(fleet, bench.seconds)
    after = bench.loop(LOOP_RUNS, [str(witness), str(bench.folder / "loop")])
    bench.say("counting slots, records and evidence")
    records = fleet.open_records()
    try:
        exact = _account(records, evidence)
    finally:
        records.close()
    per_s = (before["per_s"] + after["per_s"]) / 2
    own_us = sum(value for name, value in speed.items() if name.endswith("us/run"))
    report.tables["as fast as it goes"] = [
        {
            **speed,
            "loop/s before": tidy(before["per_s"]),
            "after": tidy(after["per_s"]),
            "ratio": tidy(speed["runs/s"] / per_s, 3),
            "cpu ratio": cpu_ratio(own_us, after),
        }
    ]
    report.tables["slots, all accounted for"] = [exact]
    report.targets.append(
        Target(what="runs a second", value=speed["runs/s"], goal=GOAL_PER_S, unit="/s",
               at_least=True)
    )  # fmt: skip
    report.notes += [
        "the command writes a line of evidence: some more work than `true`",
        f"{bench.capacity} in flight, ours and the loop, which runs before and after",
        "a ratio above 1 says that others used the machine while the loop ran; see cpu ratio",
        "every evidence line is a succeeded run and the other way round",
        "each slot of each job up to its watermark ran, waits, or is in the ledger, and that once",
        "the goal is the one for PostgreSQL",
    ]
    return report


def _measure(fleet: Fleet, seconds: int) -> Row:
    records, family = fleet.records, fleet.family()
    wait_for(lambda: records.finished() > 0, 30, "nothing was recorded")
    time.sleep(WARM_S)
    finished, cpu, began = records.finished(), family.cpu_us(), time.monotonic()
    server_us = fleet.server_us()
    time.sleep(seconds)
    runs, lasted = records.finished() - finished, time.monotonic() - began
    server_us = fleet.server_us() - server_us
    spent = {name: after - cpu[name] for name, after in family.cpu_us().items()}
    if not runs:
        raise BenchError(f"no run was recorded in {seconds} s")
    return {
        "runs": runs,
        "runs/s": tidy(runs / lasted),
        **{f"{name} us/run": tidy(used / runs, 3) for name, used in spent.items()},
        "server us/run": tidy(server_us / runs, 3),
    }


def _account(records: Records, evidence: Path) -> Row:
    """Compare what is recorded with what happened. Raises BenchError where they differ."""
    outcomes: Counter[str] = Counter()
    slots: Counter[Slot] = Counter()
    succeeded: set[Slot] = set()
    for name, slot_us, outcome in records.rows(ENDED):
        outcomes[outcome] += 1
        slots[name, slot_us] += 1
        if outcome == "succeeded":
            succeeded.add((name, slot_us))
    live = records.rows(LIVE)
    slots.update((name, slot_us) for name, slot_us, _ in live)
    skipped = _skipped(records, slots)
    lines = [tuple(line.split()[:2]) for line in evidence.read_text().splitlines()]
    _same_as_evidence(lines, succeeded)
    wanted = _wanted(records)
    if slots != wanted:
        missing, extra = wanted - slots, slots - wanted
        raise BenchError(
            f"{missing.total()} slots have no record, {extra.total()} have too many:"
            f" {list((missing or extra).items())[:3]}"
        )
    return {
        "slots": wanted.total(),
        "succeeded": outcomes.pop("succeeded", 0),
        "other ends": outcomes.total(),
        "not started yet": len(live),
        "in ledger": skipped,
        "evidence lines": len(lines),
    }


def _skipped(records: Records, slots: Counter[Slot]) -> int:
    """Add the slots of the ledger; how many there are."""
    total = 0
    for name, from_us, to_us, count in records.rows(SKIPPED):
        covered = range(from_us, to_us + 1, SECOND_US)
        if len(covered) != count:
            raise BenchError(f"a ledger row of {name} counts {count} slots in {len(covered)} s")
        slots.update((name, slot_us) for slot_us in covered)
        total += count
    return total


def _same_as_evidence(lines: list[tuple[str, ...]], succeeded: set[Slot]) -> None:
    """Each line one succeeded run, each succeeded run one line."""
    if len(set(lines)) != len(lines):
        raise BenchError(f"{len(lines) - len(set(lines))} slots ran twice")
    seen = {(job, slot) for slot, job in lines}
    told = {(name, _spelled(slot_us)) for name, slot_us in succeeded}
    if seen != told:
        raise BenchError(
            f"{len(told - seen)} succeeded runs left no evidence,"
            f" {len(seen - told)} left some and are not recorded as succeeded"
        )


def _spelled(slot_us: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(slot_us / SECOND_US))


def _wanted(records: Records) -> Counter[Slot]:
    """Every full second from a job's creation to its watermark."""
    wanted: Counter[Slot] = Counter()
    for name, created_us, last_us in records.rows(MARKS):
        first_us = (created_us // SECOND_US + 1) * SECOND_US
        wanted.update((name, slot_us) for slot_us in range(first_us, last_us + 1, SECOND_US))
    return wanted
