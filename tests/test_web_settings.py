"""The `web:` section: what it takes, what it refuses, and what goes together."""

from pathlib import Path
from typing import Any

import pytest

from cronherd.config.load import load_config
from cronherd.config.web import DEFAULT_LISTEN, Web
from cronherd.domain.access import Role
from cronherd.domain.errors import InvalidInput

HOUR_US = 3_600_000_000


def load(folder: Path, text: str = "", **environ: str) -> Web:
    (folder / "cronherd.yaml").write_text(f"node: {{name: box}}\nweb:\n  {text}\n")
    config: Any = load_config(config=None, environ=environ, overrides={}, cwd=folder, home=None)
    web: Web = config.web
    described = {name: shown.value for name, shown in config.describe().items()}
    assert {f"web.{name}" for name in ("listen", "hosts", "url")} < set(described)
    return web


def test_without_a_word_it_serves_this_host_alone(tmp_path: Path):
    web = load(tmp_path)
    assert (web.listen, web.asked, web.behind_proxy) == (DEFAULT_LISTEN, False, False)
    assert (web.session_idle_us, web.session_age_us) == (12 * HOUR_US, 7 * 24 * HOUR_US)
    assert web == Web()


@pytest.mark.parametrize(
    ("said", "listen"),
    [
        ("listen: 0.0.0.0:443", ("0.0.0.0:443",)),
        ("listen: ['[::1]:1', 'localhost:2']", ("[::1]:1", "localhost:2")),
        ("listen: 127.0.0.1:1, 127.0.0.1:2", ("127.0.0.1:1", "127.0.0.1:2")),
        ("listen: none", ()),
    ],
)
def test_where_it_listens(tmp_path: Path, said: str, listen: tuple[str, ...]):
    web = load(tmp_path, said)
    assert (web.listen, web.asked) == (listen, True)


def test_everything_at_once_and_from_the_environment(tmp_path: Path):
    web = load(
        tmp_path,
        "{hosts: [Cron.example.com], url: https://cron.example.com/, behind_proxy: true, "
        "trusted_proxies: [127.0.0.1, 10.0.0.0/8], trusted_header: X-Remote-User, "
        "default_role: viewer, session_age: 1d}",
        CRONHERD_WEB__SESSION_IDLE="30m",
    )
    assert web.hosts == ("cron.example.com",)
    assert web.url == "https://cron.example.com"
    assert web.trusted_proxies == ("127.0.0.1/32", "10.0.0.0/8")
    assert (web.trusted_header, web.default_role) == ("X-Remote-User", Role.VIEWER)
    assert (web.session_idle_us, web.session_age_us) == (HOUR_US // 2, 24 * HOUR_US)


@pytest.mark.parametrize(
    "said",
    [
        "listen: 2766",
        "listen: localhost",
        "listen: ':2766'",
        "listen: 127.0.0.1:70000",
        "listen: []",
        "listen: [none, 127.0.0.1:1]",
        "hosts: ['cron.example.com:443']",
        "hosts: ['*']",
        "url: cron.example.com",
        "url: javascript:alert(1)",
        "tls_cert: /etc/x.pem",
        "tls_key: /etc/x.pem",
        "{tls_cert: x.pem, tls_key: y.pem}",
        "{tls_cert: /x.pem, tls_key: /y.pem, behind_proxy: true}",
        "behind_proxy: perhaps",
        "trusted_proxies: [everybody]",
        "trusted_proxies: [10.0.0.1/8]",
        "trusted_header: X-Remote-User",
        "{trusted_header: Cookie, trusted_proxies: [127.0.0.1]}",
        "{trusted_header: 'X: y', trusted_proxies: [127.0.0.1]}",
        "default_role: viewer",
        "{default_role: root, trusted_header: X-User, trusted_proxies: [127.0.0.1]}",
        "session_idle: 0s",
        "password: hunter2",
    ],
)
def test_what_is_refused_with_its_place(tmp_path: Path, said: str):
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, said)
    assert "cronherd.yaml:" in str(caught.value)
    assert "web" in str(caught.value)
