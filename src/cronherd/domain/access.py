"""Who may do what: four roles, each of which may also do what those before it may."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase


class Role(StrEnum):
    """What somebody may do; the words of MAY say it for people."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    EDITOR = "editor"
    ADMIN = "admin"

    def covers(self, wanted: "Role") -> bool:
        """Whether who has this role may do what that one is needed for."""
        return _ORDER[self] >= _ORDER[wanted]


_ORDER = {role: rank for rank, role in enumerate(Role)}

MAY = {
    Role.VIEWER: "look at everything but accounts, tokens and the names of secrets",
    Role.OPERATOR: "run, cancel, pause, resume, skip and backfill, enable and disable jobs, and "
    "send alerts again, take and clear locks",
    Role.EDITOR: "create, edit, apply and delete jobs, and see which secrets there are",
    Role.ADMIN: "manage accounts, tokens, secrets, nodes and the hold of the fleet",
}


BY_TAG = "tag:"
"""Before a tag, where a limit names jobs."""


class Way(StrEnum):
    """How somebody came in."""

    LOCAL = "local"  # the Unix socket, which only its owner may open
    SESSION = "session"  # a cookie, so a page of somebody else can make the browser send it
    TOKEN = "token"  # noqa: S105 - a word
    PROXY = "proxy"  # the header of a proxy that is trusted; as dangerous as a cookie


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who makes a request: `actor` is the name that events keep.

    `jobs` None: every job; else patterns of names, or `tag:` and a tag, and nothing but those jobs
    and their runs may be asked for. `account` and `token` are names. `csrf` is what each change of
    a session has to bring along.
    """

    actor: str
    role: Role
    way: Way
    account: str | None = None
    session: str | None = None
    token: str | None = None
    csrf: str = ""
    jobs: tuple[str, ...] | None = None

    def may(self, role: Role) -> bool:
        return self.role.covers(role)

    @property
    def by_tags(self) -> bool:
        """Whether tags of jobs decide about them, too."""
        return any(pattern.startswith(BY_TAG) for pattern in self.jobs or ())

    def may_touch(self, job: str, tags: Collection[str] = ()) -> bool:
        """Whether a job of this name is one of those the caller is limited to, if it is at all."""
        return self.jobs is None or any(
            pattern.removeprefix(BY_TAG) in tags
            if pattern.startswith(BY_TAG)
            else fnmatchcase(job.lower(), pattern.lower())
            for pattern in self.jobs
        )


LOCAL = Caller(actor="local", role=Role.ADMIN, way=Way.LOCAL)
