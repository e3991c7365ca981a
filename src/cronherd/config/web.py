"""Where and how the pages are served: the `web:` section, and the same as values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from cronherd.definition.faults import Kind, Shape, choice, duration, read_text, spell
from cronherd.domain.access import Role
from cronherd.domain.account import SESSION_AGE_US, SESSION_IDLE_US
from cronherd.domain.duration import format_duration, parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import MINUTE_US

PORT = 2766
DEFAULT_LISTEN = (f"127.0.0.1:{PORT}", f"[::1]:{PORT}")
NOWHERE = "none"
MOST = 20
_PORT = re.compile(r"(\[[0-9A-Fa-f:.%a-z]+\]|[A-Za-z0-9_.-]+):(\d{1,5})", re.ASCII)
_HOST = re.compile(r"\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9_.-]{0,251}[a-z0-9])?", re.ASCII)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{2,63}")
_TEXT = {"type": "string"}
_TEXTS = {"type": ["string", "array"], "items": {"type": "string"}}


def read_listen(value: object) -> list[str]:
    """Addresses to listen at; none of them for `none`. Raises Invalid."""
    parts = _texts(value, "[127.0.0.1:2766]")
    if parts == [NOWHERE]:
        return []
    for part in parts:
        found = _PORT.fullmatch(part)
        if not found or int(found[2]) >= 1 << 16:
            raise Invalid(
                f"{spell(part)} is not an address to listen at",
                code="bad_address",
                hint="write 127.0.0.1:2766, [::1]:2766 or 0.0.0.0:443, or none",
            )
    return parts


def _read_hosts(value: object) -> list[str]:
    parts = [part.lower() for part in _texts(value, "[cron.example.com]")]
    for part in parts:
        if not _HOST.fullmatch(part):
            hint = "write cron.example.com, without a port"
            raise Invalid(f"{spell(part)} is not a host", code="bad_address", hint=hint)
    return parts


def _read_proxies(value: object) -> list[str]:
    found = []
    for part in _texts(value, "[127.0.0.1, 10.0.0.0/8]"):
        try:
            found.append(str(ip_network(part)))
        except ValueError as error:
            raise Invalid(f"{spell(part)} is not a network: {error}", hint="10.0.0.0/8") from None
    return found


def _read_header(value: object) -> str:
    header = read_text(value, most=64, lines=False).strip()
    taken = {"host", "cookie", "authorization", "origin", "x-forwarded-for"}
    if _HEADER.fullmatch(header) and header.lower() not in taken:
        return header
    raise Invalid(f"{spell(header)} cannot name a person", hint="write X-Remote-User")


def _read_file(value: object) -> str:
    path = read_text(value, most=4_000, lines=False)
    if path.startswith("/"):
        return path
    raise Invalid("the path must be absolute", code="bad_path", hint="begin it with /")


def _read_url(value: object) -> str:
    url = read_text(value, most=400, lines=False).rstrip("/")
    parts = urlsplit(url)
    plain = url.isascii() and url.isprintable() and " " not in url
    if plain and parts.scheme in {"http", "https"} and parts.hostname and not parts.query:
        return url
    raise Invalid(f"{spell(url)} is not a URL", code="bad_url", hint="https://cron.example.com")


def _read_switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise Invalid(f"must be true or false, not {spell(value)}")


def _texts(value: object, example: str) -> list[str]:
    parts: object = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or not 0 < len(parts) <= MOST:
        raise Invalid(f"must be a list of one to {MOST}", hint=f"write {example}")
    return [read_text(part, most=300, lines=False).strip() for part in parts]


class WebSettings(Shape):
    """Where and how the pages are served."""

    listen: Annotated[list[str] | None, Kind(read_listen, _TEXTS)] = Field(
        default=None,
        description="Where the pages and the API are served; 127.0.0.1:2766 and [::1]:2766 when "
        "absent, nowhere with none. Beyond this host only with accounts, and with TLS or a proxy.",
    )
    tls_cert: Annotated[str | None, Kind(_read_file, _TEXT)] = Field(
        default=None, description="A file of the certificate and those it rests on, as PEM."
    )
    tls_key: Annotated[str | None, Kind(_read_file, _TEXT)] = Field(
        default=None, description="A file of the certificate's key, as PEM."
    )
    behind_proxy: Annotated[bool, Kind(_read_switch, {"type": "boolean"})] = Field(
        default=False,
        description="A proxy that brings TLS stands before it; cookies then travel by TLS only.",
    )
    hosts: Annotated[list[str] | None, Kind(_read_hosts, _TEXTS)] = Field(
        default=None,
        description="The names people reach it by, such as [cron.example.com]; requests for any "
        "other are refused. When absent, a port of this host alone answers to localhost, "
        "127.0.0.1 and [::1], any other to every name.",
    )
    url: Annotated[str | None, Kind(_read_url, _TEXT)] = Field(
        default=None,
        description="What links begin with, such as https://cron.example.com; where it listens "
        "when absent.",
    )
    trusted_proxies: Annotated[list[str] | None, Kind(_read_proxies, _TEXTS)] = Field(
        default=None,
        description="Addresses whose X-Forwarded-For and trusted_header are believed.",
    )
    trusted_header: Annotated[str | None, Kind(_read_header, _TEXT)] = Field(
        default=None,
        description="A header by which a trusted proxy says who somebody is, such as "
        "X-Remote-User; from anybody else it is refused.",
    )
    default_role: Annotated[str | None, choice(*Role)] = Field(
        default=None,
        description="The role of people whom a trusted proxy names and who have no account; "
        "they are refused when absent.",
    )
    session_idle: Annotated[str, duration(least_us=MINUTE_US)] = Field(
        default=format_duration(SESSION_IDLE_US),
        description="A session that is not used for so long ends.",
    )
    session_age: Annotated[str, duration(least_us=MINUTE_US)] = Field(
        default=format_duration(SESSION_AGE_US),
        description="A session ends so long after its login, however it is used.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """The same as values. `asked`: somebody named where to listen, so it must be possible."""

    listen: tuple[str, ...] = DEFAULT_LISTEN
    asked: bool = False
    tls_cert: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    hosts: tuple[str, ...] = ()
    url: str = ""
    trusted_proxies: tuple[str, ...] = ()
    trusted_header: str = ""
    default_role: Role | None = None
    session_idle_us: int = SESSION_IDLE_US
    session_age_us: int = SESSION_AGE_US

    def describe(self) -> dict[str, object]:
        """Each setting as it stands."""
        return {
            "web.listen": list(self.listen) or NOWHERE,
            "web.tls_cert": str(self.tls_cert or "") or None,
            "web.tls_key": str(self.tls_key or "") or None,
            "web.behind_proxy": self.behind_proxy,
            "web.hosts": list(self.hosts),
            "web.url": self.url or None,
            "web.trusted_proxies": list(self.trusted_proxies),
            "web.trusted_header": self.trusted_header or None,
            "web.default_role": self.default_role.value if self.default_role else None,
            "web.session_idle": format_duration(self.session_idle_us),
            "web.session_age": format_duration(self.session_age_us),
        }


def check_web(said: Mapping[str, Any]) -> list[Invalid]:
    """What single settings cannot know."""
    faults: list[Invalid] = []
    if bool(said.get("tls_cert")) != bool(said.get("tls_key")):
        text = "tls_cert and tls_key belong together"
        faults.append(Invalid(text, where="web.tls_cert"))
    if said.get("tls_cert") and said.get("behind_proxy"):
        text = "TLS ends either here or at the proxy"
        hint = "drop behind_proxy, or tls_cert and tls_key"
        faults.append(Invalid(text, hint=hint, where="web.behind_proxy"))
    if said.get("trusted_header") and not said.get("trusted_proxies"):
        text = "a header is believed from known addresses only"
        faults.append(Invalid(text, hint="set trusted_proxies", where="web.trusted_header"))
    if said.get("default_role") and not said.get("trusted_header"):
        text = "default_role is for people whom a proxy names"
        faults.append(Invalid(text, hint="set trusted_header", where="web.default_role"))
    return faults


def build_web(said: Mapping[str, Any]) -> Web:
    """The values of a checked section."""
    listen = said.get("listen")
    cert, key, role = said.get("tls_cert"), said.get("tls_key"), said.get("default_role")
    idle, age = said.get("session_idle"), said.get("session_age")
    return Web(
        listen=DEFAULT_LISTEN if listen is None else tuple(listen),
        asked=listen is not None,
        tls_cert=Path(cert) if cert else None,
        tls_key=Path(key) if key else None,
        behind_proxy=bool(said.get("behind_proxy")),
        hosts=tuple(said.get("hosts") or ()),
        url=said.get("url") or "",
        trusted_proxies=tuple(said.get("trusted_proxies") or ()),
        trusted_header=said.get("trusted_header") or "",
        default_role=Role(role) if role else None,
        session_idle_us=parse_duration(idle) if idle else SESSION_IDLE_US,
        session_age_us=parse_duration(age) if age else SESSION_AGE_US,
    )
