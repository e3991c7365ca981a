"""`cronherd`, also as `python -m cronherd`."""

import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cronherd.cli.host import Host


def main() -> None:
    """The command line of this process."""
    try:
        # Inside, so that Ctrl-C is silent while Python still reads modules.
        from cronherd.cli.main import run  # noqa: PLC0415
        from cronherd.engine.clock import SystemClock  # noqa: PLC0415

        run(_load_host, SystemClock().now_us)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def _load_host() -> "Host":
    from cronherd import wiring  # noqa: PLC0415 - everything meets there: only when it is needed

    return wiring


if __name__ == "__main__":
    main()
