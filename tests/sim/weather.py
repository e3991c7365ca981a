"""Weather: what goes wrong between a node and the database, drawn verb by verb from the seed."""

import random
from dataclasses import dataclass

from tests.sim.hub import SECOND_US, Hub

SETTLED_US = 60 * SECOND_US


@dataclass(slots=True)
class Weather:
    """`storm` is the share of verbs that meet a fault; `crashes` the share of those that kill."""

    hub: Hub
    random: random.Random
    storm: float = 0.0
    crashes: float = 0.0
    out_until_us: int = 0
    rough_us: int = 0  # the last instant at which something was seen to go wrong

    @property
    def calm(self) -> bool:
        calm = self.storm == 0 and self.out_until_us <= self.hub.now_us
        if not calm:
            self.rough_us = self.hub.now_us
        return calm

    @property
    def settled(self) -> bool:
        """Calm for so long that nothing of the last storm is still on its way."""
        return self.calm and self.hub.now_us - self.rough_us > SETTLED_US

    def draw(self) -> str:
        """What happens to one verb: "" is nothing."""
        if self.out_until_us > self.hub.now_us:
            return "refused"
        if self.storm == 0 or self.random.random() >= self.storm:
            return ""
        if self.random.random() < self.crashes:
            return self.random.choice(["dies before", "dies after"])
        return self.random.choice(
            ["request lost", "answer lost", "answer lost", "slow request", "slow answer", "hang"]
        )

    def slow_us(self) -> int:
        """How long something slow takes: mostly below the deadline of a call, at times beyond."""
        return round(self.random.choice([0.05, 0.3, 1, 3, 4.9, 6]) * SECOND_US)

    def hang_us(self) -> int:
        """How long a process stands still in the middle of something."""
        return round(self.random.choice([0.5, 5, 16, 40, 120]) * SECOND_US)
