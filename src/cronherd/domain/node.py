"""Nodes: member hosts with a stable id, a name, labels and a lease."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One host. `incarnation` is its supervisor's life, `beat` counts renewals.

    `home` tells its state directory from a copy of it. `unfenced`: its supervisor may have been
    told of a hold and not yet of the hold's end, so it would not end its runs by itself.
    `settled_boot` is the boot of the last life that had settled what the one before it left.
    """

    id: str
    name: str
    incarnation: str
    boot_id: str
    capacity: int
    labels: Mapping[str, str] = field(default_factory=dict)
    version: str = ""
    tzdata: str = ""
    beat: int = 0
    lease_us: int = 0
    started_us: int = 0
    live: int = 0
    home: str = ""
    drained: bool = False
    unfenced: bool = False
    settled_boot: str = ""

    @property
    def place_labels(self) -> dict[str, str]:
        """The labels jobs may ask for: the declared ones and the node's own name."""
        return {**self.labels, "node": self.name}

    def alive(self, now_us: int) -> bool:
        """Whether its lease still runs by the database's clock."""
        return self.lease_us > now_us
