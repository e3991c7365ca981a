"""Jobs: what to run, where, when, and under which rules."""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cronherd.domain.alert import Alerts, read_alerts
from cronherd.domain.drawn import drawn
from cronherd.domain.duration import format_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.jobserver import GearmanUse
from cronherd.domain.lock import LockUse
from cronherd.domain.param import Param, ParamAs, SecretUse
from cronherd.domain.place import place_text
from cronherd.domain.policy import (
    FENCE_MARGIN_US,
    GRACE_US,
    LEASE_US,
    ON_TIME_US,
    OUTPUT_FILE_SIZE,
    OUTPUT_HEAD,
    OUTPUT_TAIL,
    QUEUE_MAX,
    TAKEOVER_AFTER_US,
    TAKEOVER_SLACK_US,
    Catchup,
    Delivery,
    Overlap,
    Retention,
    Retry,
    Spread,
)
from cronherd.domain.pool import PoolUse, rolling_key
from cronherd.domain.spec import CATCHUP, FIELDS, READERS, RETENTION, RETRY, read_catchup
from cronherd.domain.timing.frame import read_frame
from cronherd.domain.timing.schedule import After, Schedule, parse_schedule

__all__ = ["Job", "Param", "SecretUse", "build_job", "name_key"]

NAME_LENGTH = 120  # fits every column and table of a terminal
NAME = re.compile(r"[^\s/\\\x00-\x1f\x7f](?:[^/\\\x00-\x1f\x7f]*[^\s/\\\x00-\x1f\x7f])?")
UNLIMITED = 0
BY_HAND = "command"
"""The source of jobs that people made, by command or on a page."""
_RESERVED = frozenset({".", "..", "new"})
SUCCESS_CODES = frozenset({0})
TERM = 15
_ASKS_MORE = frozenset({"params", "secrets", "retry_on"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A named definition. `spec` is the same in the words of a file, defaults left out."""

    name: str
    spec: Mapping[str, Any]
    command: str | tuple[str, ...]
    schedule: Schedule | None
    timezone: str
    overlap: Overlap = Overlap.SKIP
    max_running: int = 1
    queue_max: int = QUEUE_MAX
    catchup: Catchup = CATCHUP
    on_time_us: int = ON_TIME_US
    start_deadline_us: int | None = None
    timeout_us: int | None = None
    grace_us: int = GRACE_US
    retry: Retry = RETRY
    delivery: Delivery = Delivery.AT_MOST_ONCE
    takeover_after_us: int | None = TAKEOVER_AFTER_US
    place: str = ""
    spread: Spread = Spread.ANY
    rolling: int | None = None
    pools: tuple[PoolUse, ...] = ()
    min_gap_us: int = 0
    priority: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    shell: str = "/bin/sh"
    cwd: str | None = None
    stdin: str | None = None
    user: str | None = None
    retention: Retention = RETENTION
    head_bytes: int = OUTPUT_HEAD
    tail_bytes: int = OUTPUT_TAIL
    retry_on: tuple[int, ...] | None = None
    success_codes: frozenset[int] = SUCCESS_CODES
    pause_after_failures: int = 0
    stop_signal: int = TERM
    env_files: tuple[str, ...] = ()
    nice: int = 0
    limits: Mapping[str, int] = field(default_factory=dict)
    group: str | None = None
    params: tuple[Param, ...] = ()
    secrets: tuple[SecretUse, ...] = ()
    task: str | None = None
    args: Any = None
    hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Functions around the command or task, by when they are called (taskrun/hooks.py)."""
    output_file: str | None = None
    output_file_bytes: int = OUTPUT_FILE_SIZE
    output_file_fresh: bool = False
    jitter_us: int = 0
    max_runs: int | None = None
    alerts: Alerts | None = None
    lock: LockUse | None = None
    gearman: GearmanUse | None = None

    @property
    def key(self) -> str:
        """What makes names equal: case and accents composed differently do not differ."""
        return name_key(self.name)

    @property
    def permits(self) -> int:
        """How many runs at once; 0 is no limit."""
        return UNLIMITED if self.overlap is Overlap.ALLOW else self.max_running

    @property
    def excludes(self) -> bool:
        """Whether slots may be left out that somebody could have expected."""
        return self.schedule is not None and self.schedule.excludes

    def ended(self, fired: int) -> bool:
        """Whether the schedule is over after so many slots that became runs."""
        return self.max_runs is not None and fired >= self.max_runs

    def due_at(self, slot_us: int) -> int:
        """When a slot fires: at its instant, or by its jitter later, but before the next slot.

        The delay is drawn from the job's name and the slot, so it is the same whenever asked.
        """
        if not self.jitter_us or self.schedule is None:
            return slot_us
        following_us = self.schedule.next_after(slot_us)
        room_us = self.jitter_us if following_us is None else following_us - slot_us - 1
        return slot_us + drawn(f"{self.key} {slot_us}", min(self.jitter_us, room_us) + 1)

    @property
    def fence_us(self) -> int | None:
        """How long after its node's last renewal nothing of a run may live; None: never killed.

        Only what somebody else may start or replace after `takeover_after` is fenced: what holds
        a finite permit, and what is started once more.
        """
        if self.takeover_after_us is None or not self.exclusive:
            return None
        return self.takeover_after_us - FENCE_MARGIN_US

    @property
    def exclusive(self) -> bool:
        """Whether others wait for the end of its runs, or start them once more."""
        limited = self.permits != UNLIMITED or bool(self.pools) or self.rolling is not None
        return limited or self.delivery is Delivery.AT_LEAST_ONCE

    @property
    def on_all(self) -> bool:
        """Whether each slot is a run on every node that fits, each with a limit of its own."""
        return self.spread is Spread.ALL

    def uses(self, job_id: str) -> tuple[PoolUse, ...]:
        """The gates whose permits a run needs beside its job's own, in the order of their keys."""
        if self.rolling is None:
            return self.pools
        return (*self.pools, PoolUse(rolling_key(job_id)))

    @property
    def chained(self) -> bool:
        """Whether the next slot is counted from the end of the previous run."""
        return isinstance(self.schedule, After)

    @property
    def at_boot(self) -> bool:
        """Whether a start of the host is a slot too."""
        return self.schedule is not None and self.schedule.at_boot

    @property
    def wrapped(self) -> bool:
        """Whether the runner of tasks starts it, and listens to what it tells."""
        return self.task is not None or bool(self.hooks)

    @property
    def tells(self) -> bool:
        """Whether what is started says something of itself, on descriptor 3."""
        return self.wrapped or self.gearman is not None

    @property
    def argv(self) -> tuple[str, ...]:
        """What is executed: a list as it is, a string by the shell."""
        if isinstance(self.command, tuple):
            return self.command
        return (self.shell, "-c", self.command)


def name_key(name: str) -> str:
    """The key of a name: NFC, lower case. Raises Invalid for a name that no table should hold."""
    text = unicodedata.normalize("NFC", name)
    if not NAME.fullmatch(text) or len(text) > NAME_LENGTH or text.lower() in _RESERVED:
        raise Invalid(
            f"'{name[:60]}' cannot be a job's name",
            code="bad_name",
            hint=f"1 to {NAME_LENGTH} characters without / \\ and control characters, "
            f"no blank at either end, and not {', '.join(sorted(_RESERVED))}",
        )
    hidden = {"Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    if not text.isascii() and any(unicodedata.category(char) in hidden for char in text):
        raise Invalid(f"the name '{name[:60]}' has invisible characters", code="bad_name")
    return text.lower()


def build_job(spec: Mapping[str, Any], *, now_us: int = 0) -> Job:
    """A Job from a validated spec in the words of a file. Raises Invalid."""
    name = _text(spec, "name") or ""
    key = name_key(name)
    timezone = _text(spec, "timezone") or "UTC"
    rule = spec.get("schedule")
    command = "" if "task" in spec or "gearman" in spec else spec["command"]
    # By what is said, not by what could be: most definitions say little.
    said = {key: value for key, value in spec.items() if value is not None and key in READERS}
    optional = {key: READERS[key](value) for key, value in said.items()}
    least_us = LEASE_US + optional.get("grace", GRACE_US) + TAKEOVER_SLACK_US
    # Whoever asks for a long grace need not know the rule.
    optional.setdefault("takeover_after", max(TAKEOVER_AFTER_US, least_us))
    job = Job(
        name=name,
        spec=dict(spec),
        command=tuple(map(str, command)) if isinstance(command, list | tuple) else str(command),
        schedule=None
        if rule is None
        else parse_schedule(
            rule,
            timezone=timezone,
            frame=read_frame(spec, timezone, key),
            now_us=now_us,
        ),
        timezone=timezone,
        place=_place(spec, key),
        overlap=Overlap(spec.get("overlap", Overlap.SKIP)),
        catchup=read_catchup(spec),
        alerts=read_alerts(spec),
        **{FIELDS.get(key, key): value for key, value in optional.items()},
    )
    _check(job, least_us)
    if not spec.keys().isdisjoint(_ASKS_MORE):
        _check_command(job)
    return job


def _place(spec: Mapping[str, Any], key: str) -> str:
    run_on, prefer, cap = spec.get("run_on"), spec.get("prefer"), spec.get("max_per_node")
    return place_text(run_on, prefer, cap, key) if run_on or prefer or cap else ""


def _check(job: Job, least_us: int) -> None:
    if job.chained and job.overlap is Overlap.ALLOW:
        raise Invalid(
            "'after' counts from the end of the previous run, so runs cannot overlap",
            code="bad_overlap",
            where="overlap",
        )
    if job.rolling is not None and not job.on_all:
        text = "says on how many nodes a run goes on at once, so it needs spread: all"
        raise Invalid(text, code="bad_rolling", where="rolling")
    if job.min_gap_us and job.permits == UNLIMITED:
        text = "is the time between an end and the next start, so runs cannot overlap"
        raise Invalid(text, code="bad_min_gap", where="min_gap")
    if job.takeover_after_us is not None and job.takeover_after_us < least_us:
        raise Invalid(
            f"must be longer than 'grace' by the lease and a margin: "
            f"{format_duration(job.takeover_after_us)} is too short",
            code="bad_takeover_after",
            hint=f"at least {format_duration(least_us)}, or never",
            where="takeover_after",
        )


def _check_command(job: Job) -> None:
    """What the command is given must have one meaning, and never pass through a shell."""
    arguments = [param.name for param in job.params if param.as_ is ParamAs.ARGUMENT]
    if arguments and isinstance(job.command, str) and job.task is None:
        raise Invalid(
            "cannot be an argument: a parameter is never pasted into a command for the shell",
            code="bad_param",
            hint='write the command as a list, or leave `as` out and use "$PARAM_NAME"',
            where=f"params.{arguments[0]}.as",
        )
    wanted = [param.name for param in job.params if param.required]
    if wanted and job.schedule is not None:
        raise Invalid(
            "is required, and nobody can say it when the schedule starts the job",
            code="bad_param",
            hint="give it a default",
            where=f"params.{wanted[0]}",
        )
    variables = [param.variable for param in job.params] + [*job.env]
    variables += [use.env or use.file for use in job.secrets]
    twice = [name for name, times in Counter(variables).items() if times > 1]
    if twice:
        raise Invalid(
            f"the variable {twice[0]} has more than one value",
            code="bad_env",
            hint="env, params and secrets share the environment",
        )
    both = sorted(job.success_codes & set(job.retry_on or ()))
    if both:
        text = f"{both[0]} means success, so it is never tried again"
        raise Invalid(text, code="bad_retry_on", where="retry_on")


def _text(spec: Mapping[str, object], key: str) -> str | None:
    value = spec.get(key)
    return None if value is None else str(value)
