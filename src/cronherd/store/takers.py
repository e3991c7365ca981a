"""What one node may take of the ready runs: by place, by preference, by how many it has already."""

from collections.abc import Mapping, Sequence

from cronherd.domain.ident import to_stored
from cronherd.domain.node import Node
from cronherd.domain.place import parse_place, place_matches
from cronherd.domain.policy import PREFER_US
from cronherd.store.database import Connection, Dialect
from cronherd.store.nodes import Places

# Later than any run became ready.
WHENEVER_US = 1 << 62


class Takers:
    """One claim of a node. `held`: of jobs with a limit per node, how many runs it has."""

    def __init__(self, node: Node, limit: int, token: str, held: Mapping[str, int]) -> None:
        self._labels = node.place_labels
        self._node = to_stored(node.id)
        self._left = limit
        self._token = token
        self._held = dict(held)
        self._taken: list[bytes] = []

    def take(
        self, dialect: Dialect, connection: Connection, places: Sequence[str]
    ) -> Sequence[bytes]:
        """Claim from those of these places that the node fits; the ids of what was taken.

        Nearly always that is one statement. What it takes only few of comes first, or the rest
        would leave no room for it; what others would run better comes last.
        """
        fitting = [place for place in places if place_matches(place, self._labels)]
        free = [place for place in fitting if parse_place(place).at_once(self._labels)]
        special = [place for place in fitting if place not in free]
        for place in (place for place in special if parse_place(place).cap is not None):
            self._claim_some(dialect, connection, place)
        self._claim(dialect, connection, free, self._left, WHENEVER_US)
        for place in (place for place in special if parse_place(place).cap is None):
            self._claim_some(dialect, connection, place)
        return self._taken

    def _claim_some(self, dialect: Dialect, connection: Connection, place: str) -> None:
        """Where a node takes only so many, or only what nobody better has taken in time."""
        parsed = parse_place(place)
        most = self._left
        if parsed.cap is not None:
            most = min(most, parsed.cap - self._held.get(parsed.capped, 0))
        until_us = WHENEVER_US
        if not parsed.preferred(self._labels):
            now_us = dialect.now_us(connection)
            if Places(connection, now_us).preferred(place):
                until_us = now_us - PREFER_US
        taken = self._claim(dialect, connection, [place], most, until_us)
        if parsed.cap is not None:  # other places of the job count as well
            self._held[parsed.capped] = self._held.get(parsed.capped, 0) + taken

    def _claim(
        self,
        dialect: Dialect,
        connection: Connection,
        places: Sequence[str],
        most: int,
        until_us: int,
    ) -> int:
        """How many it took."""
        most = min(most, self._left)
        if not places or most <= 0:
            return 0
        found = dialect.claim(connection, places, most, self._token, self._node, until_us)
        self._taken += [row[0] for row in found]
        self._left -= len(found)
        return len(found)
