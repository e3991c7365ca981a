"""The conf.json of "distributed-cron", as its workers and clients have it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cronherd.domain.errors import Invalid
from cronherd.domain.jobserver import MOST_SERVERS, PORT, Server, check_function, server_of

LEGACY = "runJob"
"""The one function of old workers and clients; its payload is the name of a task."""
KNOWN = ("job_servers", "jobs", "debug")
_WORDS = {
    "true": True, "1": True, "yes": True, "on": True,
    "false": False, "0": False, "no": False, "off": False, "": False,
}  # fmt: skip
_SCRIPT_LENGTH = 100_000
MOST_TASKS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Conf:
    """`scripts`: by task name the command, as a shell reads it."""

    servers: tuple[Server, ...]
    scripts: Mapping[str, str] = field(default_factory=dict)
    debug: bool = False


def read_conf(raw: bytes, *, worker: bool) -> Conf:
    """Of a worker, or of a client, which needs the servers alone. Raises Invalid."""
    said = read_json(raw)
    servers = _servers(said.get("job_servers"))
    if not worker:
        return Conf(servers=servers)
    scripts: dict[str, str] = {}
    for _, name, script in entries_of(said.get("jobs")):
        scripts[check_task(name)] = check_script(name, script)
    if not scripts:
        raise _bad("has no tasks", "jobs", 'write "jobs": [{"task1": "/path/to/script"}]')
    return Conf(servers=servers, scripts=scripts, debug=_switch(said.get("debug", False)))


def read_json(raw: bytes) -> dict[str, Any]:
    """The object. Raises Invalid with the line of the fault."""
    try:
        said = json.loads(raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _bad("is not UTF-8", "") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise Invalid(f"is not JSON: {error.msg}", code="bad_gearman_conf", where=where) from None
    except (ValueError, RecursionError) as error:
        raise _bad(f"is not JSON: {error}", "") from None
    if not isinstance(said, dict):
        raise _bad("must be an object with job_servers", "")
    return said


def entries_of(jobs: object) -> list[tuple[int, str, object]]:
    """(place in the list, task, script) in order; a later one of the same name wins.

    Raises Invalid for what has no tasks in it at all.
    """
    if isinstance(jobs, Mapping):
        jobs = [{name: script} for name, script in jobs.items()]
    if jobs is None:
        return []
    if not isinstance(jobs, list) or len(jobs) > MOST_TASKS:
        raise _bad(f"must be a list of at most {MOST_TASKS} tasks", "jobs")
    found: list[tuple[int, str, object]] = []
    for place, entry in enumerate(jobs):
        if not isinstance(entry, Mapping):
            raise _bad("must be an object with a task and its script", f"jobs[{place}]")
        found += [(place, str(name), script) for name, script in entry.items()]
    return found


def check_task(name: str) -> str:
    """Raises Invalid for a name that cannot be a function."""
    try:
        return check_function(name)
    except Invalid as error:
        raise _bad(f"'{name[:60]}' cannot be a task: {error.text}", "jobs") from None


def check_script(name: str, script: object) -> str:
    """Raises Invalid for what is no command."""
    text = script if isinstance(script, str) and "\0" not in script else ""
    if text.strip() and len(text.encode(errors="replace")) <= _SCRIPT_LENGTH:
        return text
    raise _bad(f"the task '{name[:60]}' has no script", "jobs", "write the path of a script")


def _servers(said: object) -> tuple[Server, ...]:
    if not isinstance(said, list) or not said or len(said) > MOST_SERVERS:
        hint = 'write "job_servers": [{"server": "127.0.0.1", "port": 4730}]'
        raise _bad(f"must be a list of 1 to {MOST_SERVERS} servers", "job_servers", hint)
    found: dict[Server, None] = {}
    for place, entry in enumerate(said):
        if not isinstance(entry, Mapping) or "server" not in entry:
            raise _bad("must be an object with server and port", f"job_servers[{place}]")
        try:
            found[server_of(entry["server"], entry.get("port", PORT))] = None
        except Invalid as error:
            raise _bad(error.text, f"job_servers[{place}]", error.hint) from None
    return tuple(found)


def _switch(said: object) -> bool:
    """Strings, numbers and booleans."""
    word = str(said).strip().lower()
    if isinstance(said, str | int | bool) and word in _WORDS:
        return _WORDS[word]
    raise _bad(f"'{word[:40]}' is neither true nor false", "debug")


def _bad(text: str, where: str, hint: str = "") -> Invalid:
    return Invalid(text, code="bad_gearman_conf", where=where, hint=hint)
