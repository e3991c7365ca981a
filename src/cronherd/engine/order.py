"""What a supervisor is told to start for a claim: argv, environment, directory, limits."""

from collections.abc import Mapping
from dataclasses import dataclass

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import format_instant
from cronherd.domain.policy import CLAIM_TO_EXEC_US
from cronherd.store.base import Claim
from cronherd.supervisor.base import Start

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whom commands run as on this host: the agent's own user."""

    user: str
    home: str


def start_of(claim: Claim, node: str, account: Account, boot_us: int) -> Start:
    """The order for one claim. Raises Invalid when this host must not or cannot run it.

    `boot_us` is the boot clock before the claim was asked for: a claim that takes too long to
    become a process is void, so that nobody else is ever surprised by it.
    """
    job = claim.job
    if job.user is not None and job.user != account.user:
        raise Invalid(
            f"the job wants user '{job.user}', this agent runs as '{account.user}'",
            code="not_executable",
        )
    environment = _environment(claim, node, account)
    return Start(
        run_id=claim.run_id,
        attempt=claim.attempt,
        token=claim.token,
        argv=job.argv,
        cwd=_directory(job.cwd, environment["HOME"]),
        env=environment,
        stdin=(job.stdin or "").encode(),
        timeout_us=job.timeout_us,
        grace_us=job.grace_us,
        head_bytes=job.head_bytes,
        tail_bytes=job.tail_bytes,
        valid_until_boot_us=boot_us + CLAIM_TO_EXEC_US,
        fence_us=job.fence_us,
    )


def _environment(claim: Claim, node: str, account: Account) -> dict[str, str]:
    """Built from scratch: nothing of the agent's own environment leaks into a command."""
    job = claim.job
    ours: Mapping[str, str] = {
        "CRONHERD_RUN_ID": claim.run_id,
        "CRONHERD_JOB_NAME": job.name,
        "CRONHERD_SCHEDULED_AT": format_instant(claim.slot_us) or "",
        "CRONHERD_ATTEMPT": str(claim.attempt),
        "CRONHERD_NODE": node,
        "CRONHERD_CAUSE": claim.cause.value,
        "CRONHERD_FENCE": str(claim.fence),
    }
    return {
        "PATH": DEFAULT_PATH,
        "HOME": account.home,
        "LOGNAME": account.user,
        "USER": account.user,
        "SHELL": job.shell,
        **job.env,
        **ours,
    }


def _directory(wanted: str | None, home: str) -> str:
    if wanted is None or wanted == "~":
        return home
    return home + wanted[1:] if wanted.startswith("~/") else wanted
