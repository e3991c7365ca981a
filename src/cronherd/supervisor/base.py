"""The contract between the engine and the process that owns its children. No I/O here.

The supervisor process itself never imports this file (dataclasses cost it 6 ms and 1.3 MB);
`wire` says how these values travel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class SupervisorGone(Exception):
    """The supervisor died, refused us, or its connection was lost.

    Its guardian kills what it left. Launch another one: it replays what was not acknowledged.
    """


class SupervisorRefused(SupervisorGone):
    """It lives, and we do not speak a common wire version: its runs go on without us."""


class Clock(Protocol):
    """The two clocks the supervisor reads; engine/clock.py has the real one."""

    def now_us(self) -> int:
        """The wall clock: UTC microseconds since 1970."""
        ...

    def boot_us(self) -> int:
        """Microseconds since the host booted, suspend included. Never steps."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """An order to run one command once."""

    run_id: str
    attempt: int
    token: str
    argv: tuple[str, ...]
    """Executed as it is; argv[0] holds a slash or is looked up in the PATH of `env`."""
    cwd: str
    env: Mapping[str, str] = field(repr=False)
    """The whole environment: nothing is inherited and nothing is added.

    Its CRONHERD_RUN_ID is how processes of the run are found again after a crash."""
    stdin: bytes = b""
    """What the command reads; /dev/null when empty."""
    timeout_us: int | None = None
    """From the spawn to SIGTERM. None: no limit."""
    grace_us: int = 10_000_000
    """From SIGTERM to SIGKILL."""
    head_bytes: int = 262_144
    tail_bytes: int = 262_144
    valid_until_boot_us: int | None = None
    """CLOCK_BOOTTIME of this host. Not spawned by then: void, and never spawned."""
    fence_us: int | None = None
    """From the start of the last renewal we were told of to the last instant at which anything of
    this run may live. TERM comes `grace_us` earlier, KILL at the instant itself. None: never."""
    stop_signal: int = 15
    """What asks it to end; after `grace_us` comes SIGKILL."""
    nice: int = 0
    """Added to our own niceness."""
    limits: Mapping[str, int] = field(default_factory=dict)
    """memory (bytes), processes, open_files, cpu (seconds); what is not named is not limited."""
    user: str = ""
    """Whom it runs as; empty: as the supervisor. Only a root supervisor whose host allows it."""
    group: str = ""
    """Its group; empty: the one of `user`."""
    masks: tuple[str, ...] = field(default=(), repr=False)
    """Texts that never leave the supervisor: each is replaced by *** in what it wrote."""
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Content by the name of an environment variable: written to a file of mode 0600 that only
    the command may read, its path is put into the variable, and it is gone when the run is."""
    copy: str = ""
    """A file on this host that gets all of the output as well, under no cap."""
    copy_bytes: int = 0
    """At this size the copy is rotated, once: the one before is kept as `.1`. 0: never."""
    copy_fresh: bool = False
    """The copy is emptied first."""
    task: bool = False
    """Give it a third pipe as descriptor 3: what it writes there is output of stream 3."""
    lock: bool = False
    """It holds a lock and starts the command: give it one more pipe, for the words of lockword.py.
    When it dies without such a word, what it has started is killed."""


# Reports are not frozen: a hundred guarded field writes per run were a tenth of the agent's time.
@dataclass(slots=True, kw_only=True)
class Started:
    """The command was executed (execve succeeded)."""

    run_id: str
    attempt: int
    token: str
    pid: int
    at_us: int


@dataclass(slots=True, kw_only=True)
class Output:
    """A piece of what the command wrote, at most 256 KiB, bytes as they came."""

    run_id: str
    attempt: int
    token: str
    seq: int
    """0, 1, 2 … over both streams of one attempt."""
    stream: int
    """1 stdout, 2 stderr, 3 what a task says of itself."""
    at_us: int
    dropped: int
    """Bytes dropped right before this chunk: of stdout and stderr, or of stream 3 if it is that."""
    chunk: bytes


@dataclass(slots=True, kw_only=True)
class Ended:
    """The last report of an attempt: how it ended, or why it never started."""

    run_id: str
    attempt: int
    token: str
    started_us: int | None
    """None: nothing was ever executed."""
    ended_us: int
    exit_code: int | None
    """Of the command; 127 and 126, as a shell says, with `not_found` and `not_executable`."""
    signal: int | None
    killed_by: str
    """"" | timeout | cancel | fenced | gone | shutdown: the first order to kill it."""
    error: str
    """"" | not_found | not_executable | not_allowed | cwd_missing | too_long | spawn_failed
    | void | locked | lock_unavailable; of a command that ran: lock_lost."""
    error_text: str
    """One sentence when `error` is set, or when it could not be killed."""
    dropped: int
    """All bytes of output that were not kept."""
    cpu_us: int
    peak_rss_bytes: int
    """The most that one of its processes had in memory; 0: unknown, and not above our own most."""
    read_bytes: int = 0
    """From disks, not from caches."""
    written_bytes: int = 0
    pid: int = 0
    """0: nothing was ever executed."""
    how: str = ""
    """"" | term | kill | cgroup: what it took to end it, when it was killed."""
    leaked: int = 0
    """Processes it left behind when it ended."""


@dataclass(slots=True, kw_only=True)
class Gone:
    """An earlier supervisor was told to start this and never reported an end.

    Its processes are proven dead; whether it ran, and how far, nobody knows.
    """

    run_id: str
    attempt: int
    token: str


Report = Started | Output | Ended | Gone


class Supervisor(Protocol):
    """What the engine may ask of the process that owns its children."""

    incarnation: str
    """Made by the supervisor process at its birth, in hex."""

    replay_until: int
    """Reports up to this spool position are of an earlier life; 0 when there are none."""

    live: frozenset[tuple[str, int, str]]
    """Run, attempt and token of what an earlier agent ordered and what had not ended at the hello.

    What ends later is reported after `replay_until`.
    """

    unfenced: bool
    """It was told of a hold by an earlier agent, and of no renewal since."""

    def start(self, starts: Sequence[Start]) -> None:
        """Order a batch. Each ends in exactly one Ended. Raises SupervisorGone or ValueError.

        ValueError: a value no supervisor would take (a limit exceeded); nothing was sent.
        """
        ...

    def cancel(self, run_id: str, attempt: int) -> None:
        """TERM (and CONT) to its group, KILL after its grace. Unknown or ended: no effect."""
        ...

    def renewed(self, boot_us: int | None) -> None:
        """The lease was renewed by a call that began at this CLOCK_BOOTTIME.

        Runs with a fence are killed that long after the last one told of, without asking anybody.
        None: the fleet holds, nobody is taken over, so nothing is fenced until the next renewal
        is told. Before the first one told, a run's fence counts from the arrival of its order.
        """
        ...

    def reports(self, timeout_s: float) -> tuple[list[Report], int]:
        """The next batch and its spool position; ([], position) on time-out.

        Reports may come again after a restart or a full disk. Raises SupervisorGone when the
        connection is lost and all that had arrived was handed over.
        """
        ...

    def ack(self, position: int) -> None:
        """Everything up to `position` is safely in the database; the spool may forget it."""
        ...

    def spool_bytes(self) -> int:
        """The spool's size on disk, as last heard with a batch of reports."""
        ...

    def close(self) -> None:
        """Drop the connection; the supervisor and its runs go on."""
        ...

    def shutdown(self) -> None:
        """End cleanly: SIGKILL what still runs, report it, exit. Returns when it has exited."""
        ...
