"""The line of runs that make up for the past: caught up and backfilled ones, at a limited rate.

Where a rate is set they do not become ready at once but wait on one key of the whole fleet, in the
order they came. Whoever promotes that key lets as many go on as the rate allows; where the line is
stands in one gate row, so that all nodes together keep to it.
"""

from dataclasses import dataclass, replace

from cronherd.domain.admission import Admission
from cronherd.domain.planner import Fire
from cronherd.domain.rate import Rate, allowance
from cronherd.domain.run import Cause, RunState
from cronherd.store.database import Connection, fetch, one

PACED = "~pace"
LINE = "SELECT seq FROM gate WHERE gkey = ? /*lock*/"
ADD_LINE = "INSERT INTO gate (gkey, capacity, seq) VALUES (?, 0, 0)"
_OF_THE_PAST = frozenset({Cause.CATCHUP, Cause.BACKFILL})
MOVE = "UPDATE gate SET seq = ? WHERE gkey = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """`fleet`: all nodes together; `node`: times the nodes that live. The slower one counts."""

    fleet: Rate | None = None
    node: Rate | None = None

    @property
    def limits(self) -> bool:
        return self.fleet is not None or self.node is not None

    def line_up(self, fire: Fire) -> Fire:
        """A slot of the past at the end of the line: it asks for a permit when its turn has come.

        One that waits for a node that fits does so first.
        """
        key = fire.admission.wait_key
        if not self.limits or fire.cause not in _OF_THE_PAST or (key or "").startswith("@"):
            return fire
        return replace(fire, seq=0, admission=Admission(state=RunState.WAITING, wait_key=PACED))

    def take(self, connection: Connection, now_us: int, alive: int, wanted: int) -> int:
        """How many of so many may go on now; the line moves by as many."""
        rows = fetch(connection, LINE, (PACED,))
        if not rows:  # the first of all; a second one at this instant is refused, and comes again
            one(connection, ADD_LINE, (PACED,))
        apart_us = self._apart_us(alive)
        most, from_us = allowance(rows[0][0] if rows else 0, now_us, apart_us)
        taken = min(most, wanted)
        one(connection, MOVE, (from_us + taken * apart_us, PACED))
        return taken

    def _apart_us(self, alive: int) -> int:
        fleet_us = self.fleet.apart_us if self.fleet else 0
        node_us = self.node.apart_us // max(1, alive) if self.node else 0
        return max(fleet_us, node_us, 1)


UNPACED = Pace()
