"""What the commands of the toolbox share: a command at their end, and how it is refused."""

import os
from typing import Any

import click

from cronherd.cli.complaint import printable
from cronherd.tools.command import SpawnError, code_of_refusal

BEHIND: dict[str, Any] = {"allow_interspersed_args": False}
"""Whatever stands behind the arguments belongs to the command, with and without --."""


def command_of(words: tuple[str, ...]) -> tuple[str, ...]:
    """The command without the -- before it. Raises UsageError when there is none."""
    command = words[1:] if words[:1] == ("--",) else words
    if not command:
        raise click.UsageError("there is no command\nwrite it at the end, behind --")
    return command


def refuse(error: SpawnError) -> int:
    """Say why nothing was executed; the exit code."""
    complain_of(error.text)
    return code_of_refusal(error)


def complain_of(sentence: str) -> None:
    """One line on stderr. Raises nothing: a tool goes on where nobody listens."""
    try:
        os.write(2, f"cronherd: {printable(sentence)}\n".encode("utf-8", "replace"))
    except OSError:
        return
