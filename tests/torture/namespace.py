"""A network of its own for one node: a namespace, and one cable that can be pulled."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """`gateway` is this side's address as its node sees it."""

    name: str
    cable: str
    gateway: str

    @property
    def prefix(self) -> list[str]:
        """What a command begins with that is to live inside."""
        return ["ip", "netns", "exec", self.name]

    def pull(self) -> None:
        """Nothing comes or goes from now on, and nobody is told so."""
        _ip("link", "set", self.cable, "down")

    def plug(self) -> None:
        """As before; what was under way is sent again, or lost."""
        _ip("link", "set", self.cable, "up")


def missing() -> str:
    """Why there can be none here; empty when there can."""
    if shutil.which("ip") is None:
        return "no program 'ip' (iproute2)"
    return "" if os.geteuid() == 0 else "only root makes network namespaces"


@contextmanager
def namespace(number: int) -> Iterator[Namespace]:
    """One with a cable to this host. `number` (0 to 63) keeps those of one moment apart."""
    pid = os.getpid() % 100_000
    name, inside = f"ch{pid}n{number}", f"chi{pid}n{number}"
    net = 4 * number + 4
    made = Namespace(name=name, cable=f"cho{pid}n{number}", gateway=f"10.213.7.{net + 1}")
    _ip("netns", "add", name)
    try:
        _ip("link", "add", made.cable, "type", "veth", "peer", "name", inside, "netns", name)
        _ip("addr", "add", f"{made.gateway}/30", "dev", made.cable)
        _ip("link", "set", made.cable, "up")
        _ip("-n", name, "addr", "add", f"10.213.7.{net + 2}/30", "dev", inside)
        _ip("-n", name, "link", "set", inside, "up")
        _ip("-n", name, "link", "set", "lo", "up")
        yield made
    finally:
        _ip("netns", "del", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
