"""Unique ids at job servers: which are ours."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.ident import make_id
from cronherd.domain.receipt import read_unique, unique_of


@given(st.integers(1, 2**50), st.binary(min_size=10, max_size=10), st.integers(1, 999_999))
def test_an_attempt_is_known_by_its_unique_id(now_us: int, noise: bytes, attempt: int):
    run = make_id(now_us, noise)
    unique = unique_of(run, attempt)
    assert read_unique(unique) == (run, attempt)
    assert len(unique) <= 64
    assert unique == run if attempt == 1 else unique.startswith(run)


OURS = make_id(1_800_000_000_000_000, bytes(10))


@pytest.mark.parametrize(
    "unique",
    ["", "-", "u1", "d41d8cd98f00b204e9800998ecf8427e", OURS.upper(), OURS[:-1], f"{OURS}:",
     f"{OURS}:0", f"{OURS}:x", f"{OURS}:1234567", f" {OURS}", f"{OURS}\n",
     "550e8400-e29b-41d4-a716-446655440000"],
)  # fmt: skip
def test_a_unique_id_of_somebody_else_is_none_of_ours(unique: str):
    assert read_unique(unique) is None
