"""Who goes on in front of a gate: a table of lines, rooms and answers."""

import random

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.pool import (
    PoolUse,
    Room,
    is_pool_key,
    let_in,
    pool_key,
    read_pool_name,
    read_uses,
    rolling_key,
    spell_uses,
)

A, B = PoolUse("pa"), PoolUse("pb")
A2, A3 = PoolUse("pa", 2), PoolUse("pa", 3)


def rooms(**free: tuple[int, int]) -> dict[str, Room]:
    """Gates by name: capacity, and how many are held."""
    return {
        f"p{name}": Room(capacity=capacity, used=set(range(held)))
        for name, (capacity, held) in free.items()
    }


# The line in front of pa; rooms; who goes on; who goes where; who never can.
LINES = [
    ("nobody", "", rooms(a=(1, 0)), "", {}, ""),
    ("one of two", "x:pa y:pa", rooms(a=(1, 0)), "x", {}, ""),
    ("both", "x:pa y:pa", rooms(a=(2, 0)), "xy", {}, ""),
    ("none is free", "x:pa y:pa", rooms(a=(1, 1)), "", {}, ""),
    ("closed", "x:pa", rooms(a=(0, 0)), "", {}, "x"),
    ("more are held than there are", "x:pa", rooms(a=(1, 3)), "", {}, ""),
    ("the head wants more than is free", "x:pa*2 y:pa", rooms(a=(2, 1)), "", {}, ""),
    ("the head fits, the next one does not", "x:pa y:pa*2 z:pa", rooms(a=(2, 0)), "x", {}, ""),
    ("the head wants more than there is", "x:pa*3 y:pa", rooms(a=(2, 0)), "y", {}, "x"),
    ("the head wants a gate that is not there", "x:pa,pc y:pa", rooms(a=(1, 0)), "y", {}, "x"),
    ("its own gate is not there", "x:pa y:pa", rooms(b=(1, 0)), "", {}, "xy"),
    ("the head lacks another", "x:pa,pb y:pa", rooms(a=(1, 0), b=(1, 1)), "y", {"x": "pb"}, ""),
    ("the head lacks both", "x:pa,pb y:pa", rooms(a=(1, 1), b=(1, 1)), "", {}, ""),
    ("both are free", "x:pa,pb y:pa", rooms(a=(2, 0), b=(1, 0)), "xy", {}, ""),
    (
        "the first one takes what the next one lacks",
        "x:pa,pb y:pa,pb z:pa",
        rooms(a=(3, 0), b=(1, 0)),
        "xz",
        {"y": "pb"},
        "",
    ),
    (
        "it goes to the first that it lacks",
        "x:pa,pb,pc",
        rooms(a=(1, 0), b=(1, 1), c=(1, 1)),
        "",
        {"x": "pb"},
        "",
    ),
]


def parse(line: str) -> list[tuple[str, list[PoolUse]]]:
    found = []
    for word in line.split():
        who, _, uses = word.partition(":")
        pairs = (use.partition("*") for use in uses.split(","))
        found.append((who, [PoolUse(key, int(permits or 1)) for key, _, permits in pairs]))
    return found


@pytest.mark.parametrize(
    ("line", "given", "taken", "moved", "never"),
    [row[1:] for row in LINES],
    ids=[r[0] for r in LINES],
)
def test_who_goes_on(
    line: str, given: dict[str, Room], taken: str, moved: dict[str, str], never: str
):
    answer = let_in(
        "pa",
        parse(line),
        {key: Room(capacity=r.capacity, used=set(r.used)) for key, r in given.items()},
    )
    assert "".join(who for who, _ in answer.taken) == taken
    assert dict(answer.moved) == moved
    assert "".join(answer.never) == never
    wanted = dict(parse(line))
    for who, permits in answer.taken:
        assert len(set(permits)) == len(permits)
        counts = {key: sum(k == key for k, _ in permits) for key, _ in permits}
        assert counts == {use.key: use.permits for use in wanted[who]}


def test_numbers_are_the_smallest_that_are_free():
    room = Room(capacity=5, used={0, 2, 7})
    assert room.free == 2
    assert room.take(2) == [1, 3]
    assert (room.free, room.take(0)) == (0, [])


def test_a_lowered_capacity_counts_numbers_beyond_it():
    room = Room(capacity=2, used={5})
    assert room.free == 1
    assert room.take(1) == [0]
    assert room.free == 0


@pytest.mark.parametrize("seed", range(40))
def test_of_any_line_nobody_is_let_in_twice_or_beyond_and_the_order_is_kept(seed: int):
    chance = random.Random(seed)
    keys = ["pa", "pb", "pc"]
    given = {
        key: Room(
            capacity=chance.randint(0, 6), used=set(chance.sample(range(6), chance.randint(0, 3)))
        )
        for key in keys
    }
    before = {key: set(room.used) for key, room in given.items()}
    line = []
    for number in range(chance.randint(0, 12)):
        others = [PoolUse(key, chance.randint(1, 3)) for key in keys[1:] if chance.random() < 0.4]
        line.append((number, [PoolUse("pa", chance.randint(1, 3)), *others]))
    answer = let_in("pa", line, given)
    held: dict[str, set[int]] = {key: set() for key in keys}
    for _, permits in answer.taken:
        for key, n in permits:
            assert n not in held[key] | before[key]
            assert n < given[key].capacity
            held[key].add(n)
    for key in keys:
        assert given[key].used == before[key] | held[key]
        assert not held[key] or len(given[key].used) <= given[key].capacity
    said = [who for who, _ in answer.taken] + [who for who, _ in answer.moved] + answer.never
    assert len(said) == len(set(said))
    assert [who for who, _ in answer.taken] == sorted(who for who, _ in answer.taken)
    left = [(who, uses) for who, uses in line if who not in said]
    if left:  # the first that stays lacks what this line is for
        assert left[0][1][0].permits > given["pa"].free
        assert max([who for who, _ in answer.taken], default=-1) < left[0][0]


USES = [(), (A,), (A, B), (A2, B), (A, PoolUse("r0123"))]


@pytest.mark.parametrize("uses", USES)
def test_what_was_spelled_is_read_again(uses: tuple[PoolUse, ...]):
    assert read_uses(spell_uses(uses)) == uses


def test_as_a_row_has_them():
    assert spell_uses(()) is None
    assert spell_uses((A, A3)) == "pa pa:3"
    assert (
        len(spell_uses([PoolUse("p" + "x" * 36, 10_000)] * 8 + [PoolUse("r" + "0" * 36)]) or "")
        <= 400
    )


@pytest.mark.parametrize("name", ["db", "DB", "a", "a.b-c_d", "x" * 36, "0"])
def test_names_of_pools(name: str):
    assert read_pool_name(name) == name.lower()


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:b", "-a", "a-", "x" * 37, "ä", "a%", "a\n", "a/b", "\x00", "a,b"]
)
def test_what_cannot_be_the_name_of_a_pool(name: str):
    with pytest.raises(Invalid) as refused:
        read_pool_name(name)
    assert refused.value.code == "bad_pool"


def test_which_keys_are_in_front_of_a_pool():
    assert is_pool_key(pool_key("db"))
    assert is_pool_key(rolling_key("0123"))
    assert not any(map(is_pool_key, [None, "", "j0123", "@place", "~pace"]))
