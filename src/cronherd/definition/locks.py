"""How the lock of a job is read: a word that says where it is, or a mapping that says more."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from cronherd.definition.faults import (
    SWITCH,
    Kind,
    Shape,
    check,
    choice,
    clean_schema,
    duration,
    given,
    read_duration,
    spell,
)
from cronherd.domain.duration import format_duration, parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.lock import (
    EXPIRY_US,
    FORMS,
    MEMCACHED_EXPIRY_US,
    Away,
    LogLevel,
    check_expiry,
    check_name,
    is_fleet_name,
    read_url,
)

PATH_LENGTH = 4_000
_EXPIRES = {"type": ["string", "number"], "examples": ["10m", "1h"]}
_HINT = "write a name, /a/file, or redis://host/name"


def _read_name(value: object) -> str:
    return check_name(_text(value))


def _read_file(value: object) -> str:
    path = _text(value)
    if not path.startswith("/") or len(path) > PATH_LENGTH or not path.isprintable():
        raise Invalid(
            "the file of a lock begins with /", code="bad_path", hint="write /run/lock/report"
        )
    return path


def _read_url(value: object) -> str:
    url = _text(value)
    server = read_url(url)
    if server.password is not None:
        raise Invalid(
            "the URL of a lock holds no password: everybody who may see the job would see it",
            code="lock_password",
            hint="keep it as a secret, and give it to the job: "
            "secrets: [{name: …, env: REDISCLI_AUTH}]",
        )
    return url


def _read_expiry(value: object) -> str:
    text = read_duration(value)
    check_expiry(parse_duration(text))
    return text


def _text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise Invalid(f"must say which lock, not {spell(value)}", code="bad_lock", hint=_HINT)


class LockDefinition(Shape):
    """A lock, and what happens when it cannot be had."""

    name: Annotated[str | None, Kind(_read_name, {"type": "string"})] = Field(
        default=None, description="A lock of the whole fleet, in its database."
    )
    file: Annotated[str | None, Kind(_read_file, {"type": "string", "pattern": "^/"})] = Field(
        default=None, description="A file of the executing host."
    )
    url: Annotated[str | None, Kind(_read_url, {"type": "string", "pattern": "://"})] = Field(
        default=None,
        description="A lock on a server: redis://, rediss:// or memcached://host/name.",
    )
    wait: Annotated[str, duration()] = Field(
        default="0s", description="How long a run waits for the lock; it counts to its timeout."
    )
    expires: Annotated[str, Kind(_read_expiry, _EXPIRES)] = Field(
        default=format_duration(EXPIRY_US),
        description="When the lock of a holder that vanished is free; while the run lives it is "
        "renewed. A file knows no expiry.",
    )
    shared: Annotated[bool, SWITCH] = Field(
        default=False, description="Whether others that share it may hold it too."
    )
    unavailable: Annotated[str, choice(*Away)] = Field(
        default=Away.WAIT.value,
        description="When the lock cannot be asked for: ask again for as long as wait says, or "
        "skip the run at once. It never runs without its lock.",
    )
    log: Annotated[str, choice(*LogLevel)] = Field(
        default=LogLevel.NONE.value,
        description="What the run's output says of the lock: nothing, when somebody has held it "
        "for 10 minutes or more, or each step.",
    )


def read_lock(value: object) -> str | dict[str, object]:
    """A word, or a mapping without what is the default anyway. Raises Invalid, Faulty."""
    if isinstance(value, str):
        return _READERS[_form_of(value)](value)
    if not isinstance(value, Mapping):
        raise Invalid(f"must say which lock, not {spell(value)}", code="bad_lock", hint=_HINT)
    said = given(check(LockDefinition, {k: v for k, v in value.items() if v is not None}))
    plain = LockDefinition.model_fields
    said = {key: part for key, part in said.items() if part != plain[key].default}
    forms = [form for form in FORMS if form in said]
    if len(forms) != 1:
        raise Invalid(
            "has no name, file or url" if not forms else f"has both {forms[0]} and {forms[1]}",
            code="bad_lock",
            hint=_HINT,
        )
    _check_kind(said, forms[0])
    return str(said[forms[0]]) if len(said) == 1 else said


def _check_kind(said: Mapping[str, object], form: str) -> None:
    """What the kind of lock cannot keep is refused here, and not by each run."""
    memcached = form == "url" and read_url(str(said[form])).kind == "memcached"
    if memcached and said.get("shared"):
        text = "a lock in Memcached cannot be shared"
        raise Invalid(text, code="no_shared_lock", hint="use Redis or the fleet", where="shared")
    if memcached and "expires" in said:
        check_expiry(parse_duration(str(said["expires"])), MEMCACHED_EXPIRY_US)
    if form == "file" and "expires" in said:
        text = "a file is free when its holder ends, and does not expire"
        raise Invalid(text, code="bad_expiry", hint="leave it out", where="expires")


def _form_of(where: str) -> str:
    if "://" in where:
        return "url"
    return "name" if is_fleet_name(where) else "file"


_READERS = {"name": _read_name, "file": _read_file, "url": _read_url}
_LONG_FORM: dict[str, Any] = clean_schema(LockDefinition.model_json_schema())
LOCK = Kind(read_lock, {"anyOf": [{"type": "string"}, _LONG_FORM]})
