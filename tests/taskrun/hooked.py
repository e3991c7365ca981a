"""Hooks for the tests of the runner."""

import sys

from cronherd.task import Context


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")


def yes() -> bool:
    say("yes")
    return True


def no() -> bool:
    say("no")
    return False


async def later_no() -> bool:
    return False


def before() -> None:
    say("before")


def good(context: Context) -> None:
    say(f"good {context.job}")


def bad() -> None:
    say("bad")


def after() -> None:
    say("after")


def broken() -> None:
    raise ValueError("cannot tell")


def leaves() -> None:
    sys.exit(0)


def leaves_with_four() -> None:
    sys.exit(4)
