"""The figures of a torture as a table: what was counted from outside, and from the records."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tests.torture.case import Case, Violation
from tests.torture.evidence import SECOND_NS, SECOND_US, Birth, Deed

DOUBLES = frozenset(
    {"two_runs", "started_twice", "two_outcomes", "extra_start", "request_repeated"}
)
UNACCOUNTED = frozenset(
    {
        "slot_without_outcome",
        "unfired_slots",
        "stuck_run",
        "start_without_record",
        "record_without_start",
        "unjustified_skip",
        "wrong_count",
    }
)
EARLY = frozenset({"early_start", "phantom_slot"})
TAKEN_OVER = "was taken over"
DECLARED_DEAD = "was declared dead"
# Fleet-wide: nobody could start anything. Of all others at least one node was well.
FLEET_WIDE = frozenset({"db_freeze", "db_kill", "db_restart", "db_cut", "hold"})
# Until a fault that has ended is over: sessions are made anew, an agent is up again.
TAIL_NS = 5 * SECOND_NS

Rows = list[tuple[str, str]]


def figures(case: Case, violations: Iterable[Violation], own: Counter[str]) -> Rows:
    """Names and values in the order in which one reads them; `own` are the storm's counts."""
    faults = Counter(fault.kind for fault in case.evidence.faults)
    broken = Counter(violation.kind for violation in violations)
    births = case.evidence.births
    attempts = case.records.attempts
    slots = len({(run.job, run.slot_us) for run in case.records.runs if run.slot_us is not None})
    skipped = sum(row.count for row in case.records.ledger)
    reasons: Counter[str] = Counter()
    for row in case.records.ledger:
        reasons[row.reason] += row.count
    rows: Rows = [
        ("slots decided", f"{slots + skipped} ({slots} runs, {skipped} skipped)"),
        ("starts seen", str(len(births))),
        ("attempts recorded", str(len(attempts))),
        ("later attempts", str(sum(birth.attempt > 1 for birth in births))),
        ("skips", counts(reasons)),
        ("outcomes", counts(Counter(run.outcome or run.state for run in case.records.runs))),
        ("nodes judged silent", str(case.records.events["node_judged"])),
        ("attempts taken over", str(sum(TAKEN_OVER in each.text for each in attempts))),
        ("attempts declared dead", str(sum(DECLARED_DEAD in each.text for each in attempts))),
        ("attempts lost", str(sum(each.error == "lost" for each in attempts))),
        ("corrected", str(case.records.events["run_corrected"])),
        ("stale reports refused", str(case.records.events["stale_report"])),
        ("answers to COMMIT swallowed", str(own["answers to COMMIT swallowed"])),
        ("commands killed", str(sum(birth.end_ns is None for birth in births))),
        ("kills", _of(faults, "kill_", "bury", "gone")),
        ("freezes", _of(faults, "freeze_", "stop_node")),
        ("network and clock", _of(faults, "delay", "cut", "blackhole", "mute", "forget", "skew")),
        ("database outages", _of(faults, "db_")),
        ("deeds of people", _deeds(case)),
        ("deadlocks", str(own["deadlocks"])),
        ("lateness outside faults", spread(lateness(case, fleet_wide=False))),
        ("lateness, one node well", spread(lateness(case, fleet_wide=True))),
        ("doubles", str(_sum(broken, DOUBLES))),
        ("unaccounted", str(_sum(broken, UNACCOUNTED))),
        ("early", str(_sum(broken, EARLY))),
        ("other promises broken", str(_others(broken))),
    ]
    return rows


def table(rows: Rows) -> str:
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"  {name:<{width}}  {value}" for name, value in rows)


def counts(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counted.items())) or "none"


def _of(faults: Counter[str], *beginnings: str) -> str:
    found = Counter({kind: n for kind, n in faults.items() if kind.startswith(beginnings)})
    total = found.total()
    return f"{total} ({counts(found)})" if total else "0"


def _deeds(case: Case) -> str:
    done = Counter(deed.kind for deed in case.evidence.deeds if deed.ok)
    done["edit"] -= len(_last_edits(case))
    return counts(+done)


def _last_edits(case: Case) -> list[Deed]:
    """The edit of every job with which a torture ends is none of a person."""
    last: dict[str, Deed] = {}
    for deed in case.evidence.deeds:
        if deed.kind == "edit":
            last[deed.target] = deed
    return list(last.values())


def _sum(broken: Counter[str], kinds: frozenset[str]) -> int:
    return sum(broken[kind] for kind in kinds)


def _others(broken: Counter[str]) -> int:
    return broken.total() - _sum(broken, DOUBLES | UNACCOUNTED | EARLY)


# ------------------------------------------------------------------ how late


def lateness(case: Case, *, fleet_wide: bool) -> list[int]:
    """By how many microseconds starts were late that had nothing to wait for.

    `fleet_wide`: only what hit everybody at once is an excuse, not what one node suffered.
    """
    faults = [
        (fault.from_ns - SECOND_NS, fault.to_ns + TAIL_NS)
        for fault in case.evidence.faults
        if not fleet_wide or fault.kind in FLEET_WIDE
    ]
    return sorted(
        case.evidence.database_us(birth.at_ns) - birth.slot_us
        for birth in case.evidence.births
        if birth.slot_us is not None
        and _is_plain(case, birth)
        and not any(
            from_ns <= case.evidence.boot_ns(birth.slot_us) <= to_ns for from_ns, to_ns in faults
        )
    )


def _is_plain(case: Case, birth: Birth) -> bool:
    """The first attempt of a slot of a job that never waits by policy, and that nobody touched."""
    job = case.records.jobs.get(birth.job)
    if job is None or birth.cause != "schedule" or birth.attempt > 1:
        return False
    if job.chained or job.overlap in {"queue", "replace"} or "run_on" in job.spec or job.pools:
        return False
    slot_ns = case.evidence.boot_ns(birth.slot_us or 0)
    return not any(
        deed.target == birth.job
        and deed.from_ns - SECOND_NS <= birth.at_ns
        and slot_ns <= deed.to_ns + TAIL_NS
        for deed in case.evidence.deeds
    )


def spread(sorted_us: Sequence[int]) -> str:
    if not sorted_us:
        return "nothing was outside of them"

    def at(share: float) -> str:
        return f"{sorted_us[min(len(sorted_us) - 1, int(len(sorted_us) * share))] / SECOND_US:.3f}"

    return (
        f"p50 {at(0.5)} s, p99 {at(0.99)} s, largest {sorted_us[-1] / SECOND_US:.3f} s"
        f" of {len(sorted_us)} starts"
    )
