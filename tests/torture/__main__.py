"""`python3 dev.py torture`: hurt a fleet for some minutes, then say whether it kept its promises.

Exits with 0 when it did, 1 when it did not, 2 when it could not be tried. With --plant a known bug
is put into the nodes; then 0 means that it was caught.
"""

import argparse
import random
import signal
import sys

from tests.servers.engines import ServerMissing
from tests.torture.database import KINDS
from tests.torture.plants import PLANTS, try_plant, try_plants
from tests.torture.storm import Wish, torture


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="dev.py torture", description=__doc__)
    parser.add_argument("--database", choices=KINDS, default="postgresql")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--plant", choices=[*PLANTS, "all"], metavar="BUG", default="")
    asked = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(1_000_000) if asked.seed is None else asked.seed
    _say(f"seed {seed}")
    try:
        if asked.plant == "all":
            return try_plants(asked.database, seed, _say)
        if asked.plant:
            caught, result = try_plant(asked.plant, asked.database, seed, _say)
            _say(result.text())
            _say(f"{asked.plant}: {'caught' if caught else 'NOT CAUGHT'}")
            return 0 if caught else 1
        wish = Wish(kind=asked.database, seed=seed, seconds=asked.minutes * 60, nodes=asked.nodes)
        result = torture(wish, _say)
    except ServerMissing as missing:
        _say(str(missing))
        return 2
    _say(result.text())
    return 1 if result.violations else 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _interrupt(number: int, frame: object) -> None:
    """A TERM ends it as Ctrl-C does: everything that was started ends first."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
