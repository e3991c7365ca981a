"""What a supervisor is told to start for a job with a lock: a holder that starts the command."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from cronherd.domain.errors import Invalid
from cronherd.domain.job import Job
from cronherd.domain.lock import ORDER, WAY, LockUse
from cronherd.engine.accounts import Account, Identity

# As for tasks: this very version, and nothing else of the folder that it lies in. Isolated, so
# that no variable of the job changes the holder, which runs before the command.
_BOOT = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
source = sys.argv.pop(1)
if not os.access(source + "/cronherd/lockrun.py", os.R_OK):
    why = "the user of this run may not read cronherd itself, in " + source
    os.write(int(sys.argv[1]), ("refused lock_unavailable " + why + "\\n").encode())
    os._exit(125)
sys.path.insert(0, source)
from cronherd.lockrun import main
main(int(sys.argv[1]), sys.argv[2:])
"""
_SOURCE = str(Path(__file__).resolve().parents[2])


def lock_argv(job: Job, argv: Sequence[str]) -> tuple[str, ...]:
    """The holder, and behind it the command."""
    descriptor = "4" if job.tells else "3"
    return (sys.executable, "-I", "-c", _BOOT, _SOURCE, descriptor, *argv)


def lock_environment(use: LockUse | None) -> dict[str, str]:
    """What the holder takes out of its environment before the command sees it."""
    if use is None:
        return {}
    said = {
        "where": use.where,
        "wait_us": use.wait_us,
        "expiry_us": use.expiry_us,
        "shared": use.shared,
        "away": use.away.value,
        "log": use.log.value,
    }
    return {ORDER: json.dumps(said)}


def lock_files(use: LockUse | None, identity: Identity, account: Account) -> dict[str, str]:
    """The way to the fleet, for a lock that is kept there. Raises Invalid for another user's run.

    It may hold the password of the database, which belongs to nobody but the agent's own user.
    """
    if use is None or not use.of_fleet:
        return {}
    if identity.user:
        raise Invalid(
            f"a lock of the fleet is for the agent's own user, and the run is of {identity.user}",
            code="lock_not_for_user",
            hint="give the job a lock on a file or on a server, as redis://host/name",
        )
    return {WAY: account.way}
