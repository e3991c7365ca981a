"""plan: what fires, what is skipped and why, when the next slot is. A table of answers."""

import pytest

from cronherd.domain.admission import Admission, Gate, Refusal, admit
from cronherd.domain.job import Job, build_job
from cronherd.domain.planner import (
    CATCHUP_PER_PLAN,
    SLOTS_PER_PLAN,
    Due,
    Plan,
    missed_between,
    plan,
)
from cronherd.domain.run import Cause, Reason, RunState

S = 1_000_000
MINUTE = 60 * S
T0 = 1_800_000_000 * S  # a whole minute
JOB_ID = "a" * 32
KEY = f"j{JOB_ID}"


def job_of(schedule: object = "every 60s", **spec: object) -> Job:
    return build_job({"name": "job", "command": "true", "schedule": schedule, **spec})


def due_at(slot_us: int = T0, seq: int = 5) -> Due:
    return Due(
        job_id=JOB_ID,
        next_us=slot_us,
        slot_us=slot_us,
        last_slot_us=slot_us - 1,
        version=1,
        seq=seq,
    )


def planned(job: Job, late_s: float, gate: Gate | None = None, *, fits: bool = True) -> Plan:
    now_us = T0 + round(late_s * S)
    return plan(job, due_at(), gate or Gate(), now_us, fits=fits)


def skipped(made: Plan) -> list[tuple[str, int]]:
    return [(skip.reason.value, skip.count) for skip in made.skips]


def fired(made: Plan) -> list[tuple[int, str]]:
    """(minutes after the first slot, cause)."""
    return [((fire.slot_us - T0) // MINUTE, fire.cause.value) for fire in made.fires]


# Every minute, allowed to overlap. `late` seconds after T0, so late // 60 + 1 slots are due.
CATCHUP = [
    # mode, window, max, on_time, late, fired, skipped
    ("latest", "1h", 100, "60s", 0, [(0, "schedule")], []),
    ("latest", "1h", 100, "60s", 60, [(0, "schedule"), (1, "schedule")], []),
    ("latest", "1h", 100, "60s", 61, [(1, "schedule")], [("catchup_max", 1)]),
    ("latest", "1h", 100, "0s", 0, [(0, "schedule")], []),
    ("latest", "1h", 100, "0s", 1, [(0, "catchup")], []),
    ("latest", "1h", 100, "10s", 130, [(2, "schedule")], [("catchup_max", 2)]),
    ("latest", "1h", 100, "5s", 130, [(2, "catchup")], [("catchup_max", 2)]),
    ("latest", "1m", 100, "0s", 179, [(2, "catchup")], [("catchup_window", 2)]),
    ("latest", "30s", 100, "0s", 179, [], [("catchup_window", 3)]),
    ("latest", "59s", 0, "0s", 179, [(2, "catchup")], [("catchup_window", 2)]),
    ("none", "1h", 100, "60s", 0, [(0, "schedule")], []),
    ("none", "1h", 100, "0s", 179, [], [("catchup_none", 3)]),
    ("none", "1h", 100, "60s", 179, [(2, "schedule")], [("catchup_none", 2)]),
    ("all", "1h", 100, "0s", 179, [(0, "catchup"), (1, "catchup"), (2, "catchup")], []),
    ("all", "1h", 2, "0s", 179, [(1, "catchup"), (2, "catchup")], [("catchup_max", 1)]),
    ("all", "1h", 0, "0s", 179, [], [("catchup_max", 3)]),
    ("all", "60s", 100, "0s", 179, [(2, "catchup")], [("catchup_window", 2)]),
    ("all", "2m", 1, "60s", 230, [(2, "catchup"), (3, "schedule")], [("catchup_window", 2)]),
    (
        "all",
        "3m",
        1,
        "60s",
        230,
        [(2, "catchup"), (3, "schedule")],
        [("catchup_window", 1), ("catchup_max", 1)],
    ),
]


@pytest.mark.parametrize(("mode", "window", "most", "on_time", "late", "fires", "skips"), CATCHUP)
def test_it_catches_up_by_mode_window_and_limit(
    mode: str,
    window: str,
    most: int,
    on_time: str,
    late: int,
    fires: list[tuple[int, str]],
    skips: list[tuple[str, int]],
):
    job = job_of(
        overlap="allow",
        catchup=mode,
        catchup_window=window,
        catchup_max=most,
        on_time=on_time,
    )
    made = planned(job, late)
    assert fired(made) == fires
    assert skipped(made) == skips
    slots = late // 60 + 1
    assert len(made.fires) + sum(skip.count for skip in made.skips) == slots
    assert made.last_slot_us == T0 + (slots - 1) * MINUTE
    assert made.next_us == made.slot_us == T0 + slots * MINUTE


@pytest.mark.parametrize(
    ("deadline", "late", "fires", "skips"),
    [
        ("30s", 30, [(0, "schedule")], []),
        ("30s", 31, [], [("deadline", 1)]),
        ("30s", 89, [(1, "schedule")], [("deadline", 1)]),
        ("2m", 200, [(2, "catchup"), (3, "schedule")], [("deadline", 2)]),
    ],
)
def test_a_slot_past_its_start_deadline_is_given_up(
    deadline: str, late: int, fires: list[tuple[int, str]], skips: list[tuple[str, int]]
):
    made = planned(job_of(overlap="allow", catchup="all", start_deadline=deadline), late)
    assert fired(made) == fires
    assert skipped(made) == skips


def test_neighbours_with_one_reason_are_one_range():
    made = planned(job_of(catchup="none", on_time="0s"), 3 * 60 + 1)
    (skip,) = made.skips
    assert (skip.from_us, skip.to_us, skip.count) == (T0, T0 + 3 * MINUTE, 4)


def test_the_next_instant_counts_from_the_slot_and_is_never_in_the_past():
    job = job_of("every 7s", overlap="allow")
    made = planned(job, 0.5)
    assert made.slot_us == T0 // (7 * S) * 7 * S + 7 * S
    first = (T0 // MINUTE) * MINUTE
    assert plan(job_of(), due_at(first), Gate(), first, fits=True).next_us == first + MINUTE


# ---------------------------------------------------------------- long gaps


def work_off(job: Job, late_s: int) -> tuple[list[Plan], int]:
    """Plan again and again at one instant until nothing is due."""
    now_us = T0 + late_s * S
    due, plans = due_at(), []
    while due.next_us <= now_us:
        made = plan(job, due, Gate(), now_us, fits=True)
        plans.append(made)
        assert made.last_slot_us > due.last_slot_us, "each plan moves on"
        assert made.next_us is not None
        due = Due(
            job_id=JOB_ID,
            next_us=made.slot_us,
            slot_us=made.slot_us,
            last_slot_us=made.last_slot_us,
            version=1,
            seq=made.seq,
        )
        assert len(plans) < 60
    return plans, due.slot_us


@pytest.mark.parametrize("late", [1_999, 2_000, 2_001, 2_002, 9_999, 20_000])
@pytest.mark.parametrize(
    ("mode", "most", "runs"),
    [("none", 100, 0), ("latest", 100, 1), ("all", 100, 100), ("all", 0, 0), ("all", 1_000, 1_000)],
)
@pytest.mark.parametrize("on_time", [0, 60])
def test_a_long_gap_is_worked_off_in_pieces_with_exact_counts(
    late: int, mode: str, most: int, runs: int, on_time: int
):
    job = job_of(
        "every 1s",
        overlap="allow",
        catchup=mode,
        catchup_max=most,
        catchup_window="1d",
        on_time=f"{on_time}s",
    )
    plans, following_us = work_off(job, late)
    fires = [fire for made in plans for fire in made.fires]
    slots = [fire.slot_us for fire in fires]
    timely = on_time + 1
    expected = timely + (runs if mode == "all" else 0)
    if on_time == 0 and mode == "latest":
        expected = 1
    assert len(slots) == expected
    assert slots == [T0 + (late - back) * S for back in range(expected)][::-1]
    assert len(slots) + sum(skip.count for made in plans for skip in made.skips) == late + 1
    assert following_us == T0 + (late + 1) * S
    assert max(len(made.fires) for made in plans) <= CATCHUP_PER_PLAN
    assert max(sum(s.count for s in made.skips) for made in plans) <= SLOTS_PER_PLAN + 1


# ---------------------------------------------------------------- overlap


def full_gate(**facts: object) -> Gate:
    return Gate(used={0}, holders=["b" * 32], **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("spec", "gate", "answer"),
    [
        ({}, Gate(), Admission(state=RunState.READY, permit=0)),
        ({"overlap": "allow"}, full_gate(), Admission(state=RunState.READY)),
        ({"max_running": 3}, full_gate(), Admission(state=RunState.READY, permit=1)),
        ({"max_running": 3}, Gate(used={1, 2}), Admission(state=RunState.READY, permit=0)),
        ({}, full_gate(), Refusal(reason=Reason.OVERLAP, ref="b" * 32)),
        ({}, full_gate(silent=True), Refusal(reason=Reason.PREVIOUS_UNKNOWN, ref="b" * 32)),
        ({}, Gate(waiting=1), Refusal(reason=Reason.OVERLAP)),
        ({"overlap": "queue"}, full_gate(), Admission(state=RunState.WAITING, wait_key=KEY)),
        ({"overlap": "queue"}, Gate(waiting=1), Admission(state=RunState.WAITING, wait_key=KEY)),
        (
            {"overlap": "queue", "queue_max": 2},
            full_gate(waiting=2),
            Refusal(reason=Reason.QUEUE_FULL, ref="b" * 32),
        ),
        (
            {"overlap": "queue", "queue_max": 2},
            full_gate(waiting=1),
            Admission(state=RunState.WAITING, wait_key=KEY),
        ),
        (
            {"overlap": "replace"},
            full_gate(waiters=["c" * 32], waiting=1),
            Admission(
                state=RunState.WAITING, wait_key=KEY, cancels=("b" * 32,), replaces=("c" * 32,)
            ),
        ),
    ],
)
def test_a_run_enters_waits_or_is_refused(
    spec: dict[str, object], gate: Gate, answer: Admission | Refusal
):
    assert admit(job_of(**spec), gate, JOB_ID, fits=True, queue=False) == answer


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace"])
def test_a_catch_up_run_queues_whatever_the_policy_says(overlap: str):
    job = job_of(overlap=overlap, queue_max=0)
    answer = admit(job, full_gate(waiters=["c" * 32]), JOB_ID, fits=True, queue=True)
    assert answer == Admission(state=RunState.WAITING, wait_key=KEY)


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace", "allow"])
def test_without_a_node_that_fits_it_waits_for_one_and_takes_nothing(overlap: str):
    gate = Gate()
    made = planned(
        job_of(overlap=overlap, run_on={"disk": "ssd", "arch": "arm"}), 0, gate, fits=False
    )
    (fire,) = made.fires
    assert fire.admission == Admission(state=RunState.WAITING, wait_key="@arch=arm,disk=ssd")
    assert (gate.used, fire.seq, made.seq) == (set(), 0, 5)


def test_slots_of_one_plan_share_the_gate():
    made = planned(job_of(), 60)
    assert fired(made) == [(0, "schedule")]
    assert skipped(made) == [("overlap", 1)]
    made = planned(job_of(max_running=2), 60)
    assert [fire.admission.permit for fire in made.fires] == [0, 1]


def test_a_fence_number_is_drawn_only_by_those_who_enter():
    made = planned(job_of(overlap="queue"), 60)
    assert [fire.seq for fire in made.fires] == [6, 0]
    assert made.seq == 6


@pytest.mark.parametrize(
    ("gate", "late", "entered", "cancels", "replaces"),
    [
        (Gate(), 60, RunState.READY, (), ()),
        (full_gate(), 60, RunState.WAITING, ("b" * 32,), ()),
        (full_gate(waiters=["c"], waiting=1), 60, RunState.WAITING, ("b" * 32,), ("c",)),
    ],
)
def test_replace_keeps_the_newest_slot_of_a_plan(
    gate: Gate,
    late: int,
    entered: RunState,
    cancels: tuple[str, ...],
    replaces: tuple[str, ...],
):
    made = planned(job_of(overlap="replace"), late, gate)
    assert fired(made) == [(1, "schedule")]
    assert skipped(made) == [("replaced", 1)]
    (fire,) = made.fires
    assert fire.admission.state is entered
    assert (fire.admission.cancels, fire.admission.replaces) == (cancels, replaces)
    assert (fire.seq > 0) == (entered is RunState.READY)
    assert gate.waiting == (entered is RunState.WAITING)


# ---------------------------------------------------------------- after, at


def test_a_chain_stops_at_its_run():
    made = planned(job_of("after 5m"), 0)
    assert len(made.fires) == 1
    assert made.next_us is None
    assert made.last_slot_us == T0


def test_a_chain_goes_on_from_now_when_its_slot_was_refused():
    made = planned(job_of("after 5m"), 10, full_gate())
    assert made.fires == ()
    assert made.next_us == made.slot_us == T0 + 10 * S + 5 * MINUTE


def test_the_last_slot_of_a_schedule_is_followed_by_nothing():
    made = planned(job_of("at 2027-01-15 08:00:00"), 0)
    assert len(made.fires) == 1
    assert (made.next_us, made.slot_us) == (None, T0)


# ---------------------------------------------------------------- missed_between


def test_a_gap_is_one_range_with_its_exact_count():
    skip = missed_between(job_of(), T0, T0 + 10 * MINUTE, Reason.DISABLED)
    assert skip is not None
    assert (skip.from_us, skip.to_us, skip.count) == (T0 + MINUTE, T0 + 10 * MINUTE, 10)
    assert skip.ref is None


def test_an_empty_gap_is_nothing():
    assert missed_between(job_of(), T0, T0 + MINUTE - 1, Reason.DISABLED) is None
    assert missed_between(job_of(), T0, T0 - MINUTE, Reason.DISABLED) is None
    assert missed_between(job_of("after 1m"), T0, T0 + 9 * MINUTE, Reason.DISABLED) is None
    assert missed_between(job_of(None), T0, T0 + 9 * MINUTE, Reason.DISABLED) is None


def test_counting_ends_at_a_limit_and_says_so():
    skip = missed_between(job_of(), T0, T0 + 99 * MINUTE, Reason.DISABLED, limit=10)
    assert skip is not None
    assert (skip.count, skip.to_us, skip.ref) == (10, T0 + 99 * MINUTE, "at least")


def test_the_cause_of_a_slot_is_what_became_of_it():
    assert {fire.cause for fire in planned(job_of(overlap="allow"), 200).fires} == {
        Cause.SCHEDULE,
    }
