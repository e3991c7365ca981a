"""Passwords come from a prompt that does not show them, or from a pipe, never from argv."""

import sys

import click

from cronherd.cli.output import is_terminal
from cronherd.domain.account import PASSWORD_MOST, check_password
from cronherd.domain.errors import Invalid


def ask_password(asked: str) -> str:
    """One that is there already."""
    if is_terminal(sys.stdin):
        typed: str = click.prompt(asked, hide_input=True, err=True)
        return typed
    return _piped()


def new_password(name: str) -> str:
    """A new one, typed twice at a terminal. Raises Invalid."""
    if not is_terminal(sys.stdin):
        piped = _piped()
        check_password(piped, name)
        return piped
    typed: str = click.prompt(f"new password of '{name}'", hide_input=True, err=True)
    check_password(typed, name)
    if click.prompt("once more", hide_input=True, err=True) != typed:
        raise Invalid("the two passwords differ", code="bad_password", hint="nothing was changed")
    return typed


def _piped() -> str:
    """The first line of standard input."""
    line = sys.stdin.buffer.readline(4 * PASSWORD_MOST + 3)
    try:
        return line.removesuffix(b"\n").removesuffix(b"\r").decode()
    except UnicodeDecodeError:
        raise Invalid("a password is text in UTF-8", code="bad_password") from None
