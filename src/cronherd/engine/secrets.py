"""Secrets of a job on their way into its start. They are opened for one batch, and forgotten.

A run whose secret cannot be had here is not started: without it a command might do harm.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cronherd.domain.errors import CronherdError, Invalid
from cronherd.domain.job import Job
from cronherd.domain.secret import masks_of
from cronherd.store.base import Claim

Opened = Mapping[str, str | CronherdError]
"""By name: the value, or why there is none."""
Reveal = Callable[[Sequence[str]], Opened]
"""Read and open the secrets of these names; raises Unavailable when they cannot be asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a start gets of its job's secrets. No repr shows any of it."""

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    masks: tuple[str, ...] = field(default=(), repr=False)


NOTHING = Given()


def no_secrets(names: Sequence[str]) -> Opened:
    """What an engine says that was given no way to open any."""
    text = "this agent has no way to open secrets"
    return {name: Invalid(text, code="no_secret") for name in names}


def names_of(claims: Sequence[Claim]) -> list[str]:
    """The secrets that these runs need, each once."""
    return sorted({use.name for claim in claims for use in claim.job.secrets})


def given_to(job: Job, opened: Opened) -> Given:
    """What the job asks for of what was opened. Raises what keeps one of them from it."""
    if not job.secrets:
        return NOTHING
    values: dict[str, str] = {}
    for use in job.secrets:
        value = opened[use.name]
        if isinstance(value, CronherdError):
            raise value
        values[use.name] = value
    return Given(
        env={use.env: values[use.name] for use in job.secrets if _is_free(use.env)},
        files={use.file: values[use.name] for use in job.secrets if _is_free(use.file)},
        masks=masks_of(values.values()),
    )


def _is_free(variable: str) -> bool:
    """Whether a job may fill it: who the run is, is ours to say."""
    return bool(variable) and not variable.startswith("CRONHERD_")
