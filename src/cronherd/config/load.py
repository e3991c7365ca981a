"""ONE frozen Config: flags before environment before files, each fault with its place.

Reading is a line: gather the layers, merge them, check, freeze. Every value remembers where it
came from, for faults and for `config show`.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cronherd.config.alerts import Alerting, build_alerting, check_alerts
from cronherd.config.layers import Layers, add_environment, add_file, add_flags, find_sources
from cronherd.config.settings import SECTIONS, Settings, drop_unsaid, mask, read_node_name
from cronherd.config.web import Web, build_web, check_web
from cronherd.definition.faults import Faulty, bounded, check, dotted
from cronherd.definition.faults import Path as KeyPath
from cronherd.definition.jobs import RawJob, split_jobs
from cronherd.domain.duration import format_duration, parse_duration
from cronherd.domain.errors import Invalid, InvalidInput
from cronherd.domain.instant import zone_names
from cronherd.domain.policy import DRAIN_TIMEOUT_US, LEDGER_AGE_US
from cronherd.domain.rate import Rate, parse_rate

# Names of files in $CREDENTIALS_DIRECTORY.
PASSWORD_CREDENTIAL = "database-password"  # noqa: S105 - a name
SECRET_KEY_CREDENTIAL = "cronherd-secret-key"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One setting as it stands: its value and where it came from."""

    value: object
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The host as a member of the fleet; no capacity means the default."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    capacity: int | str | None = None
    catchup_rate: Rate | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything a process was told. `jobs` are raw: they are read with the fleet's zone."""

    node: Node
    timezone: str
    database: str | None = None
    database_password_file: Path | None = None
    secret_key_file: Path | None = None
    alerts: Alerting = field(default_factory=Alerting)
    web: Web = field(default_factory=Web)
    catchup_rate: Rate | None = None
    drain_timeout_us: int = DRAIN_TIMEOUT_US
    ledger_age_us: int = LEDGER_AGE_US
    log_level: str = "info"
    defaults: Mapping[str, object] = field(default_factory=dict)
    jobs: tuple[RawJob, ...] = ()
    sources: tuple[Path, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)

    def describe(self) -> dict[str, Shown]:
        """Every setting, its value and its origin; passwords are masked."""
        values: dict[str, object] = {
            "database": mask(self.database) if self.database else None,
            "database_password_file": str(self.database_password_file or "") or None,
            "secret_key_file": str(self.secret_key_file or "") or None,
            "timezone": self.timezone,
            "node.name": self.node.name,
            "node.labels": dict(self.node.labels),
            "node.capacity": self.node.capacity,
            "node.catchup_rate": self.node.catchup_rate and self.node.catchup_rate.text,
            **self.alerts.describe(),
            **self.web.describe(),
            "catchup_rate": self.catchup_rate and self.catchup_rate.text,
            "drain_timeout": format_duration(self.drain_timeout_us),
            "ledger_age": format_duration(self.ledger_age_us),
            "log_level": self.log_level,
            "jobs": len(self.jobs),
        }
        values |= {f"defaults.{name}": value for name, value in self.defaults.items()}
        return {
            name: Shown(value=value, origin=self.origins.get(name, "default"))
            for name, value in values.items()
        }


def load_config(
    *,
    config: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    cwd: Path,
    home: Path | None,
) -> Config:
    """The configuration of this process. Raises InvalidInput with every fault and its place.

    `overrides` are the flags, by dotted name (`node.capacity`); None is a flag that was not given.
    """
    sources = find_sources(config, cwd, home)
    layers = Layers()
    errors: list[Invalid] = []
    for source in sources:
        errors += add_file(layers, source, environ, cwd)
    errors += add_environment(layers, environ)
    errors += add_flags(layers, overrides)
    if errors:
        raise bounded(errors)
    return _freeze(layers, sources, environ)


def _freeze(layers: Layers, sources: tuple[Path, ...], environ: Mapping[str, str]) -> Config:
    errors: list[Invalid] = []
    jobs: tuple[RawJob, ...] = ()
    settings = Settings()
    try:
        jobs = split_jobs(layers.value.get("jobs"), layers.place)
    except InvalidInput as error:
        errors += error.errors
    try:
        settings = check(Settings, drop_unsaid(layers.value))
    except Faulty as error:
        for fault in error.faults:
            spot = layers.place(fault.path)
            setting = dotted(fault.path)
            errors.append(fault.invalid(f"{spot}: {setting}" if spot else setting))
    for slip in [*check_alerts(settings.alerts or {}), *check_web(settings.web or {})]:
        spot = layers.place(tuple(slip.where.split(".")))
        where = f"{spot}: {slip.where}" if spot else slip.where
        errors.append(Invalid(slip.text, code=slip.code, hint=slip.hint, where=where))
    if errors:
        raise bounded(errors)
    return _config(settings, jobs, sources, _origins(layers), environ)


def _config(
    settings: Settings,
    jobs: tuple[RawJob, ...],
    sources: tuple[Path, ...],
    origins: Mapping[str, str],
    environ: Mapping[str, str],
) -> Config:
    node = settings.node or {}
    return Config(
        database=settings.database,
        database_password_file=_file(settings.database_password_file, PASSWORD_CREDENTIAL, environ),
        secret_key_file=_file(settings.secret_key_file, SECRET_KEY_CREDENTIAL, environ),
        node=Node(
            name=node.get("name") or _host_name(),
            labels=node.get("labels") or {},
            capacity=node.get("capacity"),
            catchup_rate=_rate(node.get("catchup_rate")),
        ),
        timezone=settings.timezone or _host_zone(),
        alerts=build_alerting(settings.alerts or {}, os.uname().nodename),
        web=build_web(settings.web or {}),
        catchup_rate=_rate(settings.catchup_rate),
        drain_timeout_us=parse_duration(settings.drain_timeout),
        ledger_age_us=parse_duration(settings.ledger_age),
        log_level=settings.log_level,
        defaults=settings.defaults or {},
        jobs=jobs,
        sources=sources,
        origins=origins,
    )


def _rate(said: str | None) -> Rate | None:
    return None if said is None else parse_rate(said)


def _file(named: str | None, credential: str, environ: Mapping[str, str]) -> Path | None:
    """The file that was named, else what systemd hands over as a credential."""
    if named:
        return Path(named)
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    path = Path(folder) / credential
    return path if folder.startswith("/") and path.exists() else None


def _origins(layers: Layers) -> dict[str, str]:
    paths: list[KeyPath] = [
        (name,) for name in Settings.model_fields if layers.value.get(name) is not None
    ]
    for section in (*SECTIONS, "defaults"):
        said = layers.value.get(section)
        paths += [(section, key) for key, part in (said or {}).items() if part is not None]
    return {dotted(path): layers.place(path) for path in paths}


def _host_name() -> str:
    """The host's name. Raises Invalid when it cannot name a node."""
    try:
        return read_node_name(os.uname().nodename)
    except Invalid as error:
        hint = "set node.name"
        raise Invalid(error.text, code=error.code, hint=hint, where="node.name") from None


def _host_zone() -> str:
    """The host's zone by name; UTC when it has none that a fleet could share."""
    from tzlocal import get_localzone_name  # noqa: PLC0415 - reads /etc: only when nothing is said

    try:
        name = get_localzone_name()
    except Exception:  # noqa: BLE001 - whatever is odd about this host, UTC is a safe answer
        return "UTC"
    return name if name in zone_names() else "UTC"
