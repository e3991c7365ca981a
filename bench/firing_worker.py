"""A process that fires what is due; million.py asks it. `python -m bench.firing_worker URL`"""

import cProfile
import os
import pstats
import resource
import sys
import time
from collections.abc import Mapping

from bench.proc import memory_mb
from bench.shifted import Shifted, as_json, fire_all, tune
from bench.workers import Json, serve
from cronherd.engine.scheduler import HORIZON_US

LOOKS = 5


def main(url: str) -> None:
    shifted = Shifted(url)
    shifted.register()
    tune()
    fired = 0

    def answer(question: Json) -> Mapping[str, object]:
        nonlocal fired
        shifted.begin_at(question["now_us"])
        before = resource.getrusage(resource.RUSAGE_SELF)
        profile = cProfile.Profile() if question.get("profile") else None
        if profile is None:
            told = fire_all(shifted)
        else:
            told = profile.runcall(fire_all, shifted)
            _show(profile, told.rows)
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        fired += told.rows
        looks = sorted(_look(shifted) for _ in range(LOOKS))
        rss_mb = memory_mb(os.getpid())["resident"]
        return {
            **as_json(told),
            "cpu_s": cpu_s,
            "rss_mb": rss_mb,
            "so_far": fired,
            "look_ms": looks[LOOKS // 2],
        }

    try:
        serve({"rss_mb": memory_mb(os.getpid())["resident"]}, answer)
    finally:
        shifted.close()


def _look(shifted: Shifted) -> float:
    """Milliseconds of one."""
    began = time.perf_counter()
    shifted.store.look(shifted.node.id, HORIZON_US)
    return 1e3 * (time.perf_counter() - began)


def _show(profile: cProfile.Profile, rows: int) -> None:
    """For people: on standard error, since answers go the other way."""
    print(f"profile of {rows} firings", file=sys.stderr)
    stats = pstats.Stats(profile, stream=sys.stderr)
    stats.sort_stats("tottime").print_stats(32)
    stats.sort_stats("cumtime").print_stats(45)


if __name__ == "__main__":
    main(sys.argv[1])
