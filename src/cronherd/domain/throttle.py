"""How long to wait after failed logins: longer each time, and never for ever. Pure.

Failures are counted for the name that was tried and for the address it was tried from. An outsider
can make a name wait, so its waits stay short; whoever is logged in stays so all the while.
"""

from dataclasses import dataclass

from cronherd.domain.instant import DAY_US

SECOND_US = 1_000_000
FORGOTTEN_US = DAY_US
"""A day without a failure, and it begins anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`free` failures cost nothing, then each doubles the wait, up to `most_us`."""

    free: int
    most_us: int

    def wait_us(self, failures: int) -> int:
        """How long after so many failures in a row nothing more may be tried."""
        over = failures - self.free
        return 0 if over < 0 else min(SECOND_US << min(over, 40), self.most_us)


OF_ADDRESS = Pace(free=5, most_us=900 * SECOND_US)
OF_NAME = Pace(free=10, most_us=30 * SECOND_US)


def counted(failures: int, last_us: int, now_us: int) -> int:
    """How many failures still count."""
    return 0 if now_us - last_us > FORGOTTEN_US else failures
