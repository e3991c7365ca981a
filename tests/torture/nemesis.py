"""What goes wrong, and when: a plan made from a seed, then carried out and written down.

A plan is a list of steps, each with an instant, a kind, a target and a length, so that the same
seed hurts in the same way again. Three hands carry it out side by side: one for nodes and their
network, one for the database, one for people.
"""

import random
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tests.torture.database import Ground
from tests.torture.evidence import SECOND_NS, Fault, Notes, boot_ns
from tests.torture.load import Work
from tests.torture.node import Node
from tests.torture.people import People
from tests.torture.proxy import Network

NODE_FAULTS = {
    "kill_agent": 4,
    "kill_supervisor": 2,
    "kill_both": 3,
    "freeze_agent": 2,
    "freeze_long": 1,
    "stop_node": 1,
    "stop_node_long": 1,
    "bury": 1,
    "skew": 2,
}
NETWORK_FAULTS = {
    "delay": 2,
    "cut": 2,
    "blackhole": 2,
    "mute": 2,
    "forget": 4,
}
DATABASE_FAULTS = {"db_freeze": 1, "db_kill": 1, "db_restart": 1, "db_cut": 3}
DEEDS = {"pause": 3, "disable": 2, "edit": 2, "run": 3, "cancel": 2, "drain": 2, "hold": 1}
LONG_S = 44.0  # past every lease and takeover
BURY_S = 22.0  # past the lease: only a node that is silent can be removed
LENGTHS = {"freeze_long": LONG_S, "stop_node_long": LONG_S, "bury": BURY_S}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`at_s` from the beginning; `target` is a node's number, or a job's name."""

    at_s: float
    kind: str
    target: int | str
    length_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """Which faults with which weight, and how far apart. An empty weight list is none of it."""

    node: dict[str, int]
    database: dict[str, int]
    people: dict[str, int]
    node_every_s: float = 3.5
    database_every_s: float = 20.0
    people_every_s: float = 4.0


def menu_for(kind: str, nodes: int) -> Menu:
    """Everything that this kind of database knows."""
    if kind == "sqlite":
        # Its clock is the host's, and there is no network.
        lone = {name: weight for name, weight in NODE_FAULTS.items() if name != "bury"}
        plain = {name: weight for name, weight in lone.items() if name != "skew"}
        deeds = {name: weight for name, weight in DEEDS.items() if name != "drain"}
        return Menu(node=plain, database={}, people=deeds, node_every_s=7.0)
    deeds = dict(DEEDS) if nodes > 1 else {k: v for k, v in DEEDS.items() if k != "drain"}
    return Menu(node=NODE_FAULTS | NETWORK_FAULTS, database=DATABASE_FAULTS, people=deeds)


def make_plan(
    seed: int, seconds: float, nodes: int, works: Sequence[Work], menu: Menu
) -> list[Step]:
    """The same for the same question. Every fault ends before `seconds` are over."""
    chance = random.Random(seed)
    steps = _node_steps(chance, seconds, nodes, menu)
    at_s = 6.0
    while menu.database and (at_s := at_s + chance.uniform(0.5, 1.5) * menu.database_every_s) < (
        seconds - 4
    ):
        kind = _draw(chance, menu.database)
        length = min(chance.uniform(5, 20), max(2.0, seconds - at_s - 6))
        if kind in {"db_kill", "db_restart"}:
            length = chance.uniform(0.2, 3)
        steps.append(Step(at_s=at_s, kind=kind, target="database", length_s=length))
        at_s += length  # one at a time: it is one database
    at_s, held_s = 3.0, 0.0
    while menu.people and (at_s := at_s + chance.uniform(0.5, 1.5) * menu.people_every_s) < (
        seconds - 8
    ):
        kind = _draw(chance, menu.people)
        target: int | str = chance.choice(_targets(kind, works))
        if kind == "drain":
            target = chance.randrange(nodes)
        length = chance.uniform(2, 9)
        if kind == "hold":
            if at_s < held_s:  # one hold at a time: it is the whole fleet's
                continue
            target, held_s = "all", at_s + length + 1
        steps.append(Step(at_s=at_s, kind=kind, target=target, length_s=length))
    return sorted(steps, key=lambda step: step.at_s)


def _node_steps(chance: random.Random, seconds: float, nodes: int, menu: Menu) -> list[Step]:
    free_s = [0.0] * nodes
    steps: list[Step] = []
    at_s = 4.0
    while menu.node and (at_s := at_s + chance.uniform(0.5, 1.5) * menu.node_every_s) < seconds - 3:
        kind, node = _draw(chance, menu.node), chance.randrange(nodes)
        length = min(chance.uniform(0.5, 9), seconds - at_s - 1)
        if kind in LENGTHS:
            if seconds - at_s < LENGTHS[kind] + 4:
                continue
            length = LENGTHS[kind]
        if kind == "skew":
            length = min(chance.uniform(5, 20), seconds - at_s - 1)
        if free_s[node] <= at_s:
            free_s[node] = at_s + length + 1
            steps.append(Step(at_s=at_s, kind=kind, target=node, length_s=length))
    return steps


def _draw(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _targets(kind: str, works: Sequence[Work]) -> list[str]:
    """A chain that is edited or paused says nothing of its own slots: leave it to disable."""
    every = [work for work in works if work.may_be_edited]
    if kind == "edit":
        every = [work for work in every if work.name.startswith(("plain", "queue", "allow"))]
    return [work.name for work in every]


Deed = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Act:
    """`step`: acts of one step belong together. `ends`: it ends what the other one began."""

    at_s: float
    what: str
    do: Deed
    step: int
    ends: bool = False


class Hand(threading.Thread):
    """Does one thing after the other, each at its instant or as soon as it can."""

    def __init__(self, name: str, acts: list[Act], began_ns: int, over: threading.Event) -> None:
        super().__init__(name=name, daemon=True)
        self._acts = sorted(acts, key=lambda act: act.at_s)
        self._began_ns = began_ns
        self._over = over
        self.error: Exception | None = None

    def run(self) -> None:
        begun: set[int] = set()
        for act in self._acts:
            left_s = act.at_s - (boot_ns() - self._began_ns) / SECOND_NS
            over = self._over.wait(max(0.0, left_s))
            # What was begun is ended even when time is up: nothing is left paused or frozen.
            if over and not (act.ends and act.step in begun):
                continue
            begun.add(act.step)
            try:
                act.do()
            except Exception as error:  # noqa: BLE001 - the torture is broken, and says so
                error.add_note(f"while the nemesis did {act.what}")
                self.error = error
                return


def _blow(step: Step, node: Node) -> Deed:
    """What is done to a node when a fault of it begins."""

    def kill_both() -> None:
        node.signal_agent(signal.SIGKILL)
        node.signal_supervisor(signal.SIGKILL)

    blows: dict[str, Deed] = {
        "kill_agent": lambda: node.signal_agent(signal.SIGKILL),
        "kill_supervisor": lambda: node.signal_supervisor(signal.SIGKILL),
        **dict.fromkeys(("kill_both", "bury", "gone"), kill_both),
        **dict.fromkeys(("freeze_agent", "freeze_long"), lambda: node.signal_agent(signal.SIGSTOP)),
        **dict.fromkeys(("stop_node", "stop_node_long"), node.stop_all),
        # Forward or back, as its length has it: so the plan alone decides.
        "skew": lambda: node.skew.set(3600 if step.length_s % 2 < 1 else -3600),
    }
    return blows[step.kind]


class Nemesis:
    """Carries a plan out. What it began and did not end, `heal` ends."""

    def __init__(
        self,
        nodes: Sequence[Node],
        ground: Ground,
        network: Network | None,
        people: People,
        notes: Notes,
    ) -> None:
        self._nodes = nodes
        self._ground = ground
        self._network = network
        self._people = people
        self._notes = notes
        self._over = threading.Event()
        self._hands: list[Hand] = []
        self._open: dict[tuple[str, str], int] = {}
        self.gone: set[str] = set()  # these hosts never come back

    def begin(self, plan: Sequence[Step]) -> None:
        acts: dict[str, list[Act]] = {"nodes": [], "database": [], "people": []}
        for number, step in enumerate(plan):
            room, first, last = self._acts_of(step)
            what = f"{step.kind} {step.target}"
            acts[room].append(Act(step.at_s, what, first, number))
            if last is not None:
                end_s = step.at_s + step.length_s
                acts[room].append(Act(end_s, f"the end of {what}", last, number, ends=True))
        began_ns = boot_ns()
        self._hands = [Hand(name, found, began_ns, self._over) for name, found in acts.items()]
        for hand in self._hands:
            hand.start()

    def check(self) -> None:
        """Raise what went wrong with the torture itself."""
        for hand in self._hands:
            if hand.error is not None:
                raise hand.error

    def join(self, patience_s: float) -> None:
        """Let the hands end what they have begun."""
        for hand in self._hands:
            hand.join(patience_s)
        self.check()

    def stop(self) -> None:
        """Begin nothing more."""
        self._over.set()

    def _acts_of(self, step: Step) -> tuple[str, Deed, Deed | None]:
        if step.kind in DEEDS:
            first, last = self._deed(step)
            return "people", first, last
        if step.kind in DATABASE_FAULTS:
            first, last = self._database_fault(step.kind)
            return "database", first, last
        assert isinstance(step.target, int)
        node = self._nodes[step.target]
        if step.kind in NETWORK_FAULTS:
            first, last = self._network_fault(step.kind, step.target, node.name)
        else:
            first, last = self._node_fault(step, node)
        return "nodes", first, last

    # -------------------------------------------------------------- nodes

    def _node_fault(self, step: Step, node: Node) -> tuple[Deed, Deed | None]:
        kind = step.kind
        hurt = _blow(step, node)

        def first() -> None:
            self._begin(kind, node.name)
            if kind == "gone":
                self.gone.add(node.name)
            hurt()

        def last() -> None:
            node.continue_all()
            node.skew.set(0)
            if kind == "bury":
                self._people.bury(node.name)
            if not node.alive():
                node.start()
            self._end(kind, node.name)

        return first, None if kind == "gone" else last

    def _network_fault(self, kind: str, door: int, name: str) -> tuple[Deed, Deed]:
        network = self._network
        assert network is not None

        def first() -> None:
            self._begin(kind, name)
            how = {"delay": {"ms": 60.0, "jitter": 50.0}, "forget": {"share": 0.3}}
            network.order(door, kind, **how.get(kind, {}))

        def last() -> None:
            network.order(door, "pass")
            self._end(kind, name)

        return first, last

    # -------------------------------------------------------------- database

    def _database_fault(self, kind: str) -> tuple[Deed, Deed]:
        ground = self._ground

        def first() -> None:
            self._begin(kind, "database")
            if kind == "db_freeze":
                ground.freeze()
            elif kind == "db_kill":
                ground.kill()
            elif kind == "db_restart":
                ground.stop()
            else:
                ground.cut()

        def last() -> None:
            if kind == "db_freeze":
                ground.thaw()
            elif kind in {"db_kill", "db_restart"}:
                ground.restart()
            self._end(kind, "database")

        return first, last

    # -------------------------------------------------------------- people

    def _deed(self, step: Step) -> tuple[Deed, Deed | None]:
        people, target = self._people, str(step.target)
        if step.kind == "drain":
            assert isinstance(step.target, int)
            name = self._nodes[step.target].name
            return lambda: people.drain(name), lambda: people.undrain(name)
        pairs: dict[str, tuple[Callable[[str], None], Callable[[str], None] | None]] = {
            "pause": (people.pause, people.resume),
            "disable": (people.disable, people.enable),
            "edit": (people.edit, None),
            "run": (people.run_twice, None),
            "cancel": (people.cancel, None),
            "hold": (lambda _: self._hold(), lambda _: self._let_go()),
        }
        first, last = pairs[step.kind]
        return lambda: first(target), None if last is None else lambda: last(target)

    def _hold(self) -> None:
        """A deed that is felt like a fault: nothing fires, and what was due meanwhile is late."""
        self._begin("hold", "all")
        self._people.hold()

    def _let_go(self) -> None:
        self._people.let_go()
        self._end("hold", "all")

    # -------------------------------------------------------------- notes

    def hurt(self) -> frozenset[str]:
        """Nodes that are down on purpose, or about to be."""
        return frozenset({target for _, target in list(self._open)} | self.gone)

    def _begin(self, kind: str, target: str) -> None:
        self._open[kind, target] = boot_ns()

    def _end(self, kind: str, target: str) -> None:
        from_ns = self._open.pop((kind, target))
        self._notes.fault(Fault(kind=kind, target=target, from_ns=from_ns, to_ns=boot_ns()))

    def heal(self) -> None:
        """End whatever is still going on: nodes alive, doors open, database up, clocks right."""
        with suppress(ProcessLookupError):
            self._ground.thaw()
        self._ground.restart()
        for door, node in enumerate(self._nodes):
            if node.name in self.gone:
                continue
            if self._network is not None:
                self._network.order(door, "pass")
            node.skew.set(0)
            node.continue_all()
            if not node.alive():
                node.start()
        for kind, target in list(self._open):
            self._end(kind, target)
