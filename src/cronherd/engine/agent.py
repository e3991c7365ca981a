"""Agent: one node's engine. Starts the tickers, drains them, and begins again after a loss."""

import logging
import threading
from collections.abc import Callable
from dataclasses import replace

from cronherd.domain.errors import Conflict, Unavailable
from cronherd.domain.instant import SECOND_US
from cronherd.domain.node import Node
from cronherd.domain.policy import LEASE_US
from cronherd.engine.booter import Booter
from cronherd.engine.finisher import Finisher
from cronherd.engine.heartbeat import Heartbeat
from cronherd.engine.live import LiveRuns, count_runs
from cronherd.engine.loop import Tick, Ticker, unless_gone
from cronherd.engine.parts import Parts
from cronherd.engine.promoter import Promoter
from cronherd.engine.pruner import Pruner
from cronherd.engine.reaper import Reaper
from cronherd.engine.scheduler import Scheduler
from cronherd.engine.strays import Strays
from cronherd.engine.watcher import Watcher
from cronherd.engine.worker import Worker
from cronherd.store.base import Look, Renewal

log = logging.getLogger("cronherd")

# A host that was restarted at once waits for the lease of its earlier boot to run out.
CLONE_WAIT_S = LEASE_US / SECOND_US + 2
CLONE_PAUSE_S = 1.0
# A life that was lost sooner than this is not begun again at once.
SHORTEST_LIFE_US = SECOND_US
# After the last run ended its record is written within this, or the spool keeps it.
LAST_WORDS_S = 5.0
# Once told to end, a database that takes longer than this is not waited for.
HASTE_S = 2.0


class Agent:
    """One life after the other: a life lasts as long as its supervisor."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._life: Life | None = None
        self._over = threading.Event()
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="agent", daemon=True)

    def start(self) -> None:
        """Register, settle the past, begin. Raises what keeps the first life from beginning."""
        self._begin()
        self._keeper.start()
        self._parts.mailroom.start()

    def wake(self) -> None:
        """Something changed: look now."""
        self._parts.mailroom.wake()
        if self._life is not None:
            self._life.wake()

    def fire_until(self, until_us: int) -> bool:
        """Whether all slots up to then are fired; from then on no other is. For `tick`."""
        return self._life is None or self._life.fire_until(until_us)

    def idle(self) -> bool:
        """Whether nothing runs here and nothing is ready."""
        return self._life is None or self._life.idle()

    def count(self) -> int:
        """How many runs this node holds."""
        return 0 if self._life is None else self._life.count()

    def drain(self, timeout_s: float) -> bool:
        """Start nothing new and wait for the runs; True when none is left."""
        self._stopping.set()
        return self._life is None or self._life.drain(timeout_s)

    def cancel_all(self, timeout_s: float) -> bool:
        """Cancel what still runs and wait for it."""
        return self._life is None or self._life.cancel_all(timeout_s)

    def stop(self) -> None:
        """End: what still runs is killed with its supervisor, and recorded."""
        self._keep_no_more()
        if self._life is not None:
            self._life.end()

    def leave(self) -> None:
        """End, and leave what runs to its supervisor: the next agent here takes it over."""
        if self._life is not None:
            self._life.hasten()
        self._keep_no_more()
        if self._life is not None:
            self._life.leave()

    def _keep_no_more(self) -> None:
        self._stopping.set()
        self._parts.mailroom.stop()
        self._over.set()
        if self._keeper.ident is not None:
            self._keeper.join()

    def _begin(self) -> None:
        self._over.clear()
        if self._stopping.is_set():  # stop() came while the old life was given up
            self._over.set()
            return
        life = Life(self._parts, lost=lambda: self._end_of(life))
        self._life = life
        life.begin()

    def _end_of(self, life: "Life") -> None:
        """A tick of a life that was given up may end late: only the present one counts."""
        if life is self._life:
            self._over.set()

    def _keep(self) -> None:
        """A supervisor that died takes its life with it; the next one settles what is left."""
        clock = self._parts.clock
        began_us = 0
        while True:
            self._over.wait()
            if clock.boot_us() - began_us < SHORTEST_LIFE_US:
                clock.wait(self._stopping, SHORTEST_LIFE_US / SECOND_US)
            if self._stopping.is_set():
                return
            began_us = clock.boot_us()
            log.error("the supervisor was lost: beginning again")
            assert self._life is not None
            self._life.leave()
            try:
                self._begin()
            except Exception:
                log.exception("could not begin again")
                self._over.set()


class Life:
    """The tickers around one supervisor."""

    def __init__(self, parts: Parts, *, lost: Callable[[], None]) -> None:
        self._parts = parts
        self._lost = lost
        self._gone = threading.Event()
        self._stepping_down = False
        # When it was last asked for cancels, the database gave no answer in time.
        self._away = False
        self._supervisor = parts.launch()
        self._node = replace(
            parts.node,
            incarnation=self._supervisor.incarnation,
            unfenced=self._supervisor.unfenced,
        )
        self._live = LiveRuns(self._node.capacity)
        store, clock = parts.store, parts.clock
        self._finisher = Finisher(
            store,
            clock,
            self._live,
            self._supervisor,
            chance=parts.chance,
            freed=self._freed,
            posted=parts.mailroom.wake,
        )
        self._worker = Worker(
            store,
            clock,
            self._node,
            self._live,
            self._supervisor,
            parts.account,
            new_id=parts.new_id,
            not_started=self._finisher.end,
            reveal=parts.reveal,
        )
        self._promoter = Promoter(store, ready=lambda: self._starters[1].wake())
        self._scheduler = Scheduler(
            store,
            clock,
            self._node,
            self._live,
            dispatch=self._worker.dispatch,
            looked=self._looked,
            renew=self._renew,
            new_id=parts.new_id,
            sleep_share=lambda: 0.8 + 0.2 * parts.chance(),
        )
        self._starters = [
            self._ticker("scheduler", self._scheduler.tick),
            self._ticker("worker", self._worker.tick),
        ]
        self._keepers = self._make_keepers()

    def _make_keepers(self) -> list[Ticker]:
        """What goes on while nothing new is started."""
        parts, store, clock = self._parts, self._parts.store, self._parts.clock
        heartbeat = Heartbeat(
            parts.beats,
            clock,
            lambda: (self._node.id, self._node.incarnation, self._node.unfenced),
            renewed=self._renewed,
            judged=self._judged,
            hinted=self.wake,
            owned=parts.owned,
            halt=parts.halt,
        )
        watcher = Watcher(
            store, clock, self._node.id, chance=parts.chance, freed=lambda: self._starters[1].wake()
        )
        strays = Strays(store, clock, self._live, self._finisher, self._node.id)
        pruner = Pruner(store, parts.ledger_age_us)
        return [
            self._ticker("finisher", self._finisher.tick),
            self._ticker("promoter", self._promoter.tick),
            self._ticker("heartbeat", heartbeat.tick),
            self._ticker("watcher", watcher.tick),
            self._ticker("strays", strays.tick),
            self._ticker("pruner", pruner.tick),
        ]

    def begin(self) -> None:
        """Register, settle the past, start to tick."""
        before = self._register()
        reaper = Reaper(
            self._parts.store, self._parts.clock, self._live, self._supervisor, self._finisher
        )
        same_boot = before.settled_boot in {"", self._node.boot_id}
        settled = reaper.settle(self._node.id, same_boot=same_boot)
        if settled:
            log.warning("settled %s of an earlier life: ended, or given back", count_runs(settled))
        booter = Booter(self._parts.store, new_id=self._parts.new_id)
        if booter.fire(self._node, before.settled_boot, self._parts.clock.boot_us()):
            log.info("the host has started: its @reboot jobs are asked to run")
        if kept := self.count():
            log.warning("%s went on while no agent was here", count_runs(kept))
        for ticker in (*self._keepers, *self._starters):
            ticker.start()

    def _register(self) -> Node:
        """Enter the fleet; the node as it was before. Raises Conflict when it is a copy."""
        clock = self._parts.clock
        waited = False
        until_us = clock.boot_us() + round(CLONE_WAIT_S * SECOND_US)
        while True:
            boot_us = clock.boot_us()
            try:
                before = self._parts.store.register_node(self._node, LEASE_US)
            except Conflict as error:
                if error.code != "node_cloned" or boot_us > until_us:
                    raise
                if not waited:
                    log.warning("%s; waiting whether its lease runs out", error.text)
                waited = True
                clock.wait(self._gone, CLONE_PAUSE_S)
            else:
                self._supervisor.renewed(boot_us)
                return before

    def wake(self) -> None:
        """Look now, both for due slots and for ready runs."""
        for ticker in self._starters:
            ticker.wake()

    def count(self) -> int:
        """How many runs are held."""
        return len(self._live.all())

    def fire_until(self, until_us: int) -> bool:
        """Whether nothing is due up to then; if so, the scheduler ends."""
        look = self._parts.store.look(self._node.id, 0)
        if look.next_us is not None and look.next_us <= until_us and not look.hold:
            return False
        self._starters[0].stop()
        return True

    def idle(self) -> bool:
        """Nothing held here, nothing ready, nobody who could be let in."""
        store = self._parts.store
        look = store.look(self._node.id, 0)
        self._worker.cancel(look.cancels)
        moves = self._live.moves()
        if moves is None or self._finisher.busy:
            return False
        if store.promote(store.sweep()):
            self._starters[1].wake()
            return False
        # A run that was claimed while we looked is neither ready nor was it here before.
        return not store.look(self._node.id, 0).ready and self._live.moves() == moves

    def drain(self, timeout_s: float) -> bool:
        """Start nothing new; wait for what runs. The database has HASTE_S for what is under way."""
        for ticker in self._starters:
            ticker.stop()
        self._parts.give_up(HASTE_S)
        for ticker in self._starters:
            ticker.join(LAST_WORDS_S)
        # The scheduler looks no more; a cancel is still obeyed, where it can be heard.
        try:
            self._worker.cancel(self._parts.store.look(self._node.id, 0).cancels)
            self._away = False
        except Unavailable as error:
            if not self._away:
                log.warning("cancels are not heard any more: %s", error)
            self._away = True
        self._parts.give_up(None)
        # Without a supervisor nobody tells any more: the next start settles what is left.
        return self._gone.is_set() or self._live.wait_empty(timeout_s)

    def cancel_all(self, timeout_s: float) -> bool:
        """TERM, grace, KILL to everything that still runs."""
        if self._away:  # whoever hears of the ends must not wait for it
            self.hasten()
        self._worker.cancel_all()
        return self._gone.is_set() or self._live.wait_empty(timeout_s)

    def end(self) -> None:
        """Stop in order: nothing starts, the supervisor ends, its last words are stored."""
        if not self._away:
            self.drain(0)
        self._supervisor.shutdown()
        if not self._away:  # or else its spool keeps them
            self._parts.clock.wait(self._gone, LAST_WORDS_S)  # its last words are stored by then
        self.hasten()
        for ticker in self._keepers:
            ticker.stop()
        for ticker in self._keepers:
            ticker.join(LAST_WORDS_S)
        self._supervisor.close()
        try:
            self._parts.store.release_node(self._node.id, self._node.incarnation)
        except Unavailable as error:
            log.warning("the lease runs out by itself, it could not be given back: %s", error)

    def hasten(self) -> None:
        """After the last life: what the database does not take soon is left to the spool."""
        self._parts.give_up(0.0 if self._away else HASTE_S)

    def leave(self) -> None:
        """Stop every ticker and let the supervisor go on with its runs, if it still lives.

        The lease is left to run out: whoever comes within it finds nothing suspected.
        """
        for ticker in (*self._starters, *self._keepers):
            ticker.stop()
        for ticker in (*self._starters, *self._keepers):
            ticker.join(LAST_WORDS_S)
        self._supervisor.close()

    def _looked(self, look: Look) -> None:
        """What the scheduler saw matters to the others too: one look serves all."""
        self._worker.cancel(look.cancels)
        if self._promoter.looked(look):
            self._keepers[1].wake()
        if look.ready and self._live.free():
            self._starters[1].wake()

    def _freed(self) -> None:
        if self._worker.wants_more():
            self._starters[1].wake()

    def _end_of_supervisor(self) -> None:
        self._gone.set()
        self._lost()

    def _renew(self) -> None:
        """Out of turn; the supervisor is not told, and so fences early rather than late."""
        self._parts.store.renew(self._node.id, self._node.incarnation, LEASE_US)

    def _renewed(self, renewal: Renewal, boot_us: int) -> None:
        """The supervisor counts from here until it fences; the fleet may want something of us."""
        self._supervisor.renewed(None if renewal.hold else boot_us)
        self._node = replace(self._node, unfenced=renewal.hold)  # the next beat writes it down
        if self._stepping_down:
            self._step_down()
        if renewal.drained != self._live.drained:
            log.warning("this node was %s", "drained" if renewal.drained else "resumed")
            self._live.drained = renewal.drained
            self.wake()

    def _judged(self) -> None:
        """Others took runs of ours over: those end here, the rest goes on in a new incarnation."""
        log.error("this node was silent and was judged: it takes a new incarnation")
        self._node = replace(self._node, incarnation=self._parts.new_id())
        self._register()
        self._stepping_down = True
        self._step_down()

    def _step_down(self) -> None:
        """End what others took; again with the next beat when it cannot be asked now."""
        mine = self._live.all()  # before: what is claimed meanwhile is in neither
        held = {(claim.run_id, claim.token) for claim in self._parts.store.held_by(self._node.id)}
        for claim in mine:
            if (claim.run_id, claim.token) not in held:
                self._supervisor.cancel(claim.run_id, claim.attempt)
        self._stepping_down = False

    def _ticker(self, name: str, tick: Tick) -> Ticker:
        guarded = unless_gone(tick, self._end_of_supervisor)
        return Ticker(name, guarded, self._parts.clock, self._parts.chance)
