"""The jobs of a torture: one of every policy, short and long, busy enough to meet every fault."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TAKEOVER = "30s"  # the shortest the product takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A job: its schedule, how long its command works, how it exits, and what else it says."""

    name: str
    schedule: str
    ms: int
    code: int = 0
    flags: str = "-"
    settings: dict[str, Any] = field(default_factory=dict)

    def definition(self, witness: Path, folder: Path) -> dict[str, Any]:
        command = [str(witness), str(folder), str(self.ms), str(self.code), self.flags]
        return {
            "name": self.name,
            "command": command,
            "schedule": self.schedule,
            "grace": "1s",
            **self.settings,
        }

    @property
    def may_be_edited(self) -> bool:
        return self.schedule.startswith("every ")


def works(*, longest_ms: int) -> list[Work]:
    """All of them; no command works longer than `longest_ms`."""
    least = {"delivery": "at_least_once", "takeover_after": TAKEOVER}
    never = {"takeover_after": "never"}
    short = {"takeover_after": TAKEOVER}
    late = {"on_time": "3s"}
    found = [Work(name=f"plain-{n}", schedule="every 2s", ms=300, settings=short) for n in range(5)]
    found += [Work(name=f"brief-{n}", schedule="every 1s", ms=40) for n in range(3)]
    found += [
        Work(name="slow-0", schedule="every 3s", ms=5_000, settings=short),
        Work(name="slow-1", schedule="every 5s", ms=8_000, settings=never),
        Work(name="queue-0", schedule="every 2s", ms=1_500, settings=_queue(5) | short),
        Work(name="queue-1", schedule="every 3s", ms=2_500, settings=_queue(8) | short),
        Work(name="queue-full", schedule="every 2s", ms=3_000, settings=_queue(2)),
        Work(name="replace-0", schedule="every 5s", ms=12_000, settings={"overlap": "replace"}),
        Work(name="replace-1", schedule="every 3s", ms=1_000, settings={"overlap": "replace"}),
        Work(name="allow-0", schedule="every 3s", ms=7_000, settings={"overlap": "allow"}),
        Work(name="allow-1", schedule="every 2s", ms=500, settings={"overlap": "allow"}),
        Work(name="three-0", schedule="every 1s", ms=4_000, settings={"max_running": 3} | short),
        Work(name="three-1", schedule="every 1s", ms=2_500, settings=_queue(5, 3) | short),
        Work(name="after-0", schedule="after 2s", ms=700, settings=short),
        Work(name="after-1", schedule="after 1s", ms=3_000, settings=least),
        Work(name="least-0", schedule="every 5s", ms=3_000, settings=least),
        Work(name="least-1", schedule="every 10s", ms=25_000, settings=least),
        Work(name="least-2", schedule="every 20s", ms=40_000, settings=least | _queue(1)),
        Work(name="never-0", schedule="every 4s", ms=1_000, settings=never),
        Work(name="retry-0", schedule="every 4s", ms=200, code=7, settings=_retries(2)),
        Work(name="retry-1", schedule="every 7s", ms=900, code=1, settings=_retries(1)),
        Work(name="label-0", schedule="every 3s", ms=200, settings={"run_on": {"zone": "eu"}}),
        Work(name="cron-0", schedule="* * * * *", ms=500),
        Work(name="cron-1", schedule="*/2 * * * *", ms=2_000, settings=short),
        Work(name="limit-0", schedule="every 6s", ms=10_000, settings={"timeout": "2s"}),
        Work(name="stubborn-0", schedule="every 9s", ms=20_000, flags="t", settings=_stubborn()),
        Work(name="flood-0", schedule="every 15s", ms=300, flags="f"),
        Work(name="all-0", schedule="every 2s", ms=100, settings=_queue(50) | _all() | late),
        Work(name="none-0", schedule="every 2s", ms=100, settings={"catchup": "none"} | late),
        Work(name="latest-0", schedule="every 3s", ms=100, settings=late),
        Work(name="slot-30", schedule="every 30s", ms=100, code=3),
    ]
    return [
        Work(
            name=work.name,
            schedule=work.schedule,
            ms=min(work.ms, longest_ms),
            code=work.code,
            flags=work.flags,
            settings=work.settings,
        )
        for work in found
    ]


def _queue(most: int, permits: int = 1) -> dict[str, Any]:
    return {"overlap": "queue", "queue_max": most, "max_running": permits}


def _retries(most: int) -> dict[str, Any]:
    return {"retries": {"max": most, "backoff": "1s", "jitter": "0%"}}


def _stubborn() -> dict[str, Any]:
    return {"timeout": "3s"}


def _all() -> dict[str, Any]:
    return {"catchup": "all", "catchup_max": 10}
