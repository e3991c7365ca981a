"""One torture from beginning to end: start, hurt, heal, wait until it is quiet, read, judge."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.torture.case import Case, Violation
from tests.torture.checker import check
from tests.torture.evidence import SECOND_NS, Evidence, boot_ns, read_evidence
from tests.torture.figures import Rows, counts, figures, table
from tests.torture.fleet import Fleet, make_fleet
from tests.torture.load import Work, works
from tests.torture.nemesis import Menu, Nemesis, Step, make_plan, menu_for
from tests.torture.node import wait_until
from tests.torture.records import Records, read_records
from tests.torture.story import tell

CALM_S = 6.0
QUIET_S = 150.0
WATCH_S = 1.0
OPEN = "SELECT count(*) FROM run WHERE state <> 'held'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is asked for; `plan` None: it is made from the seed."""

    kind: str
    seed: int
    seconds: float
    nodes: int = 4
    plant: str = ""
    plan: Sequence[Step] | None = None
    menu: Menu | None = None
    works: Sequence[Work] | None = None
    quiet_s: float = QUIET_S
    pools: Mapping[str, int] = field(default_factory=dict)

    @property
    def replay(self) -> str:
        plant = f" --plant {self.plant}" if self.plant else ""
        return (
            f"python3 dev.py torture --database {self.kind} --minutes {self.seconds / 60:g}"
            f" --nodes {self.nodes} --seed {self.seed}{plant}"
        )


@dataclass(slots=True, kw_only=True)
class Result:
    """What came of it. `figures` are counted from outside, `notes` are worth a look."""

    wish: Wish
    violations: list[Violation] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    rows: Rows = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stories: list[str] = field(default_factory=list)
    evidence: Evidence = field(default_factory=Evidence)

    def text(self) -> str:
        lines = [
            f"torture on {self.wish.kind}, seed {self.wish.seed}, {self.wish.seconds:g} s",
            table(self.rows),
            f"  also: {counts(self.figures)}",
        ]
        lines += [f"  note: {note}" for note in self.notes[:12]]
        if not self.violations:
            return "\n".join([*lines, "  every promise was kept"])
        kinds = Counter(violation.kind for violation in self.violations)
        lines.append(f"  BROKEN: {counts(kinds)}")
        lines += [f"    {violation}" for violation in _samples(self.violations)]
        lines += ["", *self.stories, "", f"  again: {self.wish.replay}"]
        return "\n".join(lines)


def _samples(violations: Sequence[Violation]) -> list[Violation]:
    """Three of each kind."""
    seen: Counter[str] = Counter()
    found = []
    for violation in violations:
        seen[violation.kind] += 1
        if seen[violation.kind] <= 3:
            found.append(violation)
    return found


def torture(wish: Wish, say: Callable[[str], None] = lambda _: None) -> Result:
    """Raises NodeBroken where a node does not even start or stop; ServerMissing."""
    load = list(wish.works or works(longest_ms=8_000 if wish.seconds < 100 else 40_000))
    nodes = 1 if wish.kind == "sqlite" else wish.nodes
    plan = wish.plan
    if plan is None:
        menu = wish.menu or menu_for(wish.kind, nodes)
        plan = make_plan(wish.seed, wish.seconds, nodes, load, menu)
    with make_fleet(
        wish.kind, load, nodes=nodes, seed=wish.seed, plant=wish.plant, pools=wish.pools
    ) as fleet:
        result = Result(wish=wish)
        fleet.start()
        say(f"{nodes} nodes are up, {len(load)} jobs, {len(plan)} steps")
        nemesis = Nemesis(fleet.nodes, fleet.ground, fleet.network, fleet.people, fleet.notes)
        nemesis.begin(plan)
        try:
            _watch(fleet, nemesis, wish.seconds, result)
        finally:
            nemesis.stop()
        nemesis.join(90)
        nemesis.heal()
        _revive(fleet, result, hurt=nemesis.hurt())
        say("healed")
        _watch(fleet, nemesis, CALM_S, result)
        over_us = fleet.end_schedules()
        say("nothing more is due")
        quiet = wait_until(lambda: _is_quiet(fleet), wish.quiet_s, 0.5)
        if not quiet:
            result.notes.append(f"it never became quiet within {wish.quiet_s:.0f} s")
        records = read_records(fleet.ground)
        _ask_audit(fleet, result)
        _stop(fleet, nemesis, result)
        evidence = read_evidence(fleet.evidence)
    _judge(result, evidence, records, over_us)
    return result


def _watch(fleet: Fleet, nemesis: Nemesis, seconds: float, result: Result) -> None:
    """Let it go on; look at the clock; start again what ended by itself."""
    never, end_ns = threading.Event(), boot_ns() + round(seconds * SECOND_NS)
    while boot_ns() < end_ns:
        never.wait(WATCH_S)
        nemesis.check()
        fleet.sample()
        _revive(fleet, result, hurt=nemesis.hurt())


def _revive(fleet: Fleet, result: Result, hurt: frozenset[str] = frozenset()) -> None:
    """An agent that ended without being killed: noted, and started again as systemd would."""
    for node in fleet.nodes:
        if node.name in hurt or node.alive():
            continue
        code = node.process.returncode if node.process else None
        lines = node.tail().strip().splitlines()
        result.notes.append(f"{node.name} ended by itself ({code}): {' / '.join(lines[-2:])}")
        result.figures["agents that ended by themselves"] += 1
        node.start()


def _is_quiet(fleet: Fleet) -> bool:
    fleet.sample()
    return bool(fleet.ground.query(OPEN)[0][0] == 0)


def _stop(fleet: Fleet, nemesis: Nemesis, result: Result) -> None:
    for node in fleet.nodes:
        if node.name in nemesis.gone:
            continue
        if not node.alive():
            node.start()
        node.wait_up()
        took_s = node.stop()
        result.figures["slowest stop, ms"] = max(
            result.figures["slowest stop, ms"], round(took_s * 1000)
        )
    if not wait_until(lambda: not any(n.supervisors() for n in fleet.nodes), 15):
        result.notes.append("supervisors were left behind")
        result.violations.append(
            Violation(kind="left_behind", job="-", text="a supervisor outlived its agent's stop")
        )
    if fleet.network is not None:
        doors = range(len(fleet.nodes))
        swallowed = sum(fleet.network.swallowed(door) for door in doors)
        result.figures["answers to COMMIT swallowed"] = swallowed
    result.figures["deadlocks"] = fleet.deadlocks
    refused = fleet.people.refused
    result.figures["deeds that failed"] = len(refused)
    result.notes += [f"refused: {text}" for text in refused[:6]]


def _ask_audit(fleet: Fleet, result: Result) -> None:
    """The product's own audit must come to the same end as our checker."""
    answer = fleet.people.ask("audit", "-o", "json")
    found = json.loads(answer.text)["items"]
    result.figures["slots audited"] = sum(item["slots"] for item in found)
    for item in found:
        wrong = {
            kind: item[kind]
            for kind in ("unexplained", "twice", "uncalled", "miscounted")
            if item[kind]["count"]
        }
        if wrong:
            text = f"the audit finds {json.dumps(wrong)}"
            result.violations.append(Violation(kind="audit", job=item["job"], text=text))


def _judge(result: Result, evidence: Evidence, records: Records, over_us: int) -> None:
    case = Case(evidence=evidence, records=records, over_us=over_us)
    result.violations += check(case)
    result.figures["starts"] = len(evidence.births)
    result.evidence = evidence
    result.rows = figures(case, result.violations, result.figures)
    told: set[str] = set()
    for violation in result.violations:
        if violation.job not in told and violation.job in records.jobs and len(told) < 2:
            told.add(violation.job)
            result.stories.append(tell(case, violation))
