"""cancel: how long after an acknowledged cancel the process is dead, asked through another node.

Told by the process itself: its descriptor becomes readable when it dies.
"""

import os
import random
import select
import time
from contextlib import ExitStack
from pathlib import Path

from bench.fleet import Fleet, wait_for
from bench.report import BenchError, Report, Target, spread
from bench.stage import Bench

GOAL_HINT_S, GOAL_LOOK_S = 1.0, 3.0
WAYS = {
    "postgresql": "the other node is woken by NOTIFY",
    "mariadb": "the other node hears nothing and looks about once a second",
    "sqlite": "there is one node; who asks wakes the engine in the same process",
}
START_S, LONGEST_S = 30.0, 60.0
NOISE = 104_729  # seed: cancels that follow no look of ours
COMMAND = 'echo $$ > {0}/part && mv {0}/part "{0}/$CRONHERD_RUN_ID" && exec sleep 300'


def run(bench: Bench) -> Report:
    report = Report(name="cancel")
    evidence = bench.folder / "evidence"
    evidence.mkdir()
    job: dict[str, object] = {
        "name": "long",
        "command": COMMAND.format(evidence),
        "overlap": "allow",
    }
    with ExitStack() as stack:
        desk = mill = stack.enter_context(bench.fleet())
        if bench.server is not None:
            mill = stack.enter_context(bench.fleet(url=desk.url, name="mill"))
        job["run_on"] = {"node": mill.name}
        desk.client.create_job(job, "bench")
        bench.say(f"{bench.jobs} runs of node {mill.name}, cancelled through node {desk.name}")
        rng = random.Random(NOISE)
        taken = [_cancel(desk, mill, evidence, rng.random()) for _ in range(bench.jobs)]
    found = spread(taken)
    row = {"through": desk.name, "on": mill.name, "cancels": len(taken), **found}
    report.tables["seconds from the acknowledged cancel to the death of the process"] = [row]
    goal = GOAL_HINT_S if bench.database == "postgresql" else GOAL_LOOK_S
    report.targets += [
        Target(what=f"a cancel: {mark}", value=found[mark], goal=goal, unit="s", at_least=False)
        for mark in ("p50", "max")
    ]
    report.notes += [
        "the command dies of TERM at once; each cancel comes up to 1 s after its run began",
        WAYS[bench.database],
    ]
    return report


def _cancel(desk: Fleet, mill: Fleet, evidence: Path, pause_s: float) -> float:
    """Seconds; 0 when it was dead before the answer came. Raises BenchError when it lives on."""
    run_id = str(desk.client.run_job("long", "bench")["run"]["id"])
    wait_for((evidence / run_id).exists, START_S, "a run did not start")
    process = os.pidfd_open(int((evidence / run_id).read_text()))
    try:
        poll = select.poll()
        poll.register(process, select.POLLIN)
        time.sleep(pause_s)
        desk.client.cancel_run(run_id, "bench")
        began, dead = time.monotonic(), bool(poll.poll(0))
        if not dead and not poll.poll(LONGEST_S * 1_000):
            raise BenchError(f"a cancelled run lived on for {LONGEST_S:g} s")
        took = 0.0 if dead else time.monotonic() - began
    finally:
        os.close(process)
    wait_for(lambda: desk.client.show_run(run_id)["outcome"], START_S, "an end was not recorded")
    run = desk.client.show_run(run_id)
    if (run["outcome"], run["node"]) != ("cancelled", mill.name):
        raise BenchError(f"a run ended as {run['outcome']} on {run['node']}")
    return took
