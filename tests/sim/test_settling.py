"""A life that could not settle the past of an earlier boot leaves it to the next one."""

from unittest import mock

from cronherd.domain.errors import Unavailable
from cronherd.engine.reaper import Reaper
from tests.sim.hub import SECOND_US
from tests.sim.world import START_US, Plot, World

REBOOT_US = START_US + 65 * SECOND_US


class PowerCut(World):
    """A host that is restarted, and whose first settling afterwards fails."""

    def _foresee(self, end_us: int) -> None:
        self.hub.at(REBOOT_US, self._cut)

    def _cut(self) -> None:
        self.hosts[0].reboot()
        self.hub.after(60 * SECOND_US, self.hosts[0].switch_on)


def test_the_boot_that_failed_to_settle_is_not_the_one_that_settled():
    asked: list[bool] = []

    def failing(self: Reaper, node_id: str, *, same_boot: bool) -> int:
        if node_id == host_id:
            asked.append(same_boot)
            if len(asked) == 2:
                raise Unavailable("the database has just gone")
        return settle(self, node_id, same_boot=same_boot)

    settle = Reaper.settle
    world = PowerCut(Plot(seed=1, minutes=20, troubles=False))
    host_id = world.hosts[0].node.id
    with mock.patch.object(Reaper, "settle", failing):
        world.run()
    assert asked[:3] == [True, False, False]
