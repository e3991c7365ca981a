"""The audit by tables: what is sound, and each fault it must find."""

from dataclasses import replace

from cronherd.domain.audit import Audit, InForce, Told, audit, by_slot
from cronherd.domain.instant import MINUTE_US, parse_instant
from cronherd.domain.job import build_job
from cronherd.domain.run import Reason
from cronherd.domain.timing.rule import Schedule

T0 = parse_instant("2027-01-15T08:00:00Z")
SLOTS = [T0 + n * MINUTE_US for n in range(1, 11)]


def rule(schedule: object = "every 60s", **around: object) -> Schedule:
    found = build_job({"name": "a", "command": "true", "schedule": schedule, **around}).schedule
    assert found is not None
    return found


MINUTES = [InForce(from_us=T0, schedule=rule())]


def row(first: int, last: int, reason: Reason = Reason.PAUSED, **more: object) -> Told:
    told = Told(from_us=SLOTS[first], to_us=SLOTS[last], count=last - first + 1, reason=reason)
    return replace(told, **more)  # type: ignore[arg-type]


def look(ran: list[int], rows: list[Told], versions: list[InForce] = MINUTES) -> Audit:
    return audit(versions, ran, rows, from_us=T0, until_us=SLOTS[-1])


def test_slots_that_ran_or_of_which_the_ledger_tells_are_sound():
    found = look(SLOTS[:4] + SLOTS[7:], [row(4, 6)])
    assert found.sound
    assert (found.slots, found.ran, found.told) == (10, 7, {"paused": 3})


def test_a_slot_without_an_outcome_is_named():
    found = look(SLOTS[:4] + SLOTS[5:], [])
    assert not found.sound
    assert found.unexplained == [SLOTS[4]]


def test_a_slot_with_two_outcomes_is_named():
    assert look([*SLOTS, SLOTS[2]], []).twice == [SLOTS[2]]
    assert look(SLOTS, [row(1, 1)]).twice == [SLOTS[1]]
    assert look(SLOTS[2:], [row(0, 1), row(1, 1, Reason.OVERLAP)]).twice == [SLOTS[1]]


def test_a_run_at_an_instant_that_is_no_slot_is_named():
    found = look([*SLOTS, SLOTS[2] + 1], [])
    assert (found.uncalled, found.sound) == ([SLOTS[2] + 1], False)


def test_a_row_that_counts_wrong_is_named_unless_it_says_at_least():
    assert look(SLOTS[3:], [row(0, 2, count=4)]).miscounted != []
    assert look(SLOTS[3:], [row(0, 2, count=1, ref="at least")]).sound


def test_a_row_that_reaches_beyond_the_stretch_explains_what_lies_in_it():
    told = Told(from_us=T0 - 9 * MINUTE_US, to_us=SLOTS[2], count=12, reason=Reason.DISABLED)
    found = look(SLOTS[3:], [told])
    assert found.sound
    assert found.told == {"disabled": 3}


def test_each_version_counts_for_as_long_as_it_was_in_force():
    edit_us = SLOTS[4]
    versions = [
        InForce(from_us=T0, schedule=rule()),
        InForce(from_us=edit_us, schedule=rule("every 150s")),
    ]
    first_us = edit_us - edit_us % 150_000_000 + 150_000_000
    wide = list(range(first_us, SLOTS[-1] + 1, 150_000_000))
    assert look(SLOTS[:5] + wide, [], versions).sound
    assert look(SLOTS[:6] + wide, [], versions).uncalled == [SLOTS[5]]
    assert look(SLOTS[:4] + wide, [], versions).unexplained == [SLOTS[4]]


def test_what_the_schedule_leaves_out_is_counted_by_itself():
    versions = [InForce(from_us=T0, schedule=rule(excluding="08:03-08:05"))]
    left_out = row(2, 3, Reason.EXCLUDED, ref="08:03-08:05")
    ran = SLOTS[:2] + SLOTS[4:]
    found = look(ran, [left_out], versions)
    assert (found.sound, found.slots, found.told) == (True, 10, {"excluded": 2})
    assert look(ran, [], versions).unexplained == SLOTS[2:4]
    # A row about other slots that reaches over them does not explain them, nor counts them.
    over = row(1, 4, Reason.PAUSED, count=2)
    assert look([SLOTS[0], *SLOTS[5:]], [over, left_out], versions).sound


def test_a_schedule_that_is_over_owes_nothing_behind_its_last_run():
    assert look(SLOTS[:3], []).unexplained == SLOTS[3:]
    over = [InForce(from_us=T0, schedule=rule(), ends=True)]
    assert look(SLOTS[:3], [], over).sound
    assert look(SLOTS[1:3], [], over).unexplained == [SLOTS[0]]


def test_a_version_that_nobody_can_read_owes_nothing():
    versions = [InForce(from_us=T0, schedule=None), InForce(from_us=SLOTS[4], schedule=rule())]
    assert look(SLOTS[5:], [], versions).sound


def test_the_slots_of_a_chain_are_those_on_record_and_none_ran_twice():
    chain = [InForce(from_us=T0, schedule=rule("after 90s"))]
    assert look([SLOTS[0], SLOTS[4]], [row(6, 6, Reason.OVERLAP)], chain).sound
    assert look([SLOTS[0], SLOTS[0]], [], chain).twice == [SLOTS[0]]


def test_what_several_nodes_made_of_a_slot_is_one_outcome():
    ran = [(SLOTS[0], ""), *((SLOTS[1], node) for node in "abc"), (SLOTS[2], "a")]
    missed = [(row(2, 2), "b"), (row(3, 3), "a"), (row(3, 3), "b"), (row(4, 9), "")]
    slots, told = by_slot(ran, missed)
    assert slots == SLOTS[:3]
    assert told == [row(3, 3), row(4, 9)]
    assert look(slots, told).sound


def test_one_node_that_made_two_outcomes_of_a_slot_is_seen():
    twice, _ = by_slot([(SLOTS[1], "a"), (SLOTS[1], "a"), (SLOTS[1], "b")], [])
    both, told = by_slot([(SLOTS[1], "a"), (SLOTS[1], "b")], [(row(1, 1), "b")])
    never, rows = by_slot([], [(row(1, 1), "b"), (row(1, 1, Reason.OVERLAP), "b")])
    assert twice == both == [SLOTS[1]] * 2
    assert told == []
    assert look([*SLOTS[:1], *never, *SLOTS[2:]], rows).twice == [SLOTS[1]]
