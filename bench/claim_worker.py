"""A process that claims runs and records their ends; nodes.py asks it."""

import resource
import sys
import time
from collections.abc import Mapping, Sequence

from bench.report import percentile
from bench.shifted import CLOCK, Shifted, new_id, tune
from bench.workers import Json, serve
from cronherd.domain.judge import Verdict
from cronherd.domain.run import Exit, Outcome
from cronherd.store.base import Claim, Ending


def main(url: str) -> None:
    shifted = Shifted(url)
    shifted.register()
    tune()

    def answer(question: Json) -> Mapping[str, object]:
        before = resource.getrusage(resource.RUSAGE_SELF)
        told = _work(shifted, question["limit"])
        after = resource.getrusage(resource.RUSAGE_SELF)
        spent_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return {**told, "cpu_s": spent_s}

    try:
        serve({}, answer)
    finally:
        shifted.close()


def _work(shifted: Shifted, limit: int) -> dict[str, object]:
    ids: list[str] = []
    claiming: list[float] = []
    recording: list[float] = []
    store, node = shifted.store, shifted.node
    began = ended = time.time()
    while True:
        first = time.perf_counter()
        claims = store.claim(node, new_id(), limit)
        second = time.perf_counter()
        if not claims:
            if store.look(node.id, 0).ready:
                continue  # others hold what is left
            break
        store.record((), (), _ends(claims))
        third = time.perf_counter()
        claiming.append(second - first)
        recording.append(third - second)
        ids += [claim.run_id for claim in claims]
        ended = time.time()
    found: dict[str, object] = {"taken": len(ids), "ids": ids, "began": began, "ended": ended}
    for name, values in (("claim", claiming), ("record", recording)):
        for word, share in (("p50", 0.5), ("p99", 0.99)):
            found[f"{name}_{word}_ms"] = 1e3 * percentile(values, share) if values else 0.0
    return found


def _ends(claims: Sequence[Claim]) -> list[Ending]:
    now_us = CLOCK.now_us()
    seen = Exit(started_us=now_us, ended_us=now_us + 1, exit_code=0)
    verdict = Verdict(outcome=Outcome.SUCCEEDED)
    return [claim.ended(seen, verdict) for claim in claims]


if __name__ == "__main__":
    main(sys.argv[1])
