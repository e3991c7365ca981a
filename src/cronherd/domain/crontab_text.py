"""Jobs as the lines of a crontab, in the words that the import of crontabs reads back.

What comes out is a proposal: whoever writes it reads it again and compares, since a crontab says
less than a definition. `why_not` is what can be told without that.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cronherd.domain.crontab_lines import Kind
from cronherd.domain.imported import CRON_PATH
from cronherd.domain.takenover import say_description, say_name

Definition = Mapping[str, object]
_BREAKS = re.compile(r"[\n\r\0]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Left:
    """A job that a crontab cannot say, and why."""

    name: str
    reason: str


def why_not(job: Definition, kind: Kind) -> str:
    """Why no line of such a crontab says this job, '' where one may."""
    command, environment = job.get("command"), _environment(job)
    texts = [str(command), str(job.get("mailto", "")), str(job.get("shell", ""))]
    texts += [*environment, *environment.values()]
    reasons = {
        "it is disabled": job.get("enabled") is False,
        "it names no user, and each line of a system crontab does": (
            kind is Kind.SYSTEM and not job.get("user")
        ),
        "it has no schedule of cron": not isinstance(job.get("schedule"), str),
        "its command is no line of a shell": not isinstance(command, str),
        "a crontab has no line breaks within a value": any(map(_BREAKS.search, texts)),
        "it has a variable that a crontab cannot name": not all(
            map(_VARIABLE.fullmatch, environment)
        ),
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def crontab_text(
    jobs: Sequence[Definition],
    left: Sequence[Left],
    *,
    kind: Kind,
    timezone: str,
    title: str,
) -> tuple[str, tuple[Left, ...]]:
    """The text of a crontab, and the jobs that its other jobs leave no room for.

    A variable that is set stays set below it, so jobs with few variables come first. `timezone` is
    what the lines follow that say nothing else. `left` are told as comments.
    """
    lines = [f"# {title}", ""]
    more = list(left)
    current: dict[str, str] = {}
    zone = timezone
    for job in sorted(jobs, key=lambda job: (len(_settings(job)), str(job["name"]))):
        wanted = _settings(job)
        surplus = sorted(current.keys() - wanted.keys() - {"PATH"})
        if surplus:
            reason = f"it has no {surplus[0]}, which other jobs set: export the jobs of one file"
            more.append(Left(str(job["name"]), reason))
            continue
        if "PATH" in current:
            wanted.setdefault("PATH", CRON_PATH)
        changed = {name: text for name, text in wanted.items() if current.get(name) != text}
        if str(job.get("timezone", timezone)) != zone:
            zone = str(job.get("timezone", timezone))
            changed["CRON_TZ"] = zone
        lines += [f"{name}={_quoted(text)}" for name, text in changed.items()]
        current |= {name: text for name, text in changed.items() if name != "CRON_TZ"}
        lines += [*_told(job), _line(job, kind), ""]
    for gone in more:
        lines.append(f"# not in this crontab: '{_plain(gone.name)}': {_plain(gone.reason)}")
    return "\n".join(lines).rstrip("\n") + "\n", tuple(more)


def _environment(job: Definition) -> dict[str, str]:
    env = job.get("env")
    return {str(k): str(v) for k, v in env.items()} if isinstance(env, Mapping) else {}


def _settings(job: Definition) -> dict[str, str]:
    """The settings that must stand above the line."""
    found = _environment(job)
    if found.get("PATH") == CRON_PATH:
        del found["PATH"]
    for name, key in (("SHELL", "shell"), ("MAILTO", "mailto")):
        if job.get(key) is not None:
            found[name] = str(job[key])
    return found


def _quoted(text: str) -> str:
    if text and text == text.strip() and text[0] not in "'\"":
        return text
    return f"'{text}'" if '"' in text else f'"{text}"'


def _told(job: Definition) -> list[str]:
    """Description and name, which no cron reads and the import does."""
    description = job.get("description")
    lines = [] if not description else [say_description(_plain(str(description)))]
    return [*lines, say_name(str(job["name"]))]


def _line(job: Definition, kind: Kind) -> str:
    command = re.sub(r"\\(?=[\\%]|$)", r"\\\\", str(job["command"])).replace("%", r"\%")
    stdin = job.get("stdin")
    if stdin is not None:
        text = str(stdin).removesuffix("\n").replace("%", r"\%").replace("\n", "%")
        command = f"{command}%{text}"
    user = f" {job['user']}" if kind is Kind.SYSTEM and job.get("user") else ""
    return f"{job['schedule']}{user} {command}"


def _plain(text: str) -> str:
    return " ".join(text.split())
