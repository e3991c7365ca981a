"""World: a fleet, its database, its people and what goes wrong, all from one seed."""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from cronherd.domain.ident import make_id
from cronherd.domain.job import UNLIMITED, Job
from cronherd.domain.run import RunState
from cronherd.engine import agent
from tests.sim import endings, jobs
from tests.sim.book import Book
from tests.sim.checks import Checks, Violation
from tests.sim.evidence import Deed, Evidence
from tests.sim.host import Host
from tests.sim.hub import SECOND_US, Hub
from tests.sim.model import Model
from tests.sim.people import People
from tests.sim.rows import JobLine
from tests.sim.ticker import SimTicker
from tests.sim.weather import Weather

START_US = 1_800_000_000_000_000
MINUTE_US = 60 * SECOND_US
LOOKERS = frozenset({"scheduler", "worker", "promoter"})
WATCHERS = frozenset({"watcher"})
SWEEPERS = frozenset({"promoter"})
SETTLE_US = 150 * SECOND_US


@dataclass(slots=True, kw_only=True)
class Plot:
    """What a simulation is about."""

    seed: int
    mode: str = "safety"
    minutes: int = 0  # 0: by the seed
    weeks: int = 0  # so long, with jobs that run hourly or daily
    rough: bool | None = None  # None: by the seed
    troubles: bool = True  # False: nothing but the storm and what people do
    steps: int = 0  # forward steps of the database's clock, besides the usual troubles
    storm: float = 0.0  # one that never ends, for what is caught by slow verbs only
    verbose: bool = False
    model: type[Model] = Model


@dataclass(slots=True)
class Sight:
    """What looks of all nodes see; while it stays the same they find nothing new."""

    ready: bool
    waiting: bool
    cancels: list[tuple[str, int, str | None]]
    fleet: tuple[bool, list[tuple[str, bool, bool]]]


class World:
    """Everything there is; `run` lets time pass and raises Violation."""

    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        self.random = random.Random(plot.seed)
        self.hub = Hub(START_US)
        self._peak_us = START_US
        self.db_ahead_us = 0
        self.story: list[tuple[int, str, str]] = []
        self.model = plot.model(self.db_us, self.new_id)
        self.book = Book(self.model, lambda name, word: self.checks.lift(name, word))
        self.weather = Weather(self.hub, self.random)
        self.evidence = Evidence()
        self.checks = Checks(self)
        self.people = People(self)
        self.unlimited: set[str] = set()
        self.names: list[str] = []
        self._limits: dict[str, int] = {}
        self._lengths: dict[str, str] = {}
        self.kind = "dense" if self.random.random() < 0.7 else "sparse"
        if plot.weeks:
            self.kind = "rare"
        self.minutes = plot.minutes or self._minutes()
        rough = self.random.random() < 0.3
        self.rough = rough if plot.rough is None else plot.rough
        names = [f"n{n}" for n in range(self.random.choice([2, 2, 3, 3, 5]))]
        self.hosts = [Host(self, name, self.random.choice([1, 3, 20])) for name in names]
        self.healed = False
        self.parked_us = 0
        self.version = 0
        self.sight = self._see()
        self.model.changed = self._changed
        self.model.returned = self.unpark
        # The share of changes of which a node hears, at once or later; 0: it has to look.
        self.hints = self.random.choice([0.0, 0.0, 0.1, 0.6])
        self._log = _Log(self)

    def _minutes(self) -> int:
        if self.plot.weeks:
            return self.plot.weeks * 7 * 24 * 60
        return self.random.choice([10, 30, 60] if self.kind == "dense" else [120, 360, 1440])

    # ------------------------------------------------------------------ its course

    def run(self) -> None:
        """All of it. Raises Violation."""
        logger = logging.getLogger("cronherd")
        was = logger.propagate, logger.level, logger.handlers
        logger.propagate, logger.handlers = False, [self._log]
        logger.setLevel(logging.ERROR)
        try:
            with mock.patch.object(agent, "Ticker", SimTicker):
                self._live()
        finally:
            self.hub.close()
            logger.propagate, logger.handlers = was[0], was[2]
            logger.setLevel(was[1])

    def _live(self) -> None:
        self._make_jobs()
        for host in self.hosts:
            self.hub.after(self.random.randrange(5 * SECOND_US), host.switch_on)
        self.weather.storm = self.plot.storm
        end_us = START_US + self.minutes * MINUTE_US
        self._foresee(end_us)
        self.hub.run(end_us)
        if self.plot.mode == "liveness":
            self.heal()
            self.hub.run(end_us + SETTLE_US + self.longest_us())
            endings.check_settled(self)
        endings.check_conserved(self)
        endings.check_evidence(self)

    def _make_jobs(self) -> None:
        for number in range(self.random.choice([2, 4, 6])):
            name = f"job{number}"
            words = jobs.words(self.random, kind=self.kind)
            self.people.make(name, words)
            self.names.append(name)
            job = self.job_named(name)
            if job.permits == UNLIMITED:
                self.unlimited.add(name)
            self._limits[name] = job.max_running
            self._lengths[name] = jobs.length(self.random)

    def _foresee(self, end_us: int) -> None:
        """Faults and acts of people, strewn over the time; the last minute stays quiet."""
        pick = self.random
        span_us = end_us - START_US
        most = 24 + 40 * self.plot.weeks
        troubles = max(3, min(most, span_us // (3 * MINUTE_US)))
        if self.rough:
            for _ in range(2 * troubles):
                self.hub.at(START_US + pick.randrange(span_us), self._rough)
        for _ in range(troubles if self.plot.troubles else 0):
            self.hub.at(START_US + pick.randrange(span_us), self.trouble)
        for _ in range(self.plot.steps):
            self.hub.at(START_US + pick.randrange(span_us), lambda: self.step_db(400 * SECOND_US))
        for _ in range(max(4, troubles)):
            self.hub.at(START_US + pick.randrange(span_us), self.people.act)

    def trouble(self) -> None:
        """One fault, unless all is healed."""
        if self.healed:
            return
        pick, host = self.random, self.random.choice(self.hosts)
        long_us = pick.choice([1, 8, 20, 60, 200, 1200]) * SECOND_US
        faults: list[tuple[int, Callable[[], None]]] = [
            (8, self._storm),
            (3, lambda: self._outage(pick.choice([2, 20, 70, 400]) * SECOND_US)),
            (3, lambda: self.step_db(pick.choice([-400, -20, -1, 1, 20, 400]) * SECOND_US)),
            (2, lambda: self._skew(host)),
            (4, lambda: host.freeze(long_us, whole=False)),
            (4, lambda: host.freeze(long_us, whole=True)),
            (4, host.die),
            (4, host.lose_nurse),
            (3, host.reboot),
            (2, host.stop),
        ]
        pick.choices([act for _, act in faults], [weight for weight, _ in faults])[0]()

    def _rough(self) -> None:
        """What races between takeover, fence and late answers are made of."""
        if self.healed:
            return
        if self.random.random() < 0.5:
            self._storm()
        else:
            host = self.random.choice(self.hosts)
            host.freeze(self.random.choice([20, 31, 60, 130]) * SECOND_US, whole=False)

    def _storm(self) -> None:
        """For a while verbs fail, hang and kill."""
        self.weather.storm = max(self.plot.storm, self.random.choice([0.02, 0.1, 0.3]))
        self.weather.crashes = 0.0 if self.plot.storm else self.random.choice([0.0, 0.02, 0.1])
        self.note(f"storm {self.weather.storm}")
        self.unpark()
        self.hub.after(self.random.choice([5, 30, 120]) * SECOND_US, self._clear_up)

    def _clear_up(self) -> None:
        self.weather.storm = 0.0 if self.healed else self.plot.storm
        self.note("the storm is over")

    def _outage(self, span_us: int) -> None:
        self.note(f"the database is gone for {span_us // SECOND_US} s")
        self.weather.out_until_us = self.hub.now_us + span_us
        self.unpark()

    def step_db(self, step_us: int) -> None:
        self.note(f"the database's clock steps by {step_us / SECOND_US} s")
        self._peak_us = self.peak_db_us
        self.db_ahead_us += step_us
        self.unpark()

    def _skew(self, host: Host) -> None:
        host.clock.offset_us += self.random.choice([-7200, -5, 5, 3600]) * SECOND_US

    def revive(self, host: Host) -> None:
        """Somebody, or systemd, starts a dead agent again."""
        delay_us = self.random.choice([1, 5, 30, 300, 1500]) * SECOND_US
        self.hub.after(delay_us, host.switch_on)

    def heal(self) -> None:
        """Every fault ends, every node is up."""
        self.note("all is healed")
        self.healed = True
        self.weather.storm, self.weather.out_until_us = 0.0, 0
        self.model.set_hold("people", hold=False)
        for host in self.hosts:
            host.hub.at(max(host.thaw_us, host.nurse_thaw_us), host.switch_on)

    def longest_us(self) -> int:
        """How long the last freeze, and a fence, can still take."""
        return 1500 * SECOND_US

    # ------------------------------------------------------------------ what it knows

    @property
    def peak_db_us(self) -> int:
        """The latest instant that the database's clock has ever shown."""
        return max(self._peak_us, self.db_us())

    def db_us(self) -> int:
        return self.hub.now_us + self.db_ahead_us

    def new_id(self) -> str:
        return make_id(self.hub.now_us, self.random.randbytes(10))

    def line(self, name: str) -> JobLine:
        return self.model.lines[self.model.keys[name]]

    def job_named(self, name: str) -> Job:
        return self.line(name).job

    def most_of(self, name: str) -> int:
        return self._limits[name]

    def life_of(self, name: str) -> tuple[int, int, bool]:
        return jobs.life(self.random, self._lengths[name])

    def changes(self, spec: Mapping[str, Any]) -> dict[str, Any]:
        return jobs.changes(self.random, spec, kind=self.kind)

    def name_of_run(self, run_id: str) -> str:
        row = self.model.live.get(run_id)
        return "" if row is None else self.model.lines[row.job_id].job.name

    def alive_deeds(self) -> list[Deed]:
        return [deed for deeds in self.evidence.open.values() for deed in deeds]

    def spooled(self, run_id: str) -> bool:
        """Whether a report of it is on its way."""
        return any(r.run_id == run_id for host in self.hosts for _, r in host.spool.after(0))

    # ------------------------------------------------------------------ idle time

    @property
    def slowness(self) -> float:
        """The share of ticks that may wait in their middle: none while nothing can go wrong."""
        return 0.0 if self.weather.storm == 0 else 0.3 + self.plot.storm

    def next_us(self) -> int:
        """When something is due next."""
        nexts = [n for line in self.model.lines.values() if (n := line.next_us) is not None]
        return min(nexts, default=self.db_us() + 600 * SECOND_US)

    def _changed(self) -> None:
        """A transaction changed something: looks that were skipped may find something now."""
        self.version += 1
        if self.hints and self.random.random() < self.hints:
            self._drop_hint()
        before, self.sight = self.sight, self._see()
        if before.fleet != self.sight.fleet:
            self.unpark()
        elif before != self.sight or self.next_us() < self.parked_us:
            self.unpark(LOOKERS)
        else:
            self.unpark(SWEEPERS)

    def _see(self) -> "Sight":
        rows = self.model.live.values()
        return Sight(
            ready=any(row.state is RunState.READY for row in rows),
            waiting=any(
                row.wait_key is not None
                or row.state is RunState.DELAYED
                or row.deadline_us is not None
                for row in rows
            ),
            cancels=[(row.id, row.attempt, row.node_id) for row in rows if row.cancel],
            fleet=(
                self.model.holding,
                [(h.incarnation, h.drained, h.removed) for h in self.model.hosts.values()],
            ),
        )

    def _drop_hint(self) -> None:
        late_us = self.random.choice([0, 0, 30_000, 2_000_000])
        self.hub.after(late_us, self.random.choice(self.hosts).hint)

    def unpark(self, names: frozenset[str] | None = None) -> None:
        """Go on with all ticks, or those of these names, at the instants they would have come."""
        for host in self.hosts:  # while the rhythms can still tell them what they saw
            if names is None:
                host.unpark(WATCHERS)
        for host in self.hosts:
            host.unpark(names)

    # ------------------------------------------------------------------ the story

    def note(self, text: str, job: str = "") -> None:
        """One line of the time line."""
        self.story.append((self.hub.now_us, text, job))


class _Log(logging.Handler):
    """An error that no code foresaw is a fault of the engine, or of the simulation."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.note(record.getMessage())
        if record.exc_info is not None and record.exc_info[1] is not None:
            error = record.exc_info[1]
            if isinstance(error, Violation):
                self._world.hub.at(self._world.hub.now_us, lambda: _throw(error))
            else:
                fault = Violation(f"{record.getMessage()}: {error!r}")
                fault.__cause__ = error
                self._world.hub.at(self._world.hub.now_us, lambda: _throw(fault))


def _throw(error: BaseException) -> None:
    raise error
