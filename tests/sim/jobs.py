"""Jobs of a simulation: their words by the seed, and how long their commands take."""

import random
from collections.abc import Mapping
from typing import Any

from tests.sim.hub import SECOND_US

DENSE = ["every 10s", "every 15s", "every 30s", "every 1m", "* * * * *", ["every 45s", "every 1m"]]
SPARSE = ["every 5m", "*/5 * * * *", "*/10 * * * *", "0 * * * *", "30 2 * * *", "every 1h"]
RARE = ["0 * * * *", "30 2 * * *", "every 1h", "0 */6 * * *", "15 4 * * 1", "every 12h"]
KINDS: dict[str, list[Any]] = {"dense": DENSE, "sparse": SPARSE, "rare": RARE}
LENGTHS = {
    "quick": (0.002, 2.0),
    "middle": (3.0, 40.0),
    "long": (40.0, 400.0),
}


def words(chance: random.Random, *, kind: str) -> dict[str, Any]:
    """A definition in the words of a file."""
    pick = chance.choice
    spec: dict[str, Any] = {
        "schedule": pick(KINDS[kind]),
        "overlap": pick(["skip", "skip", "queue", "replace", "allow"]),
        "max_running": pick([1, 1, 1, 2]),
        "queue_max": pick([0, 2, 100]),
        "catchup": pick(["none", "latest", "latest", "all"]),
        "catchup_window": pick(["1m", "30m", "3h"]),
        "catchup_max": pick([1, 5, 100]),
        "on_time": pick(["0s", "10s", "60s"]),
        "retries": pick([0, 0, 2]),
        "delivery": pick(["at_most_once", "at_most_once", "at_least_once"]),
        "takeover_after": pick(["30s", "45s", "2m", "15m", "never"]),
        "grace": pick(["1s", "10s"]),
    }
    if chance.random() < 0.2:
        spec["timeout"] = pick(["5s", "60s"])
    if chance.random() < 0.15:
        spec["start_deadline"] = pick(["30s", "10m"])
    if chance.random() < 0.1:
        spec["run_on"] = {"node": pick(["n0", "n1", "nowhere"])}
    if chance.random() < 0.15:
        delays = ["2h", "20h"] if kind == "rare" else ["7s", "40s"]
        spec["schedule"] = f"after {pick(delays)}"
        spec["overlap"] = "skip"
    return spec


def changes(chance: random.Random, spec: Mapping[str, Any], *, kind: str) -> dict[str, Any]:
    """What an edit changes: never the limit itself, whose history the checks would need."""
    fresh = words(chance, kind=kind)
    kept = ["catchup", "catchup_window", "on_time", "queue_max", "retries"]
    found = {key: fresh[key] for key in kept if chance.random() < 0.5}
    if chance.random() < 0.5 and not _chained(spec) and not _chained(fresh):
        found["schedule"] = fresh["schedule"]
    return found


def length(chance: random.Random) -> str:
    return chance.choice(["quick", "quick", "middle", "middle", "long"])


def life(chance: random.Random, kind: str) -> tuple[int, int, bool]:
    """How long a command takes, its exit code, and whether it ignores SIGTERM."""
    least, most = LENGTHS[kind]
    took_us = round(chance.uniform(least, most) * SECOND_US)
    return took_us, int(chance.random() < 0.15), chance.random() < 0.3


def _chained(spec: Mapping[str, Any]) -> bool:
    return str(spec.get("schedule", "")).startswith("after")
