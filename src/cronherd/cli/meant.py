"""What was meant by a command that does not exist: another order, another word, a slip."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

import click

# Words of habit and of other programs, by the group they are typed below; "" is the top.
_HABITS: Mapping[str, Mapping[str, str]] = {
    "": {
        **dict.fromkeys(("jobs", "list", "ls"), "job list"),
        **dict.fromkeys(("runs", "history", "ps"), "run list"),
        **dict.fromkeys(("nodes", "hosts"), "node list"),
        **dict.fromkeys(("add", "new", "submit"), "job create"),
        **dict.fromkeys(("exec", "trigger"), "job run"),
        **dict.fromkeys(("remove", "del"), "job delete"),
        **dict.fromkeys(("stop", "kill"), "run cancel"),
        **dict.fromkeys(("start", "serve", "server", "daemon"), "up"),
        **dict.fromkeys(("check", "validate", "lint"), "apply --dry-run -f"),
        **dict.fromkeys(("migrate", "upgrade"), "db upgrade"),
        "schedule": "next",
        "schedules": "timers",
        "cron": "import crontab",
        "restart": "up",
        **dict.fromkeys(("hold", "freeze"), "maintenance on"),
        **dict.fromkeys(("unhold", "unfreeze"), "maintenance off"),
        **dict.fromkeys(("cordon", "evacuate"), "node drain"),
        "tail": "logs -f",
        "log": "logs",
        "version": "--version",
        "help": "--help",
    },
    "job": {
        **dict.fromkeys(("log", "output"), "logs"),
        **dict.fromkeys(("stop", "kill"), "run cancel"),
        **dict.fromkeys(("history", "runs"), "run list"),
        **dict.fromkeys(("start", "exec", "trigger"), "job run"),
        **dict.fromkeys(("add", "new"), "job create"),
        **dict.fromkeys(("update", "change", "set"), "job edit"),
        **dict.fromkeys(("remove", "del"), "job delete"),
        "import": "import crontab",
        **dict.fromkeys(("suspend", "hold", "snooze"), "job pause"),
        **dict.fromkeys(("unpause", "continue"), "job resume"),
    },
    "run": {
        **dict.fromkeys(("stop", "kill"), "run cancel"),
        **dict.fromkeys(("start", "again", "rerun", "retry"), "job run"),
        "log": "run logs",
    },
    "node": {
        **dict.fromkeys(("cordon", "disable", "pause", "stop"), "node drain"),
        **dict.fromkeys(("uncordon", "enable", "undrain"), "node resume"),
        **dict.fromkeys(("delete", "del", "forget"), "node remove"),
        **dict.fromkeys(("show", "view", "status"), "node list"),
    },
    "maintenance": {
        **dict.fromkeys(("start", "begin", "enable"), "maintenance on"),
        **dict.fromkeys(("stop", "end", "disable"), "maintenance off"),
        **dict.fromkeys(("status", "show"), "status"),
    },
    "db": dict.fromkeys(("migrate", "init", "update"), "db upgrade"),
    "config": dict.fromkeys(("list", "get", "check", "validate"), "config show"),
}
# What a word below a group is when it is nothing known: the name of a job, of a file.
_NAMED = {"run": "job run", "import": "import crontab"}


def meant(ctx: click.Context, args: Sequence[str]) -> str:
    """The hint for `args`, whose first word is no command of the group that `ctx` stands for."""
    below = "" if ctx is ctx.find_root() else str(ctx.info_name)
    known = _verbs(ctx)
    if other := _other(ctx.find_root(), below, args, known):
        return f"did you mean 'cronherd {other}'?"
    if close := get_close_matches(args[0], known, n=1):
        return f"did you mean '{close[0]}'?"
    if below in _NAMED:
        return f"did you mean 'cronherd {_with(_NAMED[below], args[0])}'?"
    if not below and (verb := _nearly_verb(ctx, args[0])):
        return f"did you mean 'cronherd job {verb}'?"
    return f"try '{ctx.command_path} --help'"


def _other(root: click.Context, below: str, args: Sequence[str], known: Sequence[str]) -> str:
    """A whole command that is surely meant; empty where a slip of the keys is more likely."""
    name = args[0]
    if not below and (swapped := _swapped(root, args)):
        return swapped
    if habit := _HABITS.get(below, {}).get(name.lower()):
        return habit
    if below in _NAMED and any(char in name for char in "/.-"):
        return _with(_NAMED[below], name)
    return "" if _is_slip(name, known) else _elsewhere(root, name, below)


def _with(command: str, name: str) -> str:
    """The command with the word that was typed, where it needs no quotes of its own."""
    return f"{command} {name}" if shlex.quote(name) == name else command


def _is_slip(name: str, known: Sequence[str]) -> bool:
    """Whether it is nearly a command of this place: nearer than the same word somewhere else."""
    return bool(get_close_matches(name, known, n=1, cutoff=0.8))


def _verbs(ctx: click.Context) -> list[str]:
    command = ctx.command
    return command.list_commands(ctx) if isinstance(command, click.Group) else []


def _groups(root: click.Context) -> Iterator[tuple[str, click.Group]]:
    top = root.command
    assert isinstance(top, click.Group)
    for name in top.list_commands(root):
        found = top.get_command(root, name)
        if isinstance(found, click.Group):
            yield name, found


def _nearly_verb(root: click.Context, name: str) -> str:
    """What is done with a job, misspelt and without the noun."""
    jobs = dict(_groups(root))["job"].list_commands(root)
    return next(iter(get_close_matches(name, jobs, n=1)), "")


def _swapped(root: click.Context, args: Sequence[str]) -> str:
    """`list jobs`, `delete job x`: the verb before the noun; and `jobs show x`, its plural."""
    words = [word.lower() for word in args[:2]]
    for noun, verb in (words, words[::-1]) if len(words) == 2 else ():
        for name, group in _groups(root):
            if name == noun.removesuffix("s") and (found := group.get_command(root, verb)):
                return f"{name} {found.name}"
    return ""


def _elsewhere(root: click.Context, name: str, below: str) -> str:
    """The same word where it is a command: below another noun, or at the top."""
    top = root.command
    assert isinstance(top, click.Group)
    if below and name in top.list_commands(root):
        return name
    for noun, group in _groups(root):
        if noun != below and (verb := group.get_command(root, name)):
            return f"{noun} {verb.name}"
    return ""
