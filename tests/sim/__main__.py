"""`python -m tests.sim SEED --mode safety -v` replays; `--minutes 1` runs as many as it can."""

import argparse
import itertools
import sys
import time
import traceback

from tests.sim.story import tell
from tests.sim.world import Plot, World

HOUR_MINUTES = 60


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    options.add_argument("seed", type=int, nargs="?", help="replay this one")
    options.add_argument("--mode", choices=["safety", "liveness"], default="safety")
    options.add_argument("--minutes", type=float, default=0.0, help="run seeds for so long")
    options.add_argument("--first", type=int, default=1, help="the first of these seeds")
    options.add_argument("-v", "--verbose", action="store_true", help="with a time line")
    options.add_argument("--weeks", type=int, default=0, help="weeks of jobs that run rarely")
    chosen = options.parse_args()
    if chosen.seed is not None:
        return replay(
            Plot(seed=chosen.seed, mode=chosen.mode, weeks=chosen.weeks), verbose=chosen.verbose
        )
    return volume(chosen.minutes or 1.0, chosen.first, chosen.weeks)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def replay(plot: Plot, *, verbose: bool) -> int:
    world = World(plot)
    try:
        world.run()
    except AssertionError as fault:
        say(tell(world, fault, verbose=verbose))
        if verbose and fault.__cause__ is not None:
            traceback.print_exception(fault.__cause__)
        return 1
    say(f"seed {plot.seed} ({plot.mode}): {len(world.evidence.deeds)} starts, nothing found")
    return 0


def volume(minutes: float, first: int, weeks: int) -> int:
    """Seed after seed, both modes in turn; minutes are those of the processor."""
    began, seeds, simulated, faults = time.process_time(), 0, 0.0, 0
    for seed in itertools.count(first):
        if time.process_time() - began > minutes * 60:
            break
        mode = ("safety", "liveness")[seed % 2]
        world = World(Plot(seed=seed, mode=mode, weeks=weeks))
        try:
            world.run()
        except AssertionError as fault:
            faults += 1
            say(tell(world, fault, verbose=False))
        seeds += 1
        simulated += world.minutes / HOUR_MINUTES
    spent = (time.process_time() - began) / 60
    say(f"{seeds} seeds, {simulated:.0f} simulated hours in {spent:.1f} minutes of one core")
    say(f"{simulated / spent:.0f} simulated hours per minute, {faults} violations")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
