"""The checker of the torture fails when it must: each promise broken once, in made-up evidence."""

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from tests.torture.checker import CHECKS
from tests.torture.evidence import (
    Deed,
    Fault,
    Notes,
    boot_ns,
    instant_us,
    read_evidence,
)
from tests.torture.matching import unmatched
from tests.torture.oracle import expected, slots_between
from tests.torture.records import RunRecord
from tests.torture.staging import World, ns, quiet_world, us
from tests.torture.story import tell

Breaking = Callable[[], World]


def _lost_slot() -> World:
    return quiet_world(without=(30,))


def _two_outcomes() -> World:
    world = quiet_world()
    world.skipped(30, "overlap")
    return world


def _phantom() -> World:
    world = quiet_world()
    world.ran(35)
    return world


def _wrong_count() -> World:
    world = quiet_world(without=(20, 30, 40))
    world.skipped(20, "paused", to_s=40)
    world.ledger[0].count = 2
    return world


def _skip_without_reason() -> World:
    world = quiet_world(without=(30,))
    world.skipped(30, "overlap")
    return world


def _paused_when_nobody_paused() -> World:
    world = quiet_world(without=(30,))
    world.skipped(30, "paused")
    return world


def _caught_up_without_an_outage() -> World:
    world = quiet_world(without=(30,), catchup="none", on_time="3s")
    world.skipped(30, "catchup_none", at_s=39)
    return world


def _unknown_although_nobody_was_silent() -> World:
    world = quiet_world(without=(30,))
    world.skipped(30, "previous_unknown")
    return world


def _two_runs_of_a_slot() -> World:
    world = quiet_world(overlap="allow")
    world.ran(30, at_s=30.2, run="another", node="node1")
    return world


def _the_same_attempt_twice() -> World:
    world = quiet_world(overlap="allow")
    world.births.append(replace(world.births[2], pid=99, fence=31_000))
    return world


def _a_second_attempt_at_most_once() -> World:
    world = quiet_world(without=(30,))
    world.ran(30, run="r", final=False)
    world.ran(30, at_s=35, run="r", attempt=2)
    return world


def _attempts_overlap() -> World:
    world = quiet_world(without=(30,), delivery="at_least_once", overlap="allow")
    world.ran(30, run="r", lasted_s=6, final=False)
    world.ran(30, at_s=35, run="r", attempt=2, node="node1")
    return world


def _attempt_with_an_old_fence() -> World:
    world = quiet_world(without=(30,), delivery="at_least_once")
    world.ran(30, run="r", fence=5_000_000, final=False)
    world.ran(30, at_s=35, run="r", attempt=2, fence=5_000_000)
    return world


def _early() -> World:
    world = quiet_world(without=(30,))
    world.ran(30, at_s=29.5)
    return world


def _late() -> World:
    world = quiet_world(without=(30,))
    world.ran(30, at_s=34)
    return world


def _two_at_once() -> World:
    world = quiet_world(without=(30,))
    world.ran(30, lasted_s=11)
    return world


def _four_where_three_may() -> World:
    world = quiet_world(without=(10, 20, 30, 40), max_running=3)
    for slot_s in (10, 20, 30, 40):
        world.ran(slot_s, lasted_s=100)
    return world


def _two_at_once_by_the_coroner() -> World:
    world = quiet_world(without=(30,))
    birth = world.ran(30, lasted_s=11)
    birth.end_ns = birth.code = None
    world.attempts[-1].exit_code = None
    world.attempts[-1].signal = 9
    return world


def _unrecorded() -> World:
    world = quiet_world()
    gone = world.births[2].run
    world.runs = [run for run in world.runs if run.id != gone]
    return world


def _recorded_but_never_seen() -> World:
    world = quiet_world()
    del world.births[2]
    return world


def _denied() -> World:
    world = quiet_world()
    world.attempts[2].started_us = None
    world.attempts[2].error = "void"
    return world


def _wrong_code() -> World:
    world = quiet_world()
    world.attempts[2].exit_code = 3
    return world


def _lost_for_no_reason() -> World:
    world = quiet_world()
    world.attempts[2].exit_code = None
    world.attempts[2].error = "lost"
    return world


def _stuck() -> World:
    world = quiet_world(without=(30,))
    stuck = RunRecord(id="s", job="job", slot_us=us(30), cause="schedule", state="waiting")
    world.runs.append(stuck)
    return world


def _leaked_permit() -> World:
    world = quiet_world()
    world.permits.append(("jx", 0, world.runs[0].id))
    return world


def _nobody_fires() -> World:
    world = quiet_world(without=(40, 50, 60))
    world.last_s = 30
    return world


def _fences_fall() -> World:
    world = quiet_world()
    world.births[3].fence = 1
    return world


def _more_starts_than_slots() -> World:
    """Each claims to be a manual run; nobody asked for one."""
    world = quiet_world()
    world.ran(None, at_s=33, cause="manual")
    world.ran(None, at_s=43, cause="manual")
    return world


def _started_while_paused() -> World:
    world = quiet_world()
    world.did("pause", 21)
    world.did("resume", 55)
    return world


def _started_while_disabled() -> World:
    world = quiet_world()
    world.did("disable", 31)
    return world


def _started_while_held() -> World:
    world = quiet_world()
    world.did("hold", 31, target="all")
    world.did("let_go", 55, target="all")
    return world


def _suspended(awake_s: float) -> World:
    """An attempt on a host that stands still from 31 to 70, and is taken over at 60."""
    world = quiet_world(delivery="at_least_once", overlap="allow")
    world.over_s = 72
    world.hurt("stop_node_long", 31, 70)
    world.ran(30, run=world.runs[2].id, lasted_s=40 + awake_s, attempt=1, final=False)
    del world.births[2], world.attempts[2]
    world.attempts[-1].exit_code = None
    world.attempts[-1].error = "lost"
    world.ran(30, at_s=60, run=world.runs[2].id, attempt=2, node="node1", final=False)
    return world


def _goes_on_after_it_was_taken_over() -> World:
    return _suspended(awake_s=9)


def _no_node_for_a_job_that_fits_all() -> World:
    world = quiet_world(without=(30,))
    world.hurt("kill_both", 29, 33)
    world.skipped(30, "no_node")
    return world


def _no_node_while_one_of_them_lived() -> World:
    world = quiet_world(without=(30,), run_on={"zone": "eu"})
    world.hurt("kill_both", 29, 33, "node0")
    world.skipped(30, "no_node")
    return world


def _caught_up_as_no_rule_of_it_says() -> World:
    world = quiet_world(without=(30,), catchup="all", on_time="3s")
    world.hurt("db_kill", 29, 38, "database")
    world.skipped(30, "catchup_none", at_s=39)
    return world


def _missed_before_it_was_late() -> World:
    world = quiet_world(without=(30,), catchup="none", on_time="30s")
    world.hurt("db_kill", 29, 38, "database")
    world.skipped(30, "catchup_none", at_s=39)
    return world


def _overlap_with_nothing_in_an_outage() -> World:
    world = quiet_world(without=(10,))
    world.hurt("kill_both", 9, 12)
    world.skipped(10, "overlap")
    for run in world.runs:
        run.created_us = run.slot_us or 0
    return world


def _one_request_two_runs() -> World:
    world = quiet_world()
    world.did("run", 20, answer="click:a")
    world.did("run", 21, answer="click:b")
    return world


def _two_in_a_mutex() -> World:
    """Runs that the job itself would let overlap."""
    world = quiet_world(without=(20, 30), overlap="allow", pools=["db"])
    world.pools = {"db": 1}
    world.ran(20, lasted_s=12)
    world.ran(30)
    return world


def _five_permits_of_four() -> World:
    world = quiet_world(without=(20, 30), overlap="allow", pools=[{"name": "db", "permits": 3}])
    world.pools = {"db": 4}
    world.ran(20, lasted_s=12)
    world.ran(30)
    return world


BREAKINGS: list[tuple[str, Breaking]] = [
    ("slot_without_outcome", _lost_slot),
    ("two_outcomes", _two_outcomes),
    ("phantom_slot", _phantom),
    ("wrong_count", _wrong_count),
    ("unjustified_skip", _skip_without_reason),
    ("unjustified_skip", _paused_when_nobody_paused),
    ("unjustified_skip", _caught_up_without_an_outage),
    ("unjustified_skip", _unknown_although_nobody_was_silent),
    ("two_runs", _two_runs_of_a_slot),
    ("started_twice", _the_same_attempt_twice),
    ("started_twice", _a_second_attempt_at_most_once),
    ("attempts_overlap", _attempts_overlap),
    ("attempt_fence", _attempt_with_an_old_fence),
    ("early_start", _early),
    ("late_start", _late),
    ("too_many", _two_at_once),
    ("too_many", _four_where_three_may),
    ("too_many", _two_at_once_by_the_coroner),
    ("pool_overfull", _two_in_a_mutex),
    ("pool_overfull", _five_permits_of_four),
    ("start_without_record", _unrecorded),
    ("record_without_start", _recorded_but_never_seen),
    ("denied_start", _denied),
    ("wrong_exit_code", _wrong_code),
    ("lost_without_cause", _lost_for_no_reason),
    ("stuck_run", _stuck),
    ("leaked_permit", _leaked_permit),
    ("unfired_slots", _nobody_fires),
    ("fence_order", _fences_fall),
    ("extra_start", _more_starts_than_slots),
    ("start_while_paused", _started_while_paused),
    ("start_while_disabled", _started_while_disabled),
    ("start_while_held", _started_while_held),
    ("attempts_overlap", _goes_on_after_it_was_taken_over),
    ("unjustified_skip", _no_node_for_a_job_that_fits_all),
    ("unjustified_skip", _no_node_while_one_of_them_lived),
    ("unjustified_skip", _caught_up_as_no_rule_of_it_says),
    ("unjustified_skip", _missed_before_it_was_late),
    ("unjustified_skip", _overlap_with_nothing_in_an_outage),
    ("request_repeated", _one_request_two_runs),
]


@pytest.mark.parametrize(
    ("kind", "breaking"), BREAKINGS, ids=lambda part: getattr(part, "__name__", part)
)
def test_it_sees_a_broken_promise(kind: str, breaking: Breaking):
    found = breaking().violations()
    assert kind in {violation.kind for violation in found}


def test_every_check_has_been_seen_failing():
    seen = {
        check for _, breaking in BREAKINGS for check in CHECKS if list(check(breaking().case()))
    }
    assert seen == set(CHECKS)


def test_it_is_content_with_a_quiet_world():
    assert quiet_world().violations() == []


def test_it_accepts_as_many_as_a_pool_has():
    world = quiet_world(
        without=(20, 30), overlap="allow", pools=["db", {"name": "x", "permits": 2}]
    )
    world.pools = {"db": 2, "x": 4}
    world.ran(20, lasted_s=12)
    world.ran(30)
    assert world.violations() == []


def test_it_accepts_a_skip_while_the_run_before_lived():
    world = quiet_world(without=(20, 30))
    world.ran(20, lasted_s=15)
    world.skipped(30, "overlap")
    assert world.violations() == []


def test_it_accepts_slots_that_a_pause_swallowed():
    world = quiet_world(without=(20, 30))
    world.did("pause", 15)
    world.did("resume", 35)
    world.skipped(20, "paused", to_s=30, at_s=35.2)
    assert world.violations() == []


def test_it_accepts_what_an_outage_explains():
    world = quiet_world(without=(20, 30, 40), catchup="latest", on_time="3s")
    world.hurt("db_kill", 19, 41, "database")
    world.skipped(20, "catchup_max", to_s=30, at_s=42)
    world.ran(40, at_s=42, cause="catchup")
    assert world.violations() == []


def test_it_accepts_a_takeover_after_a_node_died():
    world = quiet_world(without=(10,), delivery="at_least_once", overlap="allow")
    world.hurt("kill_both", 11, 50)
    dead = world.ran(10, run="r", lasted_s=1, final=False)
    dead.end_ns = dead.code = None
    world.attempts[-1].exit_code = None
    world.attempts[-1].error = "lost"
    world.ran(10, at_s=45, run="r", attempt=2, node="node1")
    assert world.violations() == []


def test_it_accepts_that_a_host_which_wakes_ends_what_was_taken_over():
    assert "attempts_overlap" not in _suspended(awake_s=1).kinds()


def test_it_accepts_that_a_label_waits_while_all_nodes_that_have_it_are_away():
    world = _no_node_while_one_of_them_lived()
    world.did("drain", 25, target="node1")
    assert world.violations() == []


def test_it_accepts_a_run_that_somebody_asked_for():
    world = quiet_world()
    world.did("run", 33, answer="click:run-0006")
    world.did("run", 34, answer="click:run-0006")
    world.ran(None, at_s=33.4, cause="manual")
    assert world.violations() == []


def test_it_tells_the_story_of_a_violation():
    world = _two_runs_of_a_slot()
    world.hurt("cut", 29, 31)
    world.did("edit", 28)
    case = world.case()
    text = tell(case, world.violations()[0])
    for word in ("start ", "end ", "record ", "attempt ", "FAULT", "deed", "another", "node1"):
        assert word in text


# ------------------------------------------------------------------ what it is made of


def test_blind_matching_is_a_maximum_matching():
    chance = random.Random(7)
    for _ in range(400):
        targets = [
            (low, low + chance.randrange(8))
            for low in (chance.randrange(20) for _ in range(chance.randrange(7)))
        ]
        starts = [chance.randrange(30) for _ in range(chance.randrange(7))]
        assert len(starts) - len(unmatched(targets, starts)) == _best(targets, starts)


def _best(targets: list[tuple[int, int]], starts: list[int]) -> int:
    """The largest set of starts that all find a target of their own: by trying (Hall)."""
    for size in range(len(starts), 0, -1):
        if any(_all_fit(targets, chosen) for chosen in combinations(starts, size)):
            return size
    return 0


def _all_fit(targets: list[tuple[int, int]], starts: tuple[int, ...]) -> bool:
    if not starts:
        return True
    first, rest = starts[0], starts[1:]
    return any(
        _all_fit(targets[:n] + targets[n + 1 :], rest)
        for n, (low, high) in enumerate(targets)
        if low <= first <= high
    )


@pytest.mark.parametrize(
    ("schedule", "slots"),
    [
        ("every 20s", [20, 40, 60, 80, 100, 120]),
        ("every 1m", [60, 120]),
        ("* * * * *", [60, 120]),
        ("*/2 * * * *", [120]),
        ("1 8 * * *", [60]),
    ],
)
def test_the_oracle_knows_the_slots(schedule: str, slots: list[int]):
    assert slots_between(schedule, us(0), us(120)) == [us(slot) for slot in slots]


def test_the_oracle_refuses_what_it_does_not_know():
    for schedule in ("after 2s", "0 0 1 * *", "30 2 * * mon"):
        with pytest.raises(ValueError, match=r".+"):
            slots_between(schedule, us(0), us(120))


def test_around_an_edit_either_schedule_is_right():
    world = quiet_world()
    case = world.case()
    job = case.records.jobs["job"]
    job.schedules = [(us(0), "every 10s"), (us(30), "every 7s")]
    must, may = case.slots(job)
    assert us(20) in must
    assert {us(30), us(35)} & must == set()
    assert us(30) in may
    assert us(40) in must - may or us(40) not in must | may
    assert expected([], []) == (set(), set())


def test_evidence_is_read_as_it_was_written(tmp_path: Path):
    (tmp_path / "witness.node0").write_text(
        "S r job 2027-01-15T08:00:00Z 1 65537 node0 77 1000 2000 schedule\n"
        "T r 1 77 1500\nE r 1 77 1600 143\n"
        "S q job - 2 9 node0 78 3000 4000 manual\nS torn"
    )
    (tmp_path / "deaths").write_text("r 1 77 1601\nq 2 78 3500\n")
    notes = Notes(tmp_path)
    notes.fault(Fault(kind="cut", target="node0", from_ns=1, to_ns=2))
    notes.deed(Deed(kind="run", target="job", from_ns=1, to_ns=2, ok=None))
    notes.sample(1_000_000, 5_000, 1_002_000)
    read = read_evidence(tmp_path)
    first, second = read.births
    assert (first.slot_us, first.term_ns, first.end_ns, first.code) == (us(0), 1500, 1600, 143)
    assert first.until_ns == 1600
    assert (second.slot_us, second.until_ns, second.cause) == (None, 3500, "manual")
    assert (read.faults[0].kind, read.deeds[0].ok) == ("cut", None)
    assert read.offset_us == 5_000 - 1_001
    assert read.database_us(1_001_000) == 5_000


def test_instants_are_what_commands_are_told():
    assert instant_us("2027-01-15T08:00:00Z") == us(0)
    assert instant_us("2027-01-15T08:00:00.250000Z") == us(0.25)
    assert instant_us("-") is None
    assert ns(1) - ns(0) == 1_000_000_000
    assert boot_ns() <= boot_ns()
