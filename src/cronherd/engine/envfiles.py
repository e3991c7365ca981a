"""Files of `KEY=value` lines, read on the executing host at each start. Nothing is expanded.

No sentence here repeats a value: such files often hold passwords.
"""

import os
import re
import stat
from collections.abc import Sequence

from cronherd.domain.errors import Invalid
from cronherd.supervisor.trail import Trail

LARGEST = 1 << 20
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would wait
_IGNORED = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\n|$)")
_PAIR = re.compile(
    r"""[ \t]*(?:export[ \t]+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)[ \t]*=[ \t]*
    (?:"(?P<double>(?:[^"\\]|\\.)*)" | '(?P<single>[^']*)' | (?P<plain>[^"'\n][^\n]*)?)
    [ \t]*(?P<rest>\#[^\n]*)?(?:\n|$)""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# What a backslash takes its meaning from within double quotes; before all else it stays.
_MEANT = '"\\$`'
_COMMENT = re.compile(r"[ \t]#")


def read_env_files(paths: Sequence[str], home: str, uid: int | None = None) -> dict[str, str]:
    """All of them, the later wins; a path behind `-` may be missing. Raises Invalid.

    `uid`: of the other user whose run gets the values, when we are root. What that user may not
    read is read all the same, where the job names it: but not because a link of somebody led there.
    """
    values: dict[str, str] = {}
    for said in paths:
        path = said.removeprefix("-")
        full = home + path[1:] if path.startswith("~/") else path
        try:
            content = _content(full, uid)
        except FileNotFoundError:
            if said.startswith("-"):
                continue
            text = f"env_file {full} does not exist on this host"
            hint = f"write -{path} if it may be missing"
            raise Invalid(text, code="bad_env_file", hint=hint) from None
        except OSError as error:
            text = f"env_file {full} cannot be read: {error.strerror}"
            raise Invalid(text, code="bad_env_file") from None
        values |= parse_env(content, full)
    return values


def _content(path: str, uid: int | None) -> str:
    descriptor = os.open(path, _FLAGS) if uid is None else _open_for(path, uid)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Invalid(f"env_file {path} is not a file", code="bad_env_file")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LARGEST + 1)
    finally:
        os.close(descriptor)
    if len(content) > LARGEST:
        text = f"env_file {path} is larger than {LARGEST >> 20} MiB"
        raise Invalid(text, code="bad_env_file")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise Invalid(f"env_file {path} is not text in UTF-8", code="bad_env_file") from None


def _open_for(path: str, uid: int) -> int:
    """For another user: a file of their own, or one to which no user could have bent the way."""
    trail = Trail(path, last=True)
    try:
        descriptor = os.open(trail.name, _FLAGS | os.O_NOFOLLOW, dir_fd=trail.folder)
        seen = os.fstat(descriptor)
        if seen.st_uid == uid:
            bent = not trail.strangers <= {uid}
        else:
            bent = bool(trail.strangers) or (seen.st_nlink > 1 and _is_shared(trail.folder))
    finally:
        trail.close()
    if not bent:
        return descriptor
    os.close(descriptor)
    text = f"env_file {path} is a link of a user to a file that is not theirs"
    raise Invalid(
        text, code="bad_env_file", hint="name the file itself, or make root the link's owner"
    )


def _is_shared(folder: int) -> bool:
    """Whether others than root and we can make a second name of a file in there."""
    seen = os.fstat(folder)
    return seen.st_uid not in {0, os.geteuid()} or bool(
        seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    )


def parse_env(content: str, path: str) -> dict[str, str]:
    """The pairs of one file. Raises Invalid at the first line that is none."""
    values: dict[str, str] = {}
    content = content.removeprefix("\ufeff").replace("\r\n", "\n")
    at = 0
    while at < len(content):
        if ignored := _IGNORED.match(content, at):
            at = ignored.end()
            continue
        found = _PAIR.match(content, at)
        try:
            if not found:
                hint = "quotes must be closed, and nothing but a comment may follow them"
                raise _bad("is not KEY=value", hint)
            values[found["key"]] = _value(found)
        except Invalid as error:
            line = content.count("\n", 0, at) + 1
            text = f"env_file {path}: line {line} {error.text}"
            raise Invalid(text, code=error.code, hint=error.hint) from None
        at = found.end()
    return values


def _value(found: re.Match[str]) -> str:
    if found["double"] is not None:
        value = _ESCAPED.sub(_unescape, found["double"])
    elif found["single"] is not None:
        value = found["single"]
    else:
        value = (found["plain"] or "").rstrip()
        before = found.string[found.start("plain") - 1] if value else ""
        if _COMMENT.search(before + value):  # a comment to some, a part of the value to others
            hint = "put the value in quotes, or the comment on a line of its own"
            raise _bad("has a # behind a blank", hint)
    if "\0" in value:
        raise _bad("holds a NUL")
    return value


def _unescape(found: re.Match[str]) -> str:
    return found[1] if found[1] in _MEANT else found[0]


def _bad(what: str, hint: str = "") -> Invalid:
    return Invalid(what, code="bad_env_file", hint=hint)
