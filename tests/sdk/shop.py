"""A program's functions, for schedules in tests; hooks write what they do on standard output."""

import sys

from cronherd import task
from cronherd.task import Context


def say(words: str) -> None:
    sys.stdout.write(f"{words}\n")


@task
def nightly(region: str = "south") -> str:
    """Report each night."""
    say(f"nightly {region}")
    return region


@task(name="other")
def renamed() -> None:
    """Has another name."""


def is_open() -> bool:
    return True


def is_closed() -> bool:
    return False


def is_holiday() -> bool:
    return False


def prepare() -> None:
    say("prepare")


def tidy(context: Context) -> None:
    say(f"tidy {context.job}")
