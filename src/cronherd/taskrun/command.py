"""A command with hooks around it: a child of the runner, in its process group."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from cronherd.taskrun.target import NOT_CALLABLE, NOT_FOUND, Refused


def run_command(argv: Sequence[str]) -> int:
    """Its exit code, or minus the signal that ended it. Raises Refused when nothing was started.

    It has our input, output and environment, and gets the signals that end the run by itself.
    """
    for stream in (sys.stdout, sys.stderr):  # what hooks wrote stands before what it writes
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    try:
        with subprocess.Popen(argv) as child:
            return child.wait()
    except OSError as error:
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_CALLABLE
        raise Refused(code, f"cannot execute {argv[0]}: {error.strerror}") from None


def end_alike(code: int) -> int:
    """The exit code of a run whose command ended so; a signal ends this process as well."""
    if code >= 0:
        return code
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError, ValueError):  # KILL cannot be handled, and need not be
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
    return 128 - code
