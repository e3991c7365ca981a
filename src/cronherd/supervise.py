# ruff: noqa: PTH100, PTH208 -- pathlib would cost this process 5 ms of its birth
"""The supervisor process: `python -m cronherd.supervise --state DIR --socket PATH [--allow PATH]`.

`--allow` names the list of users that commands may run as, instead of /etc/cronherd/run-as.allow.
Standard library only, and little of it. Usually started by `cronherd.supervisor.client.launch`.
"""

import gc
import os
import sys
from contextlib import suppress

from cronherd.engine.clock import SystemClock
from cronherd.supervisor.allow import ALLOW
from cronherd.supervisor.guard import GuardianError
from cronherd.supervisor.server import Refusal, Server

EXIT_REFUSED = 75
"""EX_TEMPFAIL: the place is taken; trying again later may help."""
EXIT_USAGE = 64


def main(arguments: list[str]) -> int:
    """Live until the agent is gone or says shutdown. The exit code says how birth went."""
    options = dict(zip(arguments[::2], arguments[1::2], strict=False))
    ready = int(options.pop("--ready-fd", "-1"))
    try:
        state, socket_path = options.pop("--state"), options.pop("--socket")
    except KeyError as missing:
        sys.stderr.write(f"cronherd supervisor: {missing} is required\n")
        return EXIT_USAGE
    _keep_to_ourselves()
    os.umask(0o022)
    try:
        allow = os.path.abspath(options.pop("--allow", ALLOW))
        state, socket_path = os.path.abspath(state), os.path.abspath(socket_path)
        server = Server(state, socket_path, SystemClock(), allow)
    except (Refusal, GuardianError, OSError) as error:
        _announce(ready, f"error {error}\n")
        sys.stderr.write(f"cronherd supervisor: {error}\n")
        return EXIT_REFUSED
    os.chdir("/")
    # Births and deaths of runs make no cycles: look for some seldom, and never among the modules.
    gc.freeze()
    gc.set_threshold(50_000)
    _announce(ready, f"ready {server.incarnation}\n")
    server.run()
    return 0


def _keep_to_ourselves() -> None:
    """No descriptor that we were given reaches the guardian or a command."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2:
            with suppress(OSError):  # The one that listed the folder is closed by now.
                os.set_inheritable(int(name), False)  # noqa: FBT003 (its only form)


def _announce(ready: int, line: str) -> None:
    """Tell the launcher, who waits for the end of this pipe."""
    if ready >= 0:
        os.write(ready, line.encode("utf-8", "replace"))
        os.close(ready)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
