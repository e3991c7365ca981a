"""Definitions that were read: a memory that all threads share, and that stays small."""

from collections import OrderedDict
from typing import Any

import pytest

from cronherd.domain.ident import to_stored
from cronherd.store import definitions
from cronherd.store.definitions import JobCache
from tests.store.only import sqlite_only
from tests.store.stage import Stage

pytestmark = sqlite_only


class Contested(OrderedDict[Any, Any]):
    """Another thread takes the last one, always between the look and the hand."""

    def popitem(self, last: bool = True) -> Any:  # noqa: FBT001, FBT002 - as it is in the library
        super().popitem(last)
        return super().popitem(last)


@pytest.mark.parametrize("kind", [OrderedDict, Contested])
def test_the_memory_stays_small_whoever_else_clears_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, kind: type[OrderedDict[Any, Any]]
):
    monkeypatch.setattr(definitions, "_CACHED", 0)
    cache = JobCache()
    cache._jobs = kind()
    pair = (to_stored(stage.job()), 1)
    with stage.store.db.read() as connection:
        found = cache.get(connection, [pair])
    assert list(found) == [pair]
    assert len(cache._jobs) == 0
