"""People: they make, edit, pause, disable, delete, request, cancel and drain, and ask again.

Each act is a fiber: an answer that is lost is asked for once more, as a person does who saw an
error. What counts for the checks is what was acknowledged.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from cronherd.domain.errors import Conflict, NotFound, Unavailable
from cronherd.domain.job import build_job
from cronherd.domain.judge import judge, lost_exit
from cronherd.domain.node import Node
from cronherd.domain.policy import FOREVER_US, LEASE_US
from cronherd.domain.run import Cause
from cronherd.store.base import Claim, Ending
from cronherd.store.facts import JobWrite
from tests.sim.hub import SECOND_US
from tests.sim.link import Link
from tests.sim.tables import seen

if TYPE_CHECKING:
    from tests.sim.world import World

TRIES = 200


class People:
    """Those who use the command line."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.random = world.random
        self.link = Link(world.model, world.weather, self, world.hub)
        self._answers: dict[tuple[str, str], str] = {}

    def die(self) -> None:
        """A command line that is killed: whoever typed it types it again."""

    def stand_still(self, delay_us: int) -> None:
        """Nobody waits for people."""

    def hinted(self) -> bool:
        """Nobody tells them."""
        return False

    def act(self) -> None:
        """One act, by chance."""
        acts: list[tuple[int, Callable[[], None]]] = [
            (5, self.edit),
            (4, self.pause),
            (4, self.resume),
            (4, self.disable),
            (5, self.enable),
            (2, self.delete),
            (3, self.revive),
            (8, self.request),
            (5, self.cancel),
            (2, self.drain),
            (2, self.hold),
            (3, self.remove),
            (2, self.copy),
        ]
        body = self.random.choices([act for _, act in acts], [weight for weight, _ in acts])[0]
        self.world.hub.spawn(body, None)

    # ------------------------------------------------------------------ jobs

    def make(self, name: str, words: dict[str, Any]) -> None:
        job = build_job({"name": name, "command": "true", **words}, now_us=0)
        write = JobWrite(id=self.world.new_id(), job=job, enabled=None, source="sim")
        self.world.model.save_jobs([write], "people")

    def edit(self) -> None:
        name = self._any()
        line = self.world.line(name)
        if line.deleted:
            return
        changes = self.world.changes(line.job.spec)
        job = build_job({**line.job.spec, **changes}, now_us=0)
        enabled = self.random.choice([None] * 8 + [True, False])
        write = JobWrite(id=line.id, job=job, enabled=enabled, source="sim", version=line.version)
        self.world.note(f"edit {changes} enabled={enabled}", name)
        self._insist(lambda: self.link.save_jobs([write], "people"))

    def pause(self) -> None:
        name = self._any()
        line = self.world.line(name)
        until_us = FOREVER_US
        if self.random.random() < 0.5:
            until_us = self.world.model.clock() + self.random.choice([20, 200]) * SECOND_US
        self.world.note(f"pause until {until_us}", name)
        named = self._insist(lambda: self.link.pause_job(line.id, until_us, "people"))
        if named is not None and self._still(name, lambda: line.paused_until_us is not None):
            self.world.note("paused", name)
            self.world.checks.ban(name, named, "pause", until_us)

    def resume(self) -> None:
        name = self._any()
        line = self.world.line(name)
        if line.paused_until_us is not None:
            self.world.note("resume", name)
            self._insist(lambda: self.link.resume_job(line.id, "people"))

    def disable(self) -> None:
        name = self._any()
        line = self.world.line(name)
        self.world.note("disable", name)
        off = lambda: self.link.set_enabled(line.id, "people", enabled=False)  # noqa: E731
        named = self._insist(off)
        if named is not None and self._still(name, lambda: not line.enabled):
            self.world.note("disabled", name)
            self.world.checks.ban(name, named, "disable")

    def enable(self) -> None:
        name = self._any(lambda line: not line.enabled and not line.deleted)
        line = self.world.line(name)
        self.world.note("enable", name)
        self._insist(lambda: self.link.set_enabled(line.id, "people", enabled=True))

    def delete(self) -> None:
        name = self._any()
        line = self.world.line(name)
        self.world.note("delete", name)
        named = self._insist(lambda: self.link.delete_job(line.id, "people"))
        if named is not None and self._still(name, lambda: line.deleted):
            self.world.note("deleted", name)
            self.world.checks.ban(name, named, "delete")

    def revive(self) -> None:
        name = self._any(lambda line: line.deleted)
        line = self.world.line(name)
        if line.deleted:
            self.world.note("revive", name)
            write = JobWrite(id=self.world.new_id(), job=line.job, enabled=True, source="sim")
            self._insist(lambda: self.link.save_jobs([write], "people"))

    # ------------------------------------------------------------------ runs and nodes

    def request(self) -> None:
        """Run now, with an id that is sent again when the answer is lost."""
        name = self._any()
        line = self.world.line(name)
        force = self.random.random() < 0.1
        dedup = f"m:{self.random.randrange(30)}"
        run_id = self.world.new_id()
        if force and (line.id, dedup) not in self.world.model.requests:
            self.world.checks.forced.add(run_id)
        self.world.note(f"run now {dedup} force={force}", name)
        ask = lambda: self.link.request_run(  # noqa: E731
            line.id, run_id, dedup, Cause.MANUAL, force=force
        )
        answer = self._insist(ask)
        if answer is not None:
            before = self._answers.setdefault((line.id, dedup), answer.run_id)
            if before != answer.run_id:
                self.world.checks.fail(f"{dedup} was answered with two runs", name)

    def cancel(self) -> None:
        live = list(self.world.model.live)
        if live:
            run_id = self.random.choice(live)
            self.world.note(f"cancel {run_id[:8]}", self.world.name_of_run(run_id))
            self._insist(lambda: self.link.cancel_run(run_id))

    def drain(self) -> None:
        """Take a node out for a while."""
        node = self.random.choice(self.world.hosts).node
        self._insist(lambda: self.link.set_drained(node.id, "people", drained=True))
        self.world.hub.sleep(self.random.choice([10, 60, 300]) * SECOND_US)
        self._insist(lambda: self.link.set_drained(node.id, "people", drained=False))

    def hold(self) -> None:
        """The whole fleet stands still for a while; what is healed needs nobody to hold it."""
        if self.world.healed:
            return
        self.world.note("hold")
        self._insist(lambda: self.link.set_hold("people", hold=True))
        self.world.hub.sleep(self.random.choice([2, 20, 100, 400]) * SECOND_US)
        self._insist(lambda: self.link.set_hold("people", hold=False))
        self.world.note("hold ended")

    def remove(self) -> None:
        """Forget a silent node; sworn to be dead only where nothing of it can ever run again."""
        host = self.random.choice(self.world.hosts)
        model = self.world.model
        row = model.hosts.get(host.node.id)
        if row is None or row.lease_us > model.clock():
            return
        node = seen(row, live=0)
        held = self._insist(lambda: self.link.held_by(node.id))
        sworn = not host.up and (host.nurse is None or not host.nurse.living)
        endings = [self._lost(claim) for claim in held] if sworn else []
        self.world.note(f"remove {host.name}, confirm_dead={sworn}, {len(endings)} runs")
        answer = self._insist(lambda: self.link.remove_node(node, endings, "people"))
        if answer is not None and answer.freed:
            self._insist(lambda: self.link.promote(answer.freed))

    def _lost(self, claim: Claim) -> Ending:
        told = lost_exit(claim.started_us, self.world.model.clock(), "people say so")
        return claim.ended(told, judge(claim.job, claim.attempt, told, self.random.random()))

    def copy(self) -> None:
        """Somebody starts a copy of a state directory while its owner lives."""
        host = self.random.choice(self.world.hosts)
        home, boot_id = self.random.choice(
            [("elsewhere", host.node.boot_id), (host.node.home, "other"), ("elsewhere", "other")]
        )
        fresh = self.world.new_id()
        node = replace(host.node, incarnation=fresh, home=home, boot_id=boot_id)
        self._insist(lambda: self.link.through(lambda: self._enter(node)))

    def _enter(self, node: Node) -> None:
        """Its first registration: no copy gets in while the lease of the original runs."""
        model = self.world.model
        row = model.hosts.get(node.id)
        if row is None or row.lease_us <= model.clock() or not row.incarnation:
            return
        try:
            model.register_node(node, LEASE_US)
        except Conflict as error:
            if error.code == "node_cloned":
                return
        self.world.checks.fail(f"a copy of {node.name} was let in", "")

    # ------------------------------------------------------------------ how they are

    def _any(self, wanted: Callable[[Any], bool] = lambda line: True) -> str:
        names = self.world.names
        found = [name for name in names if wanted(self.world.line(name))]
        return self.random.choice(found or names)

    def _insist(self, ask: Callable[[], Any]) -> Any:
        """Ask until there is an answer; None when the answer is no."""
        for _ in range(TRIES):
            try:
                return ask()
            except Unavailable:
                self.world.hub.sleep(self.random.choice([1, 5, 20]) * SECOND_US)
            except (Conflict, NotFound):
                return None
        raise AssertionError("nobody waits that long")

    def _still(self, name: str, holds: Callable[[], bool]) -> bool:
        """Whether nobody undid it before its answer was heard."""
        return holds()
