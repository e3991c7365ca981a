"""Whom commands run as: the agent's own account, or another one of this host."""

import grp
import os
import pwd
from dataclasses import dataclass, field

from cronherd.domain.errors import Invalid
from cronherd.domain.job import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account of this host; `group` is its own one, `root` whether it may become others.

    `way`: how its own runs reach the fleet, for their locks; may hold a password.
    """

    user: str
    home: str
    group: str = ""
    root: bool = False
    way: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """As whom one run is started; `user` and `group` are empty where they are the agent's own.

    `uid`: of that other user.
    """

    home: str
    name: str
    user: str = ""
    group: str = ""
    uid: int | None = None


def own_account() -> Account:
    """The account this process runs as."""
    uid = os.geteuid()
    entry = pwd.getpwuid(uid)
    return Account(
        user=entry.pw_name,
        home=_home(entry.pw_dir),
        group=_group_name(os.getegid()),
        root=uid == 0,
    )


def identity_of(job: Job, account: Account) -> Identity:
    """As whom this job runs here. Raises Invalid where this host cannot or must not."""
    user = job.user if job.user not in {None, account.user} else ""
    group = job.group or ""
    if not user and group == account.group:
        group = ""
    if (user or group) and not account.root:
        wanted = f"user '{user}'" if user else f"group '{group}'"
        raise _refused(
            f"the job wants {wanted}, this agent runs as '{account.user}' and cannot change it",
            "run the agent as root and let its host allow that user, or leave it out of the job",
        )
    if group:
        _check_group(group)
    if not user:
        return Identity(home=account.home, name=account.user, group=group)
    entry = _entry(user)
    return Identity(home=_home(entry.pw_dir), name=user, user=user, group=group, uid=entry.pw_uid)


def _entry(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise _refused(
            f"the job wants user '{user}', and this host has none of that name"
        ) from None


def _check_group(group: str) -> None:
    try:
        grp.getgrnam(group)
    except KeyError:
        text = f"the job wants group '{group}', and this host has none of that name"
        raise _refused(text) from None


def _group_name(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:  # a container may have numbers without names
        return ""


def _home(wanted: str) -> str:
    """Where commands start that say nothing else. Accounts of services often have no home."""
    return wanted if os.access(wanted, os.X_OK) else "/"


def _refused(text: str, hint: str = "") -> Invalid:
    return Invalid(text, code="not_executable", hint=hint)
