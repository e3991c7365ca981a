"""Endings: what is looked at when a simulation is over, and when a healed fleet has settled."""

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from cronherd.domain.instant import parse_instant
from cronherd.domain.job import UNLIMITED
from cronherd.domain.run import Outcome, RunState
from tests.sim.checks import Violation
from tests.sim.rows import RunRow

if TYPE_CHECKING:
    from tests.sim.world import World

PATIENCE_US = 10_000_000
# A pause that ends by itself lets go of what it held with the next sweep.
HELD_US = 120_000_000


def check_conserved(world: "World") -> None:
    """Each slot that the schedules owed is one run or one counted slot of the ledger."""
    model = world.model
    for line in model.lines.values():
        name = line.job.name
        if any(job.chained for job in line.versions.values()):
            continue
        expected = world.book.expected(line.id)
        rows = [*model.live.values(), *(past.run for past in model.past.values())]
        found = [r.slot_us for r in rows if r.job_id == line.id and r.slot_us is not None]
        for skip in model.skips.values():
            if skip.job_id == line.id:
                low, high = bisect_left(expected, skip.from_us), bisect_right(expected, skip.to_us)
                if high - low != skip.count and skip.ref != "at least":
                    raise Violation(f"{skip} counts {high - low} slots", name)
                found += expected[low:high]
        if sorted(found) != expected:
            twice = sorted(slot for slot in set(found) if found.count(slot) > 1)
            lost = sorted(set(expected) - set(found))
            odd = sorted(set(found) - set(expected))
            raise Violation(f"slots lost {lost}, twice {twice}, never owed {odd}", name)


def check_evidence(world: "World") -> None:
    """Each deed belongs to a run on record, and the record does not lie about it."""
    model = world.model
    deeds = world.evidence.deeds
    ran = {(deed.run_id, deed.attempt): deed for deed in deeds}
    for deed in deeds:
        past, row = model.past.get(deed.run_id), model.live.get(deed.run_id)
        run = past.run if past is not None else row
        if run is None:
            raise Violation(f"{deed.run_id[:8]} ran and is not on record", deed.job)
        if deed.scheduled and parse_instant(deed.slot) != run.slot_us:
            raise Violation(f"{deed.run_id[:8]} ran for another slot", deed.job)
    for past in model.past.values():
        last = ran.get((past.run.id, past.attempt))
        name = model.lines[past.run.job_id].job.name
        good = last is not None and last.how == "exit" and last.exit_code == 0
        if past.outcome is Outcome.SUCCEEDED and not good:
            raise Violation(f"{past.run.id[:8]} is called succeeded: {last}", name)
        if past.outcome is Outcome.NOT_STARTED and last is not None:
            raise Violation(f"{past.run.id[:8]} is called not started: {last}", name)


def check_settled(world: "World") -> None:
    """A healed fleet has nothing that is stuck, and store and machines agree."""
    model, now_us = world.model, world.model.clock()
    for host in world.hosts:
        if model.hosts[host.node.id].lease_us <= now_us:
            raise Violation(f"{host.name} is silent though all is healed")
    for line in model.lines.values():
        if line.next_us is not None and line.next_us <= now_us - 2_000_000:
            raise Violation("a slot stays due", line.job.name)
        idle = line.enabled and line.paused_until_us is None and line.next_us is None
        chained = line.job.chained and not model.of_job(line.id, set(RunState))
        if idle and (chained or (line.job.schedule is not None and not line.job.chained)):
            raise Violation("nothing is due any more", line.job.name)
    for key, run_id in model.permits.items():
        if run_id not in model.live:
            raise Violation(f"permit {key} is held by {run_id[:8]}, which is over")
    _check_live(world)


def _check_live(world: "World") -> None:
    deeds = {(deed.run_id, deed.attempt, deed.token) for deed in world.alive_deeds()}
    for row in world.model.live.values():
        _check_unstarted(world, row)
        _check_started(world, row, (row.id, row.attempt, row.token) in deeds)
        deeds.discard((row.id, row.attempt, row.token or ""))
    for run_id, _, _ in deeds:
        raise Violation(f"{run_id[:8]} runs, and the store does not know")


def _check_unstarted(world: "World", row: RunRow) -> None:
    """What could start has started within the bound."""
    model, now_us = world.model, world.model.clock()
    line = model.lines[row.job_id]
    since_us = now_us - row.ready_us
    room = sum(host.node.capacity for host in world.hosts) > len(world.alive_deeds())
    if row.state is RunState.READY and since_us > PATIENCE_US and room:
        raise Violation(f"{row.id[:8]} stays ready", line.job.name)
    if row.state is RunState.DELAYED and since_us > PATIENCE_US:
        raise Violation(f"{row.id[:8]} stays delayed", line.job.name)
    if row.state is RunState.WAITING and since_us > PATIENCE_US:
        limit = model.job_of(row).permits
        held = sum(job_id == row.job_id for job_id, _ in model.permits)
        if model.serves(row.place) and (limit == UNLIMITED or held < limit):
            raise Violation(f"{row.id[:8]} waits though a permit is free", line.job.name)
    paused_us = line.paused_until_us or 0
    free = line.enabled and paused_us < now_us - HELD_US
    if row.state is RunState.HELD and free:
        raise Violation(f"{row.id[:8]} is held though nothing holds it", line.job.name)


def _check_started(world: "World", row: RunRow, runs: bool) -> None:  # noqa: FBT001 - one fact
    """What is called started runs, or its report is on its way."""
    late = world.model.clock() - row.claimed_us > PATIENCE_US
    begun = row.state is RunState.RUNNING or (row.state is RunState.CLAIMED and late)
    if begun and not runs and not world.spooled(row.id):
        name = world.model.lines[row.job_id].job.name
        raise Violation(f"{row.id[:8]} is {row.state} and nothing runs", name)
