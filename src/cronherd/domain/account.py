"""Accounts of people, tokens of programs, sessions and links: what they may be. Pure.

No sentence here repeats a password or a token, not even a part of a wrong one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from cronherd.domain.access import BY_TAG, Role
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import DAY_US

HOUR_US = DAY_US // 24
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.@+-]{0,62}[A-Za-z0-9])?")
PASSWORD_LEAST = 12
PASSWORD_MOST = 1_000
"""More would only make the server work."""
LINK_US = HOUR_US
"""How long a login link may be used."""
SESSION_AGE_US = 7 * DAY_US
SESSION_IDLE_US = 12 * HOUR_US
SEEN_EVERY_US = 60_000_000
"""How exactly it is known when a session or a token was used last: each look would be a write."""
LOGIN_TOKEN_US = 90 * DAY_US
"""How long what `cronherd login` keeps on a host may be used."""
TOKEN_MOST_US = 3_660 * DAY_US
PATTERNS_LENGTH = 400
_PATTERN = re.compile(r"[^\s]{1,120}")
_FORBIDDEN = re.compile(r"[\x00\ud800-\udfff]")
_SHOWN = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A person, or whoever logs in with a password. `password`: there is one by now."""

    id: str
    name: str
    role: Role
    password: bool
    disabled: bool
    created_us: int
    by: str
    seen_us: int | None = None

    @property
    def key(self) -> str:
        return account_key(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One browser that has logged in, as its owner may see it. `id` names it and opens nothing."""

    id: str
    account_id: str
    account: str
    address: str
    program: str
    created_us: int
    seen_us: int
    expires_us: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a program shows instead of a password; `account` None: of no person."""

    id: str
    name: str
    role: Role
    jobs: tuple[str, ...] | None
    account: str | None
    created_us: int
    by: str
    expires_us: int | None
    used_us: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """What a login link is for; `account` None: the first admin, whose name is still open."""

    account: str | None
    role: Role
    expires_us: int


def account_key(name: str) -> str:
    """Names that differ only in case are one account."""
    return name.lower()


def check_account_name(name: str) -> None:
    """Raises Invalid for what cannot name an account or a token."""
    if not NAME.fullmatch(name) or account_key(name) == "local":
        raise Invalid(
            f"'{name[:_SHOWN]}' cannot be the name of an account or a token",
            code="bad_account_name",
            hint="1 to 64 letters, digits and _ . @ + -, not 'local'",
        )


def check_password(password: str, name: str) -> None:
    """Raises Invalid for a password that is too short, too long, or guessed at once."""
    if _FORBIDDEN.search(password):
        raise Invalid("a password is text without NUL", code="bad_password", where="password")
    if len(password) < PASSWORD_LEAST:
        raise Invalid(
            f"a password has at least {PASSWORD_LEAST} characters",
            code="bad_password",
            hint="several words make a good one",
            where="password",
        )
    if len(password) > PASSWORD_MOST:
        sentence = f"a password has at most {PASSWORD_MOST} characters"
        raise Invalid(sentence, code="bad_password", where="password")
    plain = password.lower()
    if len(set(plain)) < 5 or (len(name) > 3 and plain.replace(name.lower(), "") in {"", "123"}):
        raise Invalid("this password is guessed at once", code="bad_password", where="password")


def role_of(word: str) -> Role:
    """The role of this name. Raises Invalid."""
    try:
        return Role(word)
    except ValueError:
        known = ", ".join(Role)
        raise Invalid(
            f"'{word[:_SHOWN]}' is not a role", code="bad_role", hint=f"there are {known}"
        ) from None


def check_patterns(role: Role, patterns: Sequence[str]) -> tuple[str, ...] | None:
    """Names of jobs, `*` for any characters, or `tag:` and a tag, as a limit of a token.

    None of them: no limit. Raises Invalid.

    Whoever may edit one job may make it run any command, so a limit is for viewers and operators.
    """
    if not patterns:
        return None
    if Role.OPERATOR.covers(role):
        if all(_PATTERN.fullmatch(one.removeprefix(BY_TAG)) for one in patterns):
            if len(" ".join(patterns)) <= PATTERNS_LENGTH:
                return tuple(patterns)
            sentence = f"limits to jobs have at most {PATTERNS_LENGTH} characters"
            raise Invalid(sentence, code="bad_limit_to_jobs", where="jobs")
        raise Invalid(
            "a limit is a name without blanks, * for any characters, or tag: and such a tag",
            code="bad_limit_to_jobs",
            where="jobs",
        )
    raise Invalid(
        f"a token of the role {role} cannot be limited to some jobs",
        code="bad_limit_to_jobs",
        hint="whoever edits one job can run any command; limits are for viewer and operator",
        where="jobs",
    )
