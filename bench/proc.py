"""What /proc says of a process: whose child it is, its CPU time, its memory."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
NAMES = {"supervise": "supervisor", "guardian.py": "guardian"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """The processes of one node by name; the API is served by the agent's."""

    pids: dict[str, int]

    def __len__(self) -> int:
        return len(self.pids)

    def cpu_us(self) -> dict[str, float]:
        """Microseconds of CPU so far, own only: children are not counted."""
        return {name: cpu_us(pid) for name, pid in self.pids.items()}

    def memory_mb(self) -> dict[str, dict[str, float]]:
        """Resident, and the share that is nobody else's, in megabytes of 1,000,000."""
        return {name: memory_mb(pid) for name, pid in self.pids.items()}


def find_family(agent: int) -> Family:
    """The agent's process, its supervisor and guardian; commands that run are left out."""
    pids = {"agent+api": agent}
    for parent in (agent, None):
        pid = pids.get("supervisor") if parent is None else parent
        for child in children(pid) if pid else ():
            words = command_line(child)
            for part, name in NAMES.items():
                if part in words:
                    pids.setdefault(name, child)
    return Family(pids=pids)


def children(pid: int) -> list[int]:
    """Of all threads of the process."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(word) for word in task.read_text().split()]
        except OSError:  # the thread ended while we looked
            continue
    return found


def command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except OSError:
        return ""


def cpu_us(pid: int) -> float:
    """User and system time of all its threads, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S * 1_000_000


def ended_us(pid: int) -> float:
    """The same of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS_PER_S * 1_000_000


def peak_mb(pid: int) -> float:
    """The largest resident memory so far, in megabytes of 1,000,000."""
    words = Path(f"/proc/{pid}/status").read_text().split()
    return int(words[words.index("VmHWM:") + 1]) * 1024 / 1_000_000


def memory_mb(pid: int) -> dict[str, float]:
    sizes = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, size, *_ = line.split()
        sizes[name] = int(size) * 1024 / 1_000_000
    return {"resident": round(sizes["Rss:"], 1), "proportional": round(sizes["Pss:"], 1)}
