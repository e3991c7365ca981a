"""What a supervisor is told to start for a job of a job server: a process that hands it in."""

import json
import sys
from pathlib import Path

from cronherd.domain.jobserver import GearmanUse
from cronherd.domain.receipt import unique_of
from cronherd.store.base import Claim

# As the runner of tasks: this very version, wherever the interpreter has its packages, and nothing
# else of the folder that it lies in.
_BOOT = """\
import os, sys
source = sys.argv.pop(1)
if not os.access(source + "/cronherd/tools/handin.py", os.R_OK):
    sys.exit("cronherd: the user of this run may not read cronherd itself, in " + source)
sys.path.insert(0, source)
import cronherd
del sys.path[0], os, source
from cronherd.tools.handin import main
sys.exit(main())
"""
_SOURCE = str(Path(__file__).resolve().parents[2])


def gearman_argv() -> tuple[str, ...]:
    """The process that hands in, waits, and ends as the worker's command did."""
    return (sys.executable, "-c", _BOOT, _SOURCE)


def gearman_stdin(claim: Claim, use: GearmanUse) -> bytes:
    """What it reads: `until_us`, where there is one, is the last instant to be accepted."""
    deadline_us, slot_us = claim.job.start_deadline_us, claim.slot_us
    order = {
        "function": use.function,
        "payload": use.payload,
        "servers": [str(server) for server in use.servers],
        "priority": use.priority,
        "unique": unique_of(claim.run_id, claim.attempt),
        "until_us": None if deadline_us is None or slot_us is None else slot_us + deadline_us,
    }
    return json.dumps(order).encode()
