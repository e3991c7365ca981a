"""What a supervisor is told to start for a claim: argv, environment, directory, limits."""

from collections.abc import Mapping
from types import MappingProxyType

from cronherd.domain.instant import format_instant
from cronherd.domain.job import Job
from cronherd.domain.param import ParamAs, Value, all_values, check_values, value_text
from cronherd.domain.policy import CLAIM_TO_EXEC_US
from cronherd.engine.accounts import Account, Identity, identity_of
from cronherd.engine.envfiles import read_env_files
from cronherd.engine.gearmanorder import gearman_argv, gearman_stdin
from cronherd.engine.lockorder import lock_argv, lock_environment, lock_files
from cronherd.engine.secrets import Opened, given_to
from cronherd.engine.taskorder import task_argv, task_environment
from cronherd.store.base import Claim
from cronherd.supervisor.base import Start

DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def start_of(
    claim: Claim,
    node: str,
    account: Account,
    boot_us: int,
    opened: Opened = MappingProxyType({}),
) -> Start:
    """The order for one claim. Raises Invalid when this host must not or cannot run it.

    `boot_us` is the boot clock before the claim was asked for: a claim that takes too long to
    become a process is void, so that nobody else is ever surprised by it. `opened` are the secrets
    of its batch; what was raised when they were asked for is raised here.
    """
    job = claim.job
    given = given_to(job, opened)
    identity = identity_of(job, account)
    values = all_values(job.params, check_values(job.params, claim.params))
    environment = _environment(claim, node, identity, values)
    argv = task_argv(job, environment) if job.wrapped else job.argv
    stdin = (job.stdin or "").encode()
    if job.gearman is not None:
        argv, stdin = gearman_argv(), gearman_stdin(claim, job.gearman)
    argv = (*argv, *_arguments(job, values))
    return Start(
        run_id=claim.run_id,
        attempt=claim.attempt,
        token=claim.token,
        argv=argv if job.lock is None else lock_argv(job, argv),
        cwd=_directory(job.cwd, environment["HOME"]),
        env={**environment, **given.env},  # behind all that is looked up in it: none shows there
        stdin=stdin,
        timeout_us=job.timeout_us,
        grace_us=job.grace_us,
        head_bytes=job.head_bytes,
        tail_bytes=job.tail_bytes,
        valid_until_boot_us=boot_us + CLAIM_TO_EXEC_US,
        fence_us=job.fence_us,
        stop_signal=job.stop_signal,
        nice=job.nice,
        limits=job.limits,
        user=identity.user,
        group=identity.group,
        copy="" if job.output_file is None else _directory(job.output_file, identity.home),
        copy_bytes=0 if job.output_file is None else job.output_file_bytes,
        copy_fresh=job.output_file is not None and job.output_file_fresh,
        masks=given.masks,
        files={**given.files, **lock_files(job.lock, identity, account)},
        task=job.tells,
        lock=job.lock is not None,
    )


def _environment(
    claim: Claim, node: str, identity: Identity, values: Mapping[str, Value]
) -> dict[str, str]:
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
        **task_environment(job),
        **lock_environment(job.lock),
    }
    return {
        "PATH": DEFAULT_PATH,
        "HOME": identity.home,
        "LOGNAME": identity.name,
        "USER": identity.name,
        "SHELL": job.shell,
        **read_env_files(job.env_files, identity.home, identity.uid),
        **job.env,
        **_variables(job, values),
        **ours,
    }


def _variables(job: Job, values: Mapping[str, Value]) -> dict[str, str]:
    return {
        param.variable: value_text(values[param.name])
        for param in job.params
        if param.as_ is ParamAs.ENV and param.name in values
    }


def _arguments(job: Job, values: Mapping[str, Value]) -> list[str]:
    return [
        f"--{param.name}={value_text(values[param.name])}"
        for param in job.params
        if param.as_ is ParamAs.ARGUMENT and param.name in values
    ]


def _directory(wanted: str | None, home: str) -> str:
    if wanted is None or wanted == "~":
        return home
    return home + wanted[1:] if wanted.startswith("~/") else wanted
