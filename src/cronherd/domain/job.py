"""Jobs: what to run, where, when, and under which rules."""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cronherd.domain.duration import format_duration, parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.policy import (
    FENCE_MARGIN_US,
    GRACE_US,
    LEASE_US,
    ON_TIME_US,
    OUTPUT_HEAD,
    OUTPUT_TAIL,
    QUEUE_MAX,
    TAKEOVER_AFTER_US,
    TAKEOVER_SLACK_US,
    Catchup,
    CatchupMode,
    Delivery,
    Overlap,
    Retention,
    Retry,
)
from cronherd.domain.schedule import After, Schedule, parse_schedule
from cronherd.domain.window import parse_window

NAME_LENGTH = 120  # fits every column and table of a terminal
NAME = re.compile(r"[^\s/\\\x00-\x1f\x7f](?:[^/\\\x00-\x1f\x7f]*[^\s/\\\x00-\x1f\x7f])?")
UNLIMITED = 0
_RESERVED = frozenset({".", "..", "new"})
# Frozen, so that all jobs may share them.
_CATCHUP, _RETRY, _RETENTION = Catchup(), Retry(), Retention()


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
    catchup: Catchup = _CATCHUP
    on_time_us: int = ON_TIME_US
    start_deadline_us: int | None = None
    timeout_us: int | None = None
    grace_us: int = GRACE_US
    retry: Retry = _RETRY
    delivery: Delivery = Delivery.AT_MOST_ONCE
    takeover_after_us: int | None = TAKEOVER_AFTER_US
    run_on: Mapping[str, str] = field(default_factory=dict)
    place: str = ""
    priority: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    shell: str = "/bin/sh"
    cwd: str | None = None
    stdin: str | None = None
    user: str | None = None
    retention: Retention = _RETENTION
    head_bytes: int = OUTPUT_HEAD
    tail_bytes: int = OUTPUT_TAIL

    @property
    def key(self) -> str:
        """What makes names equal: case and accents composed differently do not differ."""
        return name_key(self.name)

    @property
    def permits(self) -> int:
        """How many runs at once; 0 is no limit."""
        return UNLIMITED if self.overlap is Overlap.ALLOW else self.max_running

    @property
    def fence_us(self) -> int | None:
        """How long after its node's last renewal nothing of a run may live; None: never killed.

        Only what somebody else may start or replace after `takeover_after` is fenced: what holds
        a finite permit, and what is started once more.
        """
        exclusive = self.permits != UNLIMITED or self.delivery is Delivery.AT_LEAST_ONCE
        if self.takeover_after_us is None or not exclusive:
            return None
        return self.takeover_after_us - FENCE_MARGIN_US

    @property
    def chained(self) -> bool:
        """Whether the next slot is counted from the end of the previous run."""
        return isinstance(self.schedule, After)

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
            "no blank at either end",
        )
    hidden = {"Cf", "Cs", "Co", "Cn"}
    if not text.isascii() and any(unicodedata.category(char) in hidden for char in text):
        raise Invalid(f"the name '{name[:60]}' has invisible characters", code="bad_name")
    return text.lower()


def place_of(labels: Mapping[str, str]) -> str:
    """The labels a node must have, as one text: equal texts are one queue."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))


def place_matches(place: str, labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels may run what belongs to this place."""
    if not place:
        return True
    wanted = (part.split("=", 1) for part in place.split(","))
    return all(labels.get(key) == value for key, value in wanted)


def build_job(spec: Mapping[str, Any], *, now_us: int = 0) -> Job:
    """A Job from a validated spec in the words of a file. Raises Invalid."""
    name = _text(spec, "name") or ""
    name_key(name)
    timezone = _text(spec, "timezone") or "UTC"
    window = _text(spec, "window")
    rule = spec.get("schedule")
    command = spec["command"]
    # By what is said, not by what could be: most definitions say little.
    said = {key: value for key, value in spec.items() if value is not None and key in _READERS}
    optional = {key: _READERS[key](value) for key, value in said.items()}
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
            rule, timezone=timezone, window=parse_window(window) if window else None, now_us=now_us
        ),
        timezone=timezone,
        place=place_of(optional.get("run_on", {})),
        overlap=Overlap(spec.get("overlap", Overlap.SKIP)),
        catchup=_catchup(spec),
        **{_FIELDS.get(key, key): value for key, value in optional.items()},
    )
    _check(job, least_us)
    return job


def _check(job: Job, least_us: int) -> None:
    if job.chained and job.overlap is Overlap.ALLOW:
        raise Invalid(
            "'after' counts from the end of the previous run, so runs cannot overlap",
            code="bad_overlap",
            where="overlap",
        )
    if job.takeover_after_us is not None and job.takeover_after_us < least_us:
        raise Invalid(
            f"must be longer than 'grace' by the lease and a margin: "
            f"{format_duration(job.takeover_after_us)} is too short",
            code="bad_takeover_after",
            hint=f"at least {format_duration(least_us)}, or never",
            where="takeover_after",
        )


def _catchup(spec: Mapping[str, Any]) -> Catchup:
    plain = _CATCHUP
    if spec.keys().isdisjoint({"catchup", "catchup_window", "catchup_max"}):
        return plain
    window = spec.get("catchup_window")
    most = spec.get("catchup_max")
    return Catchup(
        mode=CatchupMode(spec.get("catchup", plain.mode)),
        window_us=plain.window_us if window is None else _duration(window),
        most=plain.most if most is None else _count(most),
    )


def _retry(value: object) -> Retry:
    if not isinstance(value, Mapping):
        return Retry(most=_count(value))
    plain = Retry()
    backoff, longest = value.get("backoff"), value.get("max_delay")
    return Retry(
        most=_count(value.get("max", plain.most)),
        backoff_us=plain.backoff_us if backoff is None else _duration(backoff),
        factor=float(value.get("factor", plain.factor)),
        max_delay_us=plain.max_delay_us if longest is None else _duration(longest),
        jitter=_share(value.get("jitter", plain.jitter)),
    )


def _retention(value: object) -> Retention:
    assert isinstance(value, Mapping)
    plain = Retention()
    age, runs = value.get("age"), value.get("runs")
    return Retention(
        age_us=plain.age_us if age is None else _duration(age),
        runs=plain.runs if runs is None else _count(runs),
    )


def _share(value: object) -> float:
    text = str(value)
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _text(spec: Mapping[str, object], key: str) -> str | None:
    value = spec.get(key)
    return None if value is None else str(value)


def _duration(value: object) -> int:
    assert isinstance(value, str | int | float)
    return parse_duration(value)


def _takeover(value: object) -> int | None:
    return None if value == "never" else _duration(value)


def _count(value: object) -> int:
    assert isinstance(value, int)
    return value


def _strings(value: object) -> dict[str, str]:
    assert isinstance(value, Mapping)
    return {str(key): str(part) for key, part in value.items()}


# How each key of a spec becomes a field; keys that are not here are handled above or are words.
_READERS: dict[str, Callable[[Any], Any]] = {
    "max_running": _count,
    "queue_max": _count,
    "on_time": _duration,
    "start_deadline": _duration,
    "timeout": _duration,
    "grace": _duration,
    "retries": _retry,
    "delivery": Delivery,
    "takeover_after": _takeover,
    "run_on": _strings,
    "priority": _count,
    "env": _strings,
    "shell": str,
    "cwd": str,
    "stdin": str,
    "user": str,
    "retention": _retention,
    "output_head": _count,
    "output_tail": _count,
}
_FIELDS = {
    "on_time": "on_time_us",
    "start_deadline": "start_deadline_us",
    "timeout": "timeout_us",
    "grace": "grace_us",
    "retries": "retry",
    "takeover_after": "takeover_after_us",
    "output_head": "head_bytes",
    "output_tail": "tail_bytes",
}
