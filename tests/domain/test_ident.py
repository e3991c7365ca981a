"""Ids: UUIDv7 shown with the random end first."""

import random
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.domain.ident import from_stored, make_id, prefix_range, short_of, to_stored

NOW_US = 1_800_000_000_123_456


@given(now_us=st.integers(0, 2**48 * 1000 - 1), noise=st.binary(min_size=10, max_size=10))
def test_an_id_is_a_version_7_uuid_of_its_millisecond(now_us: int, noise: bytes):
    shown = make_id(now_us, noise)
    stored = uuid.UUID(bytes=to_stored(shown))
    assert stored.version == 7
    assert stored.variant == uuid.RFC_4122
    assert stored.int >> 80 == now_us // 1_000
    assert from_stored(to_stored(shown)) == shown
    assert len(shown) == 32


def test_stored_ids_sort_by_time():
    noise = random.Random(1)
    ids = [to_stored(make_id(NOW_US + step * 1_000, noise.randbytes(10))) for step in range(50)]
    assert ids == sorted(ids)


def test_short_forms_of_one_instant_differ():
    noise = random.Random(1)
    ids = [make_id(NOW_US, noise.randbytes(10)) for _ in range(1000)]
    assert len({shown[:8] for shown in ids}) == 1000


@pytest.mark.parametrize("digits", [6, 7, 8, 20, 32])
def test_a_prefix_finds_its_id(digits: int):
    shown = make_id(NOW_US, bytes(range(100, 110)))
    low, high = prefix_range(shown[:digits])
    assert low <= short_of(shown) <= high
    assert high - low == 16 ** max(0, 8 - digits) - 1


@pytest.mark.parametrize("prefix", ["", "12345", "12345g", "ABCDEF", "a" * 33, "123456 ", "12-456"])
def test_what_is_no_prefix_is_refused(prefix: str):
    with pytest.raises(Invalid) as caught:
        prefix_range(prefix)
    assert caught.value.code == "bad_id"
