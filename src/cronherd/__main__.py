"""`cronherd`, also as `python -m cronherd`."""

import os
import signal
import sys
import zoneinfo
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cronherd.cli.host import Host


def main() -> None:
    """The command line of this process."""
    try:
        # Inside, so that Ctrl-C is silent while Python still reads modules.
        from cronherd.cli.main import run  # noqa: PLC0415
        from cronherd.engine.clock import SystemClock  # noqa: PLC0415

        _pin_zones()
        run(_load_host, SystemClock().now_us)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _pin_zones() -> None:
    """Zone rules come from the pinned package, so that a slot is the same on every node.

    PYTHONTZPATH still counts: whoever sets it means it.
    """
    if "PYTHONTZPATH" not in os.environ:
        zoneinfo.reset_tzpath(to=())


def _load_host() -> "Host":
    from cronherd import wiring  # noqa: PLC0415 - everything meets there: only when it is needed

    return wiring


if __name__ == "__main__":
    main()
