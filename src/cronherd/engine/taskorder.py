"""What a supervisor is told to start for a Python task: this project's runner, in a process.

A command with hooks is started by it too.
"""

import json
import sys
from pathlib import Path

from cronherd.domain.job import Job
from cronherd.domain.spec import TASK_PYTHON

ORDER = "CRONHERD_TASK"
# The runner is this very version, wherever the interpreter has its packages; and of the folder
# that it lies in, the task sees nothing else.
# Before that it asks, in words that older interpreters know, whether this can be: a job may name
# any one, and another user may not be able to read our files.
_BOOT = """\
import json, os, sys
source = sys.argv.pop(1)
why = ""
if sys.version_info < (3, 11):
    version = "%d.%d" % sys.version_info[:2]
    why = sys.executable + " is Python " + version + ", and a task needs 3.11 or newer"
elif not os.access(source + "/cronherd/taskrun/main.py", os.R_OK):
    why = "the user of this run may not read cronherd itself, in " + source
if why:
    os.write(2, ("cronherd: " + why + "\\n").encode())
    os.write(3, (json.dumps({"error": {"message": why}}) + "\\n").encode())
    sys.exit(126)
sys.path.insert(0, source)
import cronherd
del sys.path[0], json, os, source, why
from cronherd.taskrun.main import main
sys.exit(main())
"""
_SOURCE = str(Path(__file__).resolve().parents[2])


def task_argv(job: Job, environment: dict[str, str]) -> tuple[str, ...]:
    """The runner of a job's task, or of its command, which stands behind an empty name."""
    python = environment.get(TASK_PYTHON) or sys.executable
    what = ("", *job.argv) if job.task is None else (job.task,)
    return (python, "-c", _BOOT, _SOURCE, *what)


def task_environment(job: Job) -> dict[str, str]:
    """What the runner takes out of its environment before the task sees it."""
    if not job.wrapped:
        return {}
    order: dict[str, object] = {"args": job.args, "signal": job.stop_signal}
    if job.hooks:
        order |= {"hooks": job.hooks, "success": sorted(job.success_codes)}
    return {ORDER: json.dumps(order)}
