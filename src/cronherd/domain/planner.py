"""plan(job, due, gate, now): what fires, what is skipped and why, and when the next slot is.

Pure: the caller has read everything under the locks of one transaction and writes the answer in
the same one. Next instants are computed from the previous slot, never from now.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from cronherd.domain.admission import Admission, Gate, Refusal, Target, admit
from cronherd.domain.job import Job
from cronherd.domain.policy import CatchupMode, Overlap
from cronherd.domain.run import Cause, Reason

# A job far behind is worked off in pieces: one plan looks at this many slots at the most, so
# that a long gap neither holds the locks for long nor delays other jobs.
SLOTS_PER_PLAN = 2_000
CATCHUP_PER_PLAN = 100
# A range of the ledger counts no further.
LONGEST_COUNT = 100_000


# Due, Fire and Plan are made for each slot: freezing them would cost more than filling them.
@dataclass(slots=True, kw_only=True)
class Due:
    """The due row of a job as it was read under its lock.

    Slots before the pause's end skip, and those up to `skip_us`; `fired` slots became runs so far.
    """

    job_id: str
    next_us: int
    slot_us: int
    last_slot_us: int
    version: int
    seq: int
    paused_until_us: int | None = None
    skip_us: int | None = None
    fired: int = 0


@dataclass(slots=True, kw_only=True)
class Fire:
    """One slot that becomes a run. `seq` is 0 when the fence is drawn later, at promotion."""

    slot_us: int
    cause: Cause
    seq: int
    admission: Admission
    target: Target | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """One slot, or a range of them, that becomes a ledger row; of one node where it is said."""

    from_us: int
    to_us: int
    count: int
    reason: Reason
    ref: str | None = None
    node_id: str | None = None


@dataclass(slots=True, kw_only=True)
class Plan:
    """What one due row turns into; `next_us` None: nothing is due until somebody re-arms it."""

    due: Due
    next_us: int | None
    slot_us: int
    last_slot_us: int
    seq: int
    fired: int
    fires: tuple[Fire, ...]
    skips: tuple[Skip, ...]


def plan(
    job: Job, due: Due, gate: Gate, now_us: int, *, fits: bool, targets: Sequence[Target] = ()
) -> Plan:
    """What the due slots of a job become. `fits`: a live node matches the job's place.

    `targets`: the nodes that each get a run, where the job is on all of them.
    """
    slots, following_us, after_us = _due_slots(job, due, now_us)
    kept_back: Sequence[Skip] = ()
    skips: Sequence[Skip] = ()
    if len(slots) == 1 and _is_plain(job, due, now_us):
        # Nearly always: one slot, at its instant.
        chosen = [(slots[0], Cause.SCHEDULE)]
    else:
        kept_back, slots_left = _kept_back(due, slots)
        chosen, skips = _choose(job, slots_left, now_us, following_us)
    most = max(1, CATCHUP_PER_PLAN // max(1, len(targets)))
    if len(chosen) > most:
        following_us = chosen[most][0]
        chosen = chosen[:most]
    if job.on_all:
        fires, refused, seq = _admit_to_all(job, due, chosen, targets)
    else:
        fires, refused, seq = _admit_all(job, due, chosen, gate, fits=fits)
    fired = due.fired + len({fire.slot_us for fire in fires} if targets else fires)
    if job.ended(fired):  # slots behind the last run do not exist
        consumed_us, following_us = fires[-1].slot_us, None
    else:
        consumed_us = _last_before(slots, following_us)
        if following_us is None:
            following_us = after_us
            if job.chained and not fires and job.schedule is not None:
                # The end of a run re-arms it; a refused slot has no end, so it counts as one.
                following_us = job.schedule.next_after(now_us)
    if job.excludes:
        skips = [*skips, *excluded_between(job, due.last_slot_us, consumed_us)]
    return Plan(
        due=due,
        next_us=None if following_us is None else max(job.due_at(following_us), now_us),
        slot_us=consumed_us if following_us is None else following_us,
        last_slot_us=consumed_us,
        seq=seq,
        fired=fired,
        fires=tuple(fires),
        skips=(*kept_back, *skips, *refused),
    )


def excluded_between(job: Job, after_us: int, until_us: int) -> list[Skip]:
    """What `excluding` took out of (after, until]: neighbours with one reason are one range.

    Counting stops at LONGEST_COUNT; the last range then says "at least".
    """
    if job.schedule is None or not job.excludes:
        return []
    found = job.schedule.excluded_between(after_us, until_us, LONGEST_COUNT)
    ranges = _ranges((slot_us, Reason.EXCLUDED, rule) for slot_us, rule in found)
    if len(found) == LONGEST_COUNT:
        ranges[-1] = replace(ranges[-1], ref="at least")
    return ranges


def missed_between(
    job: Job, after_us: int, until_us: int, reason: Reason, limit: int = LONGEST_COUNT
) -> Skip | None:
    """The slots in (after, until] as one range, None when there are none.

    Counting stops at `limit`; the range then says "at least".
    """
    if job.schedule is None or job.chained:
        return None
    first_us = last_us = job.schedule.next_after(after_us)
    if first_us is None or first_us > until_us:
        return None
    count = 1
    assert last_us is not None
    while count < limit:
        slot_us = job.schedule.next_after(last_us)
        if slot_us is None or slot_us > until_us:
            return Skip(from_us=first_us, to_us=last_us, count=count, reason=reason)
        last_us = slot_us
        count += 1
    return Skip(from_us=first_us, to_us=until_us, count=count, reason=reason, ref="at least")


def _due_slots(job: Job, due: Due, now_us: int) -> tuple[list[int], int | None, int | None]:
    """The due slots in order, the first due one left for the next plan, the one that is not due."""
    slots = [due.slot_us]
    if job.schedule is None or job.chained:
        return slots, None, None
    while len(slots) <= SLOTS_PER_PLAN:
        slot_us = job.schedule.next_after(slots[-1])
        if slot_us is None or slot_us > now_us or job.due_at(slot_us) > now_us:
            return slots, None, slot_us
        slots.append(slot_us)
    # The newest of the late ones may still be worth catching up: leave them to the next look.
    late = now_us - job.due_at(slots[-1]) > job.on_time_us
    most = job.catchup.most if late and job.catchup.mode is CatchupMode.ALL else 1
    keep = min(max(most, 1), SLOTS_PER_PLAN)
    return slots[:-keep], slots[-keep], None


def _is_plain(job: Job, due: Due, now_us: int) -> bool:
    """Whether the one due slot is on time, and nothing else is to be asked."""
    late_us = now_us - job.due_at(due.slot_us)
    return (
        due.paused_until_us is None
        and due.skip_us is None
        and late_us <= job.on_time_us
        and (job.start_deadline_us is None or late_us <= job.start_deadline_us)
    )


def _kept_back(due: Due, slots: Sequence[int]) -> tuple[list[Skip], Sequence[int]]:
    """The slots that a pause swallowed, or that a person skips, and those behind."""
    paused_us, skip_us = due.paused_until_us or 0, due.skip_us or 0
    reasons = [
        (slot, Reason.PAUSED if slot < paused_us else Reason.SKIPPED)
        for slot in slots
        if slot < paused_us or slot <= skip_us
    ]
    return _ranges((slot, reason, None) for slot, reason in reasons), slots[len(reasons) :]


def _choose(
    job: Job, slots: Sequence[int], now_us: int, following_us: int | None
) -> tuple[list[tuple[int, Cause]], list[Skip]]:
    """Which due slots run, and ranges of those that do not; `following_us` is left for later."""
    if job.start_deadline_us is not None:
        oldest_us = now_us - job.start_deadline_us
        expired = [slot for slot in slots if job.due_at(slot) < oldest_us]
        slots = slots[len(expired) :]
    else:
        expired = []
    late = [slot for slot in slots if now_us - job.due_at(slot) > job.on_time_us]
    timely = slots[len(late) :]
    most = _catchup_most(job, timely, now_us, following_us)
    caught, missed = _catch_up(job, late, now_us, most)
    chosen = [(slot, Cause.CATCHUP) for slot in caught]
    chosen += [(slot, Cause.SCHEDULE) for slot in timely]
    unmet = [*((slot, Reason.DEADLINE) for slot in expired), *missed]
    return chosen, _ranges((slot, reason, None) for slot, reason in unmet)


def _catchup_most(job: Job, timely: Sequence[int], now_us: int, following_us: int | None) -> int:
    """How many of the late slots may run: none while newer late ones take their places."""
    if job.catchup.mode is CatchupMode.LATEST:
        return 0 if timely or following_us is not None else 1
    later = following_us is not None and now_us - job.due_at(following_us) > job.on_time_us
    return 0 if later else job.catchup.most


def _catch_up(
    job: Job, late: Sequence[int], now_us: int, most: int
) -> tuple[Sequence[int], list[tuple[int, Reason]]]:
    if job.catchup.mode is CatchupMode.NONE:
        return [], [(slot, Reason.CATCHUP_NONE) for slot in late]
    oldest_us = now_us - job.catchup.window_us
    too_old = [slot for slot in late if slot < oldest_us]
    rest = late[len(too_old) :]
    cut = max(0, len(rest) - most)
    dropped, caught = rest[:cut], rest[cut:]
    missed = [(slot, Reason.CATCHUP_WINDOW) for slot in too_old]
    return caught, missed + [(slot, Reason.CATCHUP_MAX) for slot in dropped]


def _ranges(missed: Iterable[tuple[int, Reason, str | None]]) -> list[Skip]:
    """Neighbours with one reason become one row."""
    ranges: list[Skip] = []
    for slot_us, reason, ref in missed:
        if ranges and (ranges[-1].reason, ranges[-1].ref) == (reason, ref):
            last = ranges[-1]
            ranges[-1] = replace(last, to_us=slot_us, count=last.count + 1)
        else:
            ranges.append(Skip(from_us=slot_us, to_us=slot_us, count=1, reason=reason, ref=ref))
    return ranges


def _admit_all(
    job: Job, due: Due, chosen: Sequence[tuple[int, Cause]], gate: Gate, *, fits: bool
) -> tuple[list[Fire], list[Skip], int]:
    fires: list[Fire] = []
    refused: list[Skip] = []
    seq = due.seq
    for slot_us, cause in chosen:
        if job.ended(due.fired + len(fires)):
            break
        seq = _admit_one(job, due, (slot_us, cause), gate, fires, refused, seq, fits=fits)
    return fires, refused, seq


def _admit_to_all(
    job: Job, due: Due, chosen: Sequence[tuple[int, Cause]], targets: Sequence[Target]
) -> tuple[list[Fire], list[Skip], int]:
    """The same on every node, each by its own gate; without any a slot has no node."""
    fires: list[Fire] = []
    refused: list[Skip] = []
    seq = due.seq
    slots = 0
    for slot_us, cause in chosen:
        if job.ended(due.fired + slots):
            break
        if not targets:
            refused.append(Skip(from_us=slot_us, to_us=slot_us, count=1, reason=Reason.NO_NODE))
        before = len(fires)
        for target in targets:
            what = (slot_us, cause)
            seq = _admit_one(
                job, due, what, target.gate, fires, refused, seq, fits=target.fits, target=target
            )
        slots += len(fires) > before
    return fires, refused, seq


def _admit_one(
    job: Job,
    due: Due,
    what: tuple[int, Cause],
    gate: Gate,
    fires: list[Fire],
    refused: list[Skip],
    seq: int,
    *,
    fits: bool,
    target: Target | None = None,
) -> int:
    """One slot by one gate: another fire, or another refusal. The job's counter behind it."""
    slot_us, cause = what
    queue = cause is Cause.CATCHUP
    answer = admit(job, gate, due.job_id, fits=fits, queue=queue, target=target)
    newest = job.overlap is Overlap.REPLACE and cause is Cause.SCHEDULE
    if newest and isinstance(answer, Admission) and (answer.wait_key or "").startswith("j"):
        answer = _supersede(fires, refused, gate, answer, target)
    if isinstance(answer, Refusal):
        refused.append(_skip(slot_us, answer.reason, target, answer.ref))
        return seq
    seq += answer.entered
    drawn = seq if answer.entered else 0
    fires.append(Fire(slot_us=slot_us, cause=cause, seq=drawn, admission=answer, target=target))
    return seq


def _skip(slot_us: int, reason: Reason, target: Target | None, ref: str | None = None) -> Skip:
    node_id = target.node_id if target else None
    return Skip(from_us=slot_us, to_us=slot_us, count=1, reason=reason, ref=ref, node_id=node_id)


def _supersede(
    fires: list[Fire], refused: list[Skip], gate: Gate, answer: Admission, target: Target | None
) -> Admission:
    """A newer slot takes the place of those that this same plan has just let in or parked."""
    wait_key = answer.wait_key
    ours = [fire for fire in fires if fire.target is target]
    holder = next((fire for fire in ours if fire.admission.permit is not None), None)
    gone = [fire for fire in ours if fire is holder or fire.admission.wait_key == wait_key]
    for fire in gone:
        fires.remove(fire)
        answer = replace(answer, replaces=(*fire.admission.replaces, *answer.replaces))
        refused.append(_skip(fire.slot_us, Reason.REPLACED, target))
    if holder is None:
        return answer
    gate.waiting = 0
    return replace(holder.admission, replaces=answer.replaces)


def _last_before(slots: Sequence[int], following_us: int | None) -> int:
    if following_us is None:
        return slots[-1]
    return max(slot for slot in slots if slot < following_us)
