"""Known bugs, each with the short torture that must catch it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.torture.figures import counts
from tests.torture.load import TAKEOVER, Work, works
from tests.torture.nemesis import Step
from tests.torture.sharing import POOLS, shared_works
from tests.torture.storm import Result, Wish, torture

NODES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """What is wrong, what must be noticed (any of these), and what brings it to light."""

    text: str
    kinds: frozenset[str]
    seconds: float
    steps: tuple[Step, ...] = ()
    works: Callable[[], Sequence[Work]] = lambda: works(longest_ms=8_000)
    quiet_s: float = 45.0
    pools: Mapping[str, int] = field(default_factory=dict)
    embedded: bool = False
    """Whether one node with SQLite shows it as well."""


def _mortal() -> list[Work]:
    """Jobs whose runs are taken over soon: what is left of the others proves nothing."""
    return [work for work in works(longest_ms=6_000) if _takeover(work) == TAKEOVER]


def _crowded() -> list[Work]:
    """Jobs that run in every slot, and still run when the next node looks."""
    return [Work(name=f"short-{n}", schedule="every 1s", ms=500) for n in range(6)]


def _unlimited() -> list[Work]:
    """Jobs without permits, whose unique key would turn most second writes into aborts."""
    free = {"overlap": "allow"}
    return [Work(name=f"allow-{n}", schedule="every 1s", ms=300, settings=free) for n in range(6)]


def _long() -> list[Work]:
    """Attempts that outlive a takeover: the report of the first meets the second.

    Due at different instants, so that every node fires and holds some of them.
    """
    least = {"delivery": "at_least_once", "takeover_after": TAKEOVER}
    return [
        Work(name=f"least-{n}", schedule=f"every {1 + n % 6}s", ms=45_000, settings=least)
        for n in range(12)
    ]


def _takeover(work: Work) -> object:
    return work.settings.get("takeover_after")


def _each(kind: str, at_s: float, length_s: float) -> tuple[Step, ...]:
    return tuple(
        Step(at_s=at_s, kind=kind, target=node, length_s=length_s) for node in range(NODES)
    )


PLANTS: dict[str, Plant] = {
    "no_cas": Plant(
        text="due rows are fired without lock and compare-and-set",
        kinds=frozenset({"two_outcomes", "two_runs", "started_twice", "too_many", "fence_order"}),
        seconds=25,
        works=_crowded,
    ),
    "blind_retry": Plant(
        text="what an unknown COMMIT may have written is written once more",
        kinds=frozenset({"two_outcomes", "two_runs", "extra_start"}),
        seconds=30,
        steps=_each("forget", 2, 27),
        works=_unlimited,
    ),
    "node_clock": Plant(
        text="the node's wall clock decides what is due",
        kinds=frozenset({"early_start", "extra_start", "phantom_slot"}),
        seconds=25,
        steps=(Step(at_s=6, kind="skew", target=1, length_s=10.5),),
    ),
    "no_fence": Plant(
        text="a report counts whatever token it carries",
        kinds=frozenset(
            {
                "start_without_record",
                "too_many",
                "attempts_overlap",
                "wrong_exit_code",
                "fence_order",
            }
        ),
        seconds=62,
        steps=(
            Step(at_s=8, kind="freeze_long", target=0, length_s=44),
            Step(at_s=9, kind="blackhole", target=1, length_s=44),
        ),
        works=_long,
        quiet_s=90,
    ),
    "eternal_lease": Plant(
        text="silent nodes are never judged",
        kinds=frozenset({"stuck_run", "leaked_permit"}),
        seconds=15,
        steps=(Step(at_s=8, kind="gone", target=2),),
        works=_mortal,
        quiet_s=60,
    ),
    "no_gate": Plant(
        text="permits are taken without looking",
        kinds=frozenset({"too_many"}),
        seconds=15,
        embedded=True,
    ),
    "no_pool_lock": Plant(
        text="permits of pools are taken without lock and without looking",
        kinds=frozenset({"pool_overfull"}),
        seconds=10,
        works=lambda: shared_works(1),
        pools=POOLS,
        embedded=True,
    ),
    "freed_twice": Plant(
        text="permits of pools are given back at the start of a run, too",
        kinds=frozenset({"pool_overfull"}),
        seconds=10,
        works=lambda: shared_works(1),
        pools=POOLS,
        embedded=True,
    ),
    "reaper_keeps": Plant(
        text="a takeover leaves the permits of pools where they are",
        kinds=frozenset({"leaked_permit", "stuck_run"}),
        seconds=15,
        steps=(Step(at_s=8, kind="gone", target=2),),
        works=lambda: shared_works(1),
        pools=POOLS,
        quiet_s=75.0,
    ),
    "no_sweep": Plant(
        text="the promotion sweep is left out",
        kinds=frozenset({"stuck_run", "leaked_permit"}),
        seconds=20,
        quiet_s=30,
        embedded=True,
    ),
}


def wish_for(name: str, kind: str, seed: int, *, planted: bool = True) -> Wish:
    """The torture of a bug, also without it: then nothing may be found."""
    plant = PLANTS[name]
    return Wish(
        kind=kind,
        seed=seed,
        seconds=plant.seconds,
        nodes=NODES,
        plant=name if planted else "",
        plan=plant.steps if kind != "sqlite" else (),
        works=plant.works(),
        quiet_s=plant.quiet_s,
        pools=plant.pools,
    )


def try_plant(
    name: str, kind: str, seed: int, say: Callable[[str], None] = lambda _: None
) -> tuple[bool, Result]:
    """Whether it was caught by what it breaks, and the whole result."""
    result = torture(wish_for(name, kind, seed), say)
    found = {violation.kind for violation in result.violations}
    return bool(found & PLANTS[name].kinds), result


def try_plants(kind: str, seed: int, say: Callable[[str], None]) -> int:
    """All of them, one line each; 0 when all were caught, and nothing without them."""
    say(f"{'bug':<14} {'caught':<8} {'without':<8} by")
    missed = 0
    for name, plant in PLANTS.items():
        if kind == "sqlite" and not plant.embedded:
            say(f"{name:<14} {'-':<8} {'-':<8} needs several nodes")
            continue
        caught, result = try_plant(name, kind, seed)
        sound = torture(wish_for(name, kind, seed, planted=False))
        seen = Counter(violation.kind for violation in result.violations)
        clean = "BROKEN" if sound.violations else "clean"
        say(f"{name:<14} {'yes' if caught else 'NO':<8} {clean:<8} {counts(seen)}")
        if sound.violations:
            say(sound.text())
        missed += not caught or bool(sound.violations)
    return 1 if missed else 0
