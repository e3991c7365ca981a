"""How the words of a validated spec become the values of a Job."""

from collections.abc import Callable, Mapping
from typing import Any

from cronherd.domain.duration import parse_duration
from cronherd.domain.jobserver import read_gearman
from cronherd.domain.lock import read_lock
from cronherd.domain.param import SecretUse, build_params, secret_variable
from cronherd.domain.policy import Catchup, CatchupMode, Delivery, Retention, Retry, Spread
from cronherd.domain.pool import PoolUse, pool_key

# Frozen, so that all jobs may share them.
CATCHUP, RETRY, RETENTION = Catchup(), Retry(), Retention()
# The signals that may ask a command to end, by the numbers of Linux.
STOP_SIGNALS = {"HUP": 1, "INT": 2, "QUIT": 3, "KILL": 9, "USR1": 10, "USR2": 12, "TERM": 15}
# The one of our names that a job's `env` may have: the interpreter of its task.
TASK_PYTHON = "CRONHERD_PYTHON"
_SIZES = {"memory", "processes", "open_files"}


def read_catchup(spec: Mapping[str, Any]) -> Catchup:
    plain = CATCHUP
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


def _numbers(value: object) -> tuple[int, ...]:
    assert isinstance(value, list | tuple)
    return tuple(value)


def _one_or_more(value: object) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(_items(value))


def _items(value: object) -> list[Any]:
    assert isinstance(value, list | tuple)
    return list(value)


def _limits(value: object) -> dict[str, int]:
    assert isinstance(value, Mapping)
    limits = {key: _count(part) for key, part in value.items() if key in _SIZES}
    if "cpu" in value:  # the kernel counts in seconds: less than one is one
        limits["cpu"] = max(1, _duration(value["cpu"]) // 1_000_000)
    return limits


def _secrets(value: object) -> tuple[SecretUse, ...]:
    return tuple(_secret(part) for part in _items(value))


def _secret(said: str | Mapping[str, str]) -> SecretUse:
    if isinstance(said, str):
        return SecretUse(said, env=secret_variable(said))
    name = said["name"]
    if "file" in said:
        return SecretUse(name, file=said["file"])
    return SecretUse(name, env=said.get("env") or secret_variable(name))


def _share(value: object) -> float:
    text = str(value)
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _duration(value: object) -> int:
    assert isinstance(value, str | int | float)
    return parse_duration(value)


def _takeover(value: object) -> int | None:
    return None if value == "never" else _duration(value)


def _count(value: object) -> int:
    assert isinstance(value, int)
    return value


def _pools(value: object) -> tuple[PoolUse, ...]:
    """In the order of their keys, which is the order of their locks."""
    return tuple(sorted(_pool(part) for part in _items(value)))


def _pool(said: str | Mapping[str, Any]) -> PoolUse:
    if isinstance(said, str):
        return PoolUse(pool_key(said))
    return PoolUse(pool_key(said["name"]), _count(said.get("permits", 1)))


def _hooks(value: object) -> dict[str, tuple[str, ...]]:
    assert isinstance(value, Mapping)
    return {str(key): _one_or_more(part) for key, part in value.items()}


def _strings(value: object) -> dict[str, str]:
    assert isinstance(value, Mapping)
    return {str(key): str(part) for key, part in value.items()}


# How each key of a spec becomes a field; keys that are not here are handled above or are words.
READERS: dict[str, Callable[[Any], Any]] = {
    "max_running": _count,
    "queue_max": _count,
    "on_time": _duration,
    "start_deadline": _duration,
    "timeout": _duration,
    "grace": _duration,
    "retries": _retry,
    "delivery": Delivery,
    "takeover_after": _takeover,
    "priority": _count,
    "env": _strings,
    "shell": str,
    "cwd": str,
    "stdin": str,
    "user": str,
    "retention": _retention,
    "output_head": _count,
    "output_tail": _count,
    "retry_on": _numbers,
    "success_codes": lambda value: frozenset(_numbers(value)),
    "pause_after_failures": _count,
    "stop_signal": STOP_SIGNALS.__getitem__,
    "env_file": _one_or_more,
    "nice": _count,
    "limits": _limits,
    "group": str,
    "params": build_params,
    "secrets": _secrets,
    "task": str,
    "args": lambda value: value,
    "hooks": _hooks,
    "output_file": str,
    "output_file_size": _count,
    "output_file_fresh": bool,
    "jitter": _duration,
    "max_runs": _count,
    "spread": Spread,
    "rolling": _count,
    "pools": _pools,
    "min_gap": _duration,
    "lock": read_lock,
    "gearman": read_gearman,
}
FIELDS = {
    "on_time": "on_time_us",
    "start_deadline": "start_deadline_us",
    "timeout": "timeout_us",
    "grace": "grace_us",
    "retries": "retry",
    "takeover_after": "takeover_after_us",
    "output_head": "head_bytes",
    "output_tail": "tail_bytes",
    "env_file": "env_files",
    "output_file_size": "output_file_bytes",
    "jitter": "jitter_us",
    "min_gap": "min_gap_us",
}
