"""`@reboot`: each start of a host is a slot, and no instant is."""

from dataclasses import dataclass

from cronherd.domain.timing.rule import Plain


@dataclass(frozen=True, slots=True)
class Reboot(Plain):
    """Fires once for each start of a host; the clock has no say in it."""

    @property
    def text(self) -> str:
        return "@reboot"

    @property
    def at_boot(self) -> bool:
        return True

    def next_after(self, after_us: int) -> int | None:  # noqa: ARG002 - no instant follows another
        return None
