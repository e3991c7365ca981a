"""Who holds a lock on a server or a file, as documents; and taking it away."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from cronherd.domain.instant import format_instant
from cronherd.engine.clock import SystemClock
from cronherd.locks.address import open_lock
from cronherd.locks.base import Hold

Json = dict[str, Any]
API_VERSION = "v1"


def list_holds(where: str, environ: Mapping[str, str]) -> Json:
    """The holds of one lock, in the form of a fleet's; null is what its kind does not know.

    Raises Invalid where a kind of lock cannot tell, and Unavailable.
    """
    clock = SystemClock()
    with closing(open_lock(where, clock, environ)) as lock:
        items = [_view(lock.name, hold, clock.now_us()) for hold in lock.holds()]
    return {"api_version": API_VERSION, "items": items, "next": None}


def clear_holds(where: str, environ: Mapping[str, str], actor: str) -> Json:
    """Take it from whoever holds it. Raises NotFound, Invalid and Unavailable."""
    clock = SystemClock()
    with closing(open_lock(where, clock, environ)) as lock:
        taken = lock.clear(actor)
        views = [_view(lock.name, hold, clock.now_us()) for hold in taken]
    return {"api_version": API_VERSION, "cleared": lock.name, "holders": views}


def _view(name: str, hold: Hold, now_us: int) -> Json:
    held_us, left_us = hold.held_us, hold.left_us
    return {
        "name": name,
        "holder": hold.who,
        "mode": "shared" if hold.shared else "exclusive",
        "since_at": None if held_us is None else format_instant(now_us - held_us),
        "until_at": None if left_us is None else format_instant(now_us + left_us),
        "held_s": None if held_us is None else held_us / 1_000_000,
        "left_s": None if left_us is None else left_us / 1_000_000,
        "fence": hold.fence,
    }
