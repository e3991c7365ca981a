"""Plants: faults put in on purpose. A check that never failed proves nothing."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any
from unittest import mock

from cronherd.domain.admission import Gate
from cronherd.domain.job import Job
from cronherd.domain.node import Node
from cronherd.store.base import Claim, FireBatch, Peers
from tests.sim.batch import Batch
from tests.sim.host import Host
from tests.sim.link import Link
from tests.sim.model import Model
from tests.sim.nurse import Nurse
from tests.sim.rows import NodeRow, RunRow

_PATCH = mock.patch.object


@contextmanager
def _all(*patches: AbstractContextManager[Any]) -> Iterator[None]:
    with ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def no_compare_and_set() -> AbstractContextManager[None]:
    """Whoever read a due row may fire it, whatever became of it meanwhile."""
    return _all(_PATCH(Batch, "check", lambda batch, plan: None))


def unknown_commit_is_forgotten() -> AbstractContextManager[None]:
    """After a lost answer the work is asked for anew, with a new token; nobody reads again."""

    def claimed_by(model: Model, node_id: str, token: str) -> list[Claim]:
        return []

    return _all(_PATCH(Model, "claimed_by", claimed_by))


def wall_clock_decides() -> AbstractContextManager[None]:
    """What is due is asked by the clock of the node."""

    def by_wall(link: Link, ask: Callable[[], Any]) -> Any:
        host = link._caller
        if not isinstance(host, Host):
            return ask()
        world = host.world
        right_us, world.db_ahead_us = world.db_ahead_us, host.clock.offset_us
        try:
            return ask()
        finally:
            world.db_ahead_us = right_us

    def look(link: Link, node_id: str, horizon_us: int) -> Any:
        return by_wall(link, lambda: link._model.look(node_id, horizon_us))

    @contextmanager
    def fire(link: Link, limit: int) -> Iterator[FireBatch]:
        yield by_wall(link, lambda: Batch(link._model, limit))

    return _all(_PATCH(Link, "look", look, create=True), _PATCH(Link, "fire", fire))


def token_is_not_checked() -> AbstractContextManager[None]:
    """Whoever reports on a run is believed."""

    def mine(model: Model, run_id: str, token: str) -> RunRow | None:
        return model.live.get(run_id)

    return _all(_PATCH(Model, "_mine", mine))


def takeover_ignores_the_beat() -> AbstractContextManager[None]:
    """Who is dead is decided by the database's clock alone."""
    true_peers = Model.peers

    def peers(model: Model, node_id: str) -> Peers:
        look = true_peers(model, node_id)
        nodes = tuple(_still(node) for node in look.nodes)
        return Peers(now_us=look.now_us, hold=look.hold, nodes=nodes)

    def watched(model: Model, host: NodeRow, node: Node) -> bool:
        return host.lease_us <= model.clock()

    return _all(_PATCH(Model, "peers", peers), _PATCH(Model, "watched", watched))


def _still(node: Node) -> Node:
    return Node(
        id=node.id,
        name=node.name,
        incarnation="",
        boot_id=node.boot_id,
        capacity=node.capacity,
        lease_us=node.lease_us,
        live=node.live,
    )


def permit_without_looking() -> AbstractContextManager[None]:
    """Nobody reads who holds a permit, and the key that would abort is gone as well."""

    def gate(model: Model, job_id: str, job: Job) -> Gate:
        return Gate()

    def take(model: Model, row: RunRow, n: int) -> None:
        model.permits[row.job_id, n] = row.id
        row.permit, row.limited = n, True

    return _all(_PATCH(Model, "gate", gate), _PATCH(Model, "take_permit", take))


def no_sweep() -> AbstractContextManager[None]:
    """Waiters are let in by whoever frees, and by nobody else."""
    true_sweep = Model.sweep

    def sweep(model: Model) -> list[str]:
        true_sweep(model)
        return []

    return _all(_PATCH(Model, "sweep", sweep))


def no_self_fence() -> AbstractContextManager[None]:
    """A supervisor that hears of no renewal lets its commands run on."""
    return _all(_PATCH(Nurse, "_look_at_fence", lambda nurse, ward: None))


def pause_forgets_the_ready() -> AbstractContextManager[None]:
    """A pause stops slots, but runs that are ready start all the same."""
    true_pause = Model.pause_job

    def pause(model: Model, job_id: str, until_us: int, actor: str) -> list[str]:
        with _PATCH(Model, "hold", lambda model, rows: None):
            return true_pause(model, job_id, until_us, actor)

    return _all(_PATCH(Model, "pause_job", pause))


Plant = Callable[[], AbstractContextManager[None]]
PLANTS: Sequence[Plant] = (
    no_compare_and_set,
    unknown_commit_is_forgotten,
    wall_clock_decides,
    token_is_not_checked,
    takeover_ignores_the_beat,
    permit_without_looking,
    no_sweep,
    no_self_fence,
    pause_forgets_the_ready,
)
