"""One node: an agent, its supervisor and guardian, a state directory, a door and a clock shim."""

import os
import signal
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.torture.evidence import boot_ns
from tests.torture.skew import Skew

ROOT = Path(__file__).resolve().parents[2]
UP_S = 60.0
STOP_S = 60.0


class NodeBroken(Exception):
    """A node did not do what every node must: start, or end when it is told to."""


def wait_until(true: Callable[[], bool], patience_s: float, pause_s: float = 0.02) -> bool:
    """Look again and again; False when patience ends."""
    never, end_ns = threading.Event(), boot_ns() + round(patience_s * 1e9)
    while not true():
        if boot_ns() > end_ns:
            return False
        never.wait(pause_s)
    return True


def environment(**more: str) -> dict[str, str]:
    """Of a process of the product: nothing of ours but where its code is."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("CRONHERD_")}
    source = kept.get("PYTHONPATH") or str(ROOT / "src")
    return {**kept, "PYTHONPATH": source, **more}


class Node:
    """Starts and hurts it. `verb` is `agent`, or `up` for the one node of an embedded database."""

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: str,
        shim: Path,
        *,
        verb: str,
        plant: str,
        prefix: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.state = folder / "state"
        self.log = folder / "log"
        self.config = folder / "cronherd.yaml"
        self.skew = Skew(folder / "shift")
        self.process: subprocess.Popen[bytes] | None = None
        self.ended: list[str] = []
        self._verb = verb
        self._plant = plant
        self._prefix = list(prefix)
        self._shim = shim
        self._lives = 0
        self.config.write_text(settings)

    def command(self, *words: str) -> list[str]:
        own = ["--config", str(self.config), "--state", str(self.state)]
        if self._plant and words[0] in {"agent", "up"}:
            return [sys.executable, str(ROOT / "tests/torture/plant.py"), self._plant, *own, *words]
        return [sys.executable, "-m", "cronherd", *own, *words]

    def start(self) -> None:
        """Begin a life; it may take a while until it `is_up`."""
        self._lives = self.log.read_text().count(" is up") if self.log.exists() else 0
        shim: Mapping[str, str] = {
            "LD_PRELOAD": str(self._shim),
            "TORTURE_SHIM": str(self.skew.path),
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self._prefix, *self.command(self._verb)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(**shim),
                cwd=ROOT,
                start_new_session=True,
            )

    def is_up(self) -> bool:
        """Whether this life said so."""
        return self.log.read_text("utf-8", "replace").count(" is up") > self._lives

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def wait_up(self) -> None:
        if not wait_until(lambda: self.is_up() or not self.alive(), UP_S) or not self.is_up():
            raise NodeBroken(f"{self.name} did not come up:\n{self.tail()}")

    def signal_agent(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            if number == signal.SIGKILL:
                self.process.wait()

    def signal_supervisor(self, number: int) -> None:
        """The supervisor alone: its guardian, which nobody can find, is left to do its work."""
        for pid in self.supervisors():
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def stop_all(self) -> None:
        """As a machine that is suspended: agent, supervisor, guardian, and their commands."""
        self.signal_agent(signal.SIGSTOP)
        chiefs = self.supervisors()
        # First those that beget, so that nobody is born meanwhile.
        for pid in [*chiefs, *descendants(chiefs)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def continue_all(self) -> None:
        chiefs = self.supervisors()
        for pid in [*chiefs, *descendants(chiefs)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self.signal_agent(signal.SIGCONT)

    def supervisors(self) -> list[int]:
        """Those that live in this state directory: never more than one, but for an instant."""
        own = os.fsencode(self.state)
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                line = _command_line(int(entry.name))
                if own in line and b"--socket" in line:
                    found.append(int(entry.name))
        return found

    def stop(self) -> float:
        """Ctrl-C, and wait for its runs; how long it took. Raises NodeBroken."""
        began_ns = boot_ns()
        if self.process is None:
            return 0.0
        self.signal_agent(signal.SIGINT)
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired as error:
            raise NodeBroken(f"{self.name} ignored SIGINT:\n{self.tail()}") from error
        return (boot_ns() - began_ns) / 1e9

    def destroy(self) -> None:
        """Whatever still lives of it ends now."""
        self.continue_all()  # who is stopped kills nobody when its parent dies
        for number in (signal.SIGCONT, signal.SIGKILL):
            if self.process is not None and self.process.poll() is None:
                self.process.send_signal(number)
            for pid in self.supervisors():
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
        if self.process is not None:
            self.process.wait()

    def tail(self) -> str:
        text = self.log.read_text("utf-8", "replace") if self.log.exists() else ""
        return text[-2_000:]


def descendants(pids: Iterable[int]) -> list[int]:
    """Their children, and the children of those, and so on."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                # After the command's name, which may hold anything: state, parent.
                words = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
                children[int(words[1])].append(int(entry.name))
    found: list[int] = []
    waiting = list(pids)
    while waiting:
        born = children[waiting.pop()]
        found += born
        waiting += born
    return found


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
