"""crowd: how long a change takes by which 100,000 waiting runs of one job are stopped at once."""

import time
from collections.abc import Callable

from bench.report import Report, Row, Target, tidy
from bench.stage import Bench
from bench.waiting import Side, opened
from cronherd.store.facts import RunFilter

GOAL_S = 30.0  # nobody asks for it often; it ends, and with one answer


def run(bench: Bench) -> Report:
    report = Report(name="crowd")
    bench.say(f"{bench.jobs} runs wait for one job")
    with opened(bench, "crowd") as database:
        side = Side(database, 1)
        (job_id, *_) = side.others
        side.add([job_id], bench.jobs, "waiting", f"j{job_id}")
        side.analyze()
        store, rows = side.store, list[Row]()
        forever_us = store.now_us() + 10**15
        job = store.find_job("other 0")
        changes: dict[str, Callable[[], object]] = {
            "pause": lambda: store.pause_job(job_id, forever_us, "bench"),
            "resume": lambda: store.resume_job(job_id, "bench"),
            "disable": lambda: store.set_enabled(job_id, "bench", enabled=False),
            "enable": lambda: store.set_enabled(job_id, "bench", enabled=True),
            "delete": lambda: store.delete_job(job_id, "bench"),
        }
        for what, act in changes.items():
            began = time.perf_counter()
            act()
            rows.append({"change": what, "seconds": tidy(time.perf_counter() - began, 3)})
            bench.say(f"{what}: {rows[-1]['seconds']} s")
        left = store.runs(RunFilter(job_id=job.id, limit=10))
        assert all(run.outcome is not None for run in left), "a run of a deleted job lives on"
    report.tables[f"seconds of a change, {bench.jobs:,} runs wait"] = rows
    report.targets += [
        Target(what=f"{row['change']}", value=row["seconds"], goal=GOAL_S, unit="s",
               at_least=False)
        for row in rows
    ]  # fmt: skip
    return report
