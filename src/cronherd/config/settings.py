"""What a configuration may say: each setting, how it is read, its default and its sentence."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field
from pydantic.fields import FieldInfo

from cronherd.config.alerts import AlertSettings
from cronherd.config.web import WebSettings
from cronherd.definition.faults import (
    LABELS,
    ZONE,
    Kind,
    Shape,
    choice,
    clean_schema,
    duration,
    nested,
    printable,
    read_text,
    read_whole,
    spell,
)
from cronherd.definition.jobs import job_schema, read_defaults
from cronherd.domain.duration import format_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.policy import DRAIN_TIMEOUT_US, LEDGER_AGE_US
from cronherd.domain.rate import parse_rate

MAX_CAPACITY = 10_000
LOG_LEVELS = ("debug", "info", "warning", "error")
CPU_SHARES = ("cpu_full", "cpu_half", "cpu_quarter")

_SERVERS = {
    "postgresql": "postgresql",
    "postgres": "postgresql",
    "mysql": "mysql",
    "mariadb": "mysql",
}
_SERVER_HINT = "or postgresql://user@host/database, or mysql://user@host/database"
_SQLITE_HINT = "write sqlite:///var/cronherd.db, or sqlite:////var/lib/cronherd/cronherd.db"
_NODE_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,118}[A-Za-z0-9])?")
_SECRET = re.compile(r"(://[^:/@\s]*):[^/\s]*@")


def mask(text: str) -> str:
    """The text with the password of a URL hidden."""
    return _SECRET.sub(r"\1:***@", text)


def _read_database(value: object) -> str:
    url = read_text(value, most=4_000, lines=False)
    scheme, found, rest = url.partition("://")
    scheme = scheme.lower()
    if found and scheme in _SERVERS:
        return _read_server(_SERVERS[scheme], url, rest)
    if not found or scheme != "sqlite":
        hint = f"{_SQLITE_HINT}; {_SERVER_HINT}"
        raise Invalid(f"'{printable(mask(url)[:80])}' is not a database", code="bad_url", hint=hint)
    if not rest.startswith("/") or rest in {"/", "//", "/:memory:"} or rest.endswith("/"):
        raise Invalid("the database needs a file", code="bad_url", hint=_SQLITE_HINT)
    if "?" in rest or "#" in rest:
        raise Invalid("the URL of an SQLite file has no options", code="bad_url", hint="drop the ?")
    return url


def read_server_url(value: str) -> str:
    """The URL of a database on a server, never an SQLite file. Raises Invalid."""
    url = read_text(value, most=4_000, lines=False)
    scheme, found, rest = url.partition("://")
    if not found or scheme.lower() not in _SERVERS:
        text = f"'{printable(mask(url)[:80])}' is not the URL of a database server"
        raise Invalid(text, code="bad_url", hint=_SERVER_HINT.removeprefix("or "))
    return _read_server(_SERVERS[scheme.lower()], url, rest)


def _read_server(scheme: str, url: str, rest: str) -> str:
    """The URL of a server: one name for each kind, and a database that is named."""
    plain = f"{scheme}://{rest}"
    try:
        parts = urlsplit(plain)
        port = parts.port
    except ValueError as error:
        text = f"'{printable(mask(url)[:80])}' is not the URL of a server: {error}"
        raise Invalid(text, code="bad_url", hint=_SERVER_HINT) from None
    if port == 0 or not parts.path.strip("/") or "/" in parts.path.strip("/"):
        raise Invalid("the URL of a server names one database", code="bad_url", hint=_SERVER_HINT)
    if parts.fragment:
        raise Invalid("a # in a password is written %23", code="bad_url", hint=_SERVER_HINT)
    known = {"unix_socket", "ssl_ca"}
    unknown = sorted(name for name, _ in parse_qsl(parts.query) if name not in known)
    if scheme == "mysql" and unknown:
        text = f"'{printable(unknown[0][:40])}' is not an option of a mysql:// URL"
        raise Invalid(text, code="bad_url", hint=f"there are {', '.join(sorted(known))}")
    return plain


def read_node_name(value: object) -> str:
    name = read_text(value, most=1_000)
    if _NODE_NAME.fullmatch(name):
        return name
    hint = "letters, digits and _ . - in between, at most 120"
    raise Invalid(f"{spell(name)} cannot be a node's name", code="bad_name", hint=hint)


def _read_path(value: object) -> str:
    path = read_text(value, most=4_000, lines=False)
    if path.startswith("/"):
        return path
    raise Invalid("the path must be absolute", code="bad_path", hint="begin it with /")


def _read_capacity(value: object) -> int | str:
    if isinstance(value, str) and value in CPU_SHARES:
        return value
    try:
        return read_whole(value, 1, MAX_CAPACITY)
    except Invalid as error:
        raise Invalid(error.text, hint=f"or one of {', '.join(CPU_SHARES)}") from None


def _read_rate(value: object) -> str:
    return parse_rate(read_text(value, most=100, lines=False)).text


_RATE = Kind(_read_rate, {"type": "string", "examples": ["60/m"]})
_CAPACITY_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": MAX_CAPACITY},
        {"enum": list(CPU_SHARES)},
    ]
}
_JOBS_SCHEMA = {"type": ["array", "object"]}


class NodeSettings(Shape):
    """The host as a member of the fleet."""

    name: Annotated[str | None, Kind(read_node_name, {"type": "string"})] = Field(
        default=None, description="What the node is called; the host's name when absent."
    )
    labels: Annotated[dict[str, str] | None, LABELS] = Field(
        default=None, description="Labels that jobs ask for with run_on, such as zone: eu."
    )
    capacity: Annotated[int | str | None, Kind(_read_capacity, _CAPACITY_SCHEMA)] = Field(
        default=None,
        description="How many runs the node takes at once: a number, cpu_full, cpu_half or "
        "cpu_quarter; max(32, 8 x processors) when absent.",
    )
    catchup_rate: Annotated[str | None, _RATE] = Field(
        default=None,
        description="How many runs of missed slots each node begins on average, such as 60/m; "
        "the fleet's rate is at most this times the nodes that live. Say the same on all nodes.",
    )


class Settings(Shape):
    """The configuration of a cronherd process."""

    database: Annotated[str | None, Kind(_read_database, {"type": "string"})] = Field(
        default=None,
        description="The URL of the fleet's database; a file in the state directory when absent.",
    )
    database_password_file: Annotated[str | None, Kind(_read_path, {"type": "string"})] = Field(
        default=None,
        description="A file whose first line is the password of the database's user; "
        "$CREDENTIALS_DIRECTORY/database-password when absent and there.",
    )
    secret_key_file: Annotated[str | None, Kind(_read_path, {"type": "string"})] = Field(
        default=None,
        description="The key of the secrets, the same on every node: a file of mode 0600, one key "
        "a line, the newest first. $CREDENTIALS_DIRECTORY/cronherd-secret-key when absent and "
        "there, else secret.key in the state directory.",
    )
    timezone: Annotated[str | None, ZONE] = Field(
        default=None,
        description="The zone of jobs that name none, fixed when the fleet is made; the host's "
        "when absent.",
    )
    node: Annotated[dict[str, Any] | None, nested(NodeSettings)] = Field(
        default=None, description="The host as a member of the fleet."
    )
    alerts: Annotated[dict[str, Any] | None, nested(AlertSettings)] = Field(
        default=None, description="What the node sends mail, webhooks and pings with."
    )
    web: Annotated[dict[str, Any] | None, nested(WebSettings)] = Field(
        default=None, description="Where and how the pages are served."
    )
    catchup_rate: Annotated[str | None, _RATE] = Field(
        default=None,
        description="How many caught-up and backfilled runs the whole fleet begins, such as "
        "600/m; no limit when absent. Say the same on all nodes.",
    )
    drain_timeout: Annotated[str, duration()] = Field(
        default=format_duration(DRAIN_TIMEOUT_US),
        description="How long the first Ctrl-C or SIGTERM waits for runs.",
    )
    ledger_age: Annotated[str, duration()] = Field(
        default=format_duration(LEDGER_AGE_US),
        description="How long the record of slots that did not run is kept.",
    )
    log_level: Annotated[str, choice(*LOG_LEVELS)] = Field(
        default="info", description="The least important message that is written."
    )
    defaults: Annotated[dict[str, Any] | None, Kind(read_defaults, {"type": "object"})] = Field(
        default=None, description="Settings of a job that its definition leaves out."
    )
    jobs: Annotated[Any, Kind(lambda value: value, _JOBS_SCHEMA)] = Field(
        default=None, description="Job definitions that up and apply write into the store."
    )


SECTIONS: Mapping[str, type[Shape]] = {
    "node": NodeSettings,
    "alerts": AlertSettings,
    "web": WebSettings,
}
"""Settings that are mappings of settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingRow:
    """One row of the reference."""

    name: str
    default: str
    description: str


def list_settings() -> tuple[SettingRow, ...]:
    """Every setting with its default and one sentence: the reference is made from it."""
    rows = []
    for name, setting in Settings.model_fields.items():
        if name not in SECTIONS:
            rows.append(_row(name, setting))
            continue
        rows += [_row(f"{name}.{key}", part) for key, part in SECTIONS[name].model_fields.items()]
    return tuple(rows)


def config_schema() -> dict[str, Any]:
    """The JSON Schema of a configuration file, with that of its jobs."""
    job = {key: part for key, part in job_schema().items() if key != "$schema"}
    unnamed = {key: part for key, part in job.items() if key != "required"}
    schema = clean_schema(Settings.model_json_schema())
    own = {"name", "command", "task", "args", "schedule"}
    block = {key: part for key, part in job["properties"].items() if key not in own}
    schema["properties"]["jobs"] |= {"items": job, "additionalProperties": unnamed}
    schema["properties"]["defaults"] |= {"properties": block, "additionalProperties": False}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, "title": "The configuration of cronherd", **schema}


def _row(name: str, setting: FieldInfo) -> SettingRow:
    default = "" if setting.default is None else str(setting.default)
    return SettingRow(name=name, default=default, description=setting.description or "")


def drop_unsaid(value: Mapping[str, Any]) -> dict[str, Any]:
    """Without settings that have nothing behind the colon: they are left out."""
    said = _said(value, Settings)
    for name, model in SECTIONS.items():
        if isinstance(part := said.get(name), Mapping):
            said[name] = _said(part, model)
    return said


def _said(value: Mapping[str, Any], model: type[Shape]) -> dict[str, Any]:
    known = model.model_fields
    return {key: part for key, part in value.items() if part is not None or key not in known}
