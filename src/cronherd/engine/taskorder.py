"""What a supervisor is told to start for a Python task: this project's runner, in a process."""

import json
import sys
from pathlib import Path

from cronherd.domain.job import Job

PYTHON = "CRONHERD_PYTHON"
"""A variable of a job's `env`: another interpreter than the agent's own, such as a venv's."""
ORDER = "CRONHERD_TASK"
# The runner is this very version, wherever the interpreter has its packages; and of the folder
# that it lies in, the task sees nothing else.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); import cronherd; del sys.path[0]; "
    "from cronherd.taskrun.main import main; sys.exit(main())"
)
_SOURCE = str(Path(__file__).resolve().parents[2])


def task_argv(job: Job, environment: dict[str, str]) -> tuple[str, ...]:
    """The runner of a job's task."""
    assert job.task is not None
    python = environment.get(PYTHON) or sys.executable
    return (python, "-c", _BOOT, _SOURCE, job.task)


def task_environment(job: Job) -> dict[str, str]:
    """What the runner takes out of its environment before the task sees it."""
    if job.task is None:
        return {}
    return {ORDER: json.dumps({"args": job.args, "signal": job.stop_signal})}
