"""`python3 dev.py bench [NAMES]` starts here; see chosen.py."""

import sys
from pathlib import Path

# This folder is no place to import from: `bench.cli` is meant as such, beside `cronherd.cli`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.chosen import main  # noqa: E402 (only now it can be found)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
