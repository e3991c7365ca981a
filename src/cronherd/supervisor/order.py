"""A start as the supervisor holds it: read from the wire, and given to the wire."""

from typing import TYPE_CHECKING, Any

from cronherd.supervisor.wire import KEPT_LIMIT, STDIN_LIMIT, WireError

if TYPE_CHECKING:
    from cronherd.supervisor.base import Start

FIELDS = 15
EXTRAS = {
    "stop_signal": 15, "nice": 0, "limits": {}, "user": "", "group": "", "masks": [], "files": {},
    "copy": "", "copy_bytes": 0, "copy_fresh": False, "task": False, "lock": False,
}  # fmt: skip
"""What a start may say beyond its fixed fields, and what it means not to say it."""
LIMITS = ("memory", "processes", "open_files", "cpu")

_PLAIN = {"stop_signal"}
"""What a start may say and still be posix_spawn's alone."""


class Order:
    """One start, as base.Start, in a class that costs the supervisor no import."""

    __slots__ = (
        "argv", "arrived_us", "attempt", "copy", "copy_bytes", "copy_fresh", "cwd", "env",
        "fence_us", "files", "grace_us", "group", "head_bytes", "limits", "lock", "masks", "nice",
        "plain", "run_id", "stdin", "stop_signal", "tail_bytes", "task", "timeout_us", "token",
        "unknown", "user", "valid_until_boot_us", "withdrawn",
    )  # fmt: skip

    # Taken from the extras.
    stop_signal: int
    nice: int
    limits: dict[str, int]
    user: str
    group: str
    masks: list[str]
    files: dict[str, str]
    copy: str
    copy_bytes: int
    copy_fresh: bool
    task: bool
    lock: bool

    def __init__(self, message: list[Any], stdin: bytes) -> None:
        """`message` as wire.py describes it. Raises WireError when it is no start."""
        if len(message) != FIELDS:
            raise WireError(f"a start of {len(message)} fields instead of {FIELDS}")
        (
            _, self.run_id, self.attempt, self.token, self.argv, self.cwd, self.env,
            self.timeout_us, self.grace_us, self.head_bytes, self.tail_bytes,
            self.valid_until_boot_us, self.fence_us, extras, _,
        ) = message  # fmt: skip
        self._take(extras)
        self.stdin = stdin
        self.arrived_us = 0
        self.withdrawn = False
        self._check()

    @property
    def key(self) -> tuple[str, int]:
        """What names the attempt in this process."""
        return self.run_id, self.attempt

    def _take(self, extras: Any) -> None:
        """Raises WireError for a value of a wrong type; a name that is not known is kept."""
        if type(extras) is not dict:
            raise WireError("a start whose extras are none")
        self.plain = extras.keys() <= _PLAIN
        for name, default in EXTRAS.items():
            value = extras.get(name, default)
            if type(value) is not type(default):
                raise WireError(f"a start whose {name} is of a wrong type")
            setattr(self, name, value)
        self.unknown = ""
        if not self.plain:
            self._check_extras()
            unknown = [name for name in extras if name not in EXTRAS]
            unknown += [name for name in self.limits if name not in LIMITS]
            self.unknown = "".join(unknown[:1])

    def _check_extras(self) -> None:
        texts = [*self.masks, *self.files, *self.files.values(), *self.limits]
        numbers = self.limits.values()
        if not all(type(text) is str for text in texts):
            raise WireError("a start with a mask, a file or a limit that is no text")
        if not all(type(number) is int and number >= 0 for number in numbers):
            raise WireError("a start with a limit that is no number")

    def _check(self) -> None:
        texts = type(self.run_id) is type(self.token) is type(self.cwd) is str
        numbers = type(self.attempt) is type(self.grace_us) is int
        kept = type(self.head_bytes) is type(self.tail_bytes) is int
        if not (texts and numbers and kept):
            raise WireError("a start with a field of a wrong type")
        if type(self.argv) is not list or type(self.env) is not dict:
            raise WireError("a start whose command or environment is none")
        if type(self.env.get("PATH", "")) is not str:
            raise WireError("a start whose PATH is no text")
        for limit in (self.timeout_us, self.valid_until_boot_us, self.fence_us):
            if limit is not None and type(limit) is not int:
                raise WireError("a start with a limit that is no number")
        if not 0 <= self.head_bytes <= KEPT_LIMIT or not 0 <= self.tail_bytes <= KEPT_LIMIT:
            raise WireError(f"a start that keeps more output than {KEPT_LIMIT} bytes")


def message_of(start: "Start") -> list[Any]:
    """The wire's form of `start`. Raises ValueError for what a supervisor would refuse."""
    if len(start.stdin) > STDIN_LIMIT:
        raise ValueError(f"stdin of {len(start.stdin)} bytes; at most {STDIN_LIMIT} are taken")
    if not 0 <= start.head_bytes <= KEPT_LIMIT or not 0 <= start.tail_bytes <= KEPT_LIMIT:
        raise ValueError(f"head_bytes and tail_bytes lie between 0 and {KEPT_LIMIT}")
    return [
        "start", start.run_id, start.attempt, start.token, list(start.argv), start.cwd,
        dict(start.env), start.timeout_us, start.grace_us, start.head_bytes, start.tail_bytes,
        start.valid_until_boot_us, start.fence_us, _extras(start), len(start.stdin),
    ]  # fmt: skip


def _extras(start: "Start") -> dict[str, Any]:
    said = {
        "stop_signal": start.stop_signal, "nice": start.nice, "limits": dict(start.limits),
        "user": start.user, "group": start.group, "masks": list(start.masks),
        "files": dict(start.files), "copy": start.copy, "copy_bytes": start.copy_bytes,
        "copy_fresh": start.copy_fresh,
        "task": start.task, "lock": start.lock,
    }  # fmt: skip
    return {name: value for name, value in said.items() if value != EXTRAS[name]}
