"""Silence: what one observer has seen of the others' beats, by its own boot clock. Pure.

The database's clock alone never decides who is dead: it may step. Nor does one observer's: it may
have been cut off itself. So a node is silent for as long as both agree on.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cronherd.domain.node import Node
from cronherd.domain.policy import LEASE_US

# An observer that looked away for longer than a lease was stopped, or cut off from the database,
# and so perhaps were all: everybody gets a full period to be heard again.
PATIENCE_US = LEASE_US


@dataclass(frozen=True, slots=True, kw_only=True)
class Silent:
    """A node whose lease has run out, as it was seen, and for how long nobody heard of it."""

    node: Node
    for_us: int


class Watch:
    """The memory of one observer."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[int, int]] = {}
        self._first: dict[tuple[str, str], int] = {}
        self._looked_us: int | None = None

    def forget(self) -> None:
        """Begin again: nothing that was seen counts."""
        self._seen.clear()
        self._first.clear()
        self._looked_us = None

    def observe(
        self, nodes: Iterable[Node], now_us: int, asked_us: int, answered_us: int
    ) -> list[Silent]:
        """Take note of a look; those that are silent by both clocks.

        `now_us` is the database's, the others ours around the look: a beat that is new may be as
        young as the answer, and a silence lasts at least until it was asked.
        """
        if self._looked_us is not None and asked_us - self._looked_us > PATIENCE_US:
            self.forget()
        self._looked_us = answered_us
        silent: list[Silent] = []
        seen: dict[str, tuple[int, int]] = {}
        for node in nodes:
            # A beat only ever grows, whoever lives under the node's id.
            beat, since_us = self._seen.get(node.id, (-1, answered_us))
            if beat != node.beat:
                since_us = answered_us
            seen[node.id] = (node.beat, since_us)
            if not node.alive(now_us):
                renewed_us = node.lease_us - LEASE_US
                for_us = max(0, min(asked_us - since_us, now_us - renewed_us))
                silent.append(Silent(node=node, for_us=for_us))
        self._seen = seen
        return silent

    def known_for(self, run_id: str, token: str, boot_us: int) -> int:
        """How long this observer has seen this very claim on a silent node."""
        return boot_us - self._first.setdefault((run_id, token), boot_us)

    def keep(self, claims: Iterable[tuple[str, str]]) -> None:
        """Forget claims that are gone: their nodes are heard again, or they have ended."""
        wanted = set(claims)
        self._first = {key: at for key, at in self._first.items() if key in wanted}
