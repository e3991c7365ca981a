"""D2.2, D3.4: a Redis that asks for TLS, a certificate and a password."""

import os
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import quote

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.engine.clock import SystemClock
from cronherd.locks.address import open_lock
from tests.conftest import Record, needing_server
from tests.locks.conftest import Holder
from tests.servers.caches import LOCKER, LOCKER_MAY, PASSWORD
from tests.servers.handles import Place, Servers

OF_LOCKER = LOCKER_MAY.split()[1].removeprefix(">")
HERE = "127.0.0.1"


@pytest.fixture
def place(servers: Servers, record_property: Record) -> Place:
    with needing_server("redis_tls", record_property):
        return servers.start("redis_tls")


def address(place: Place, who: str = "", *, host: str = HERE, files: str = "ca cert key") -> str:
    found = {"ca": "ca.pem", "cert": "host.pem", "key": "host.key"}
    said = "&".join(f"ssl_{name}={place.home / found[name]}" for name in files.split())
    at = f"{who}@" if who else ""
    # Workers share the server: each has a lock of its own.
    return f"{place.url.replace('//', f'//{at}').replace(HERE, host)}/{os.getpid()}?{said}"


def refusal(where: str, environ: dict[str, str]) -> str:
    with pytest.raises(Unavailable, match="cannot be asked") as refused:
        open_lock(where, SystemClock(), environ).acquire()
    return str(refused.value)


def test_a_lock_behind_tls_a_certificate_and_a_password(place: Place):
    lock = open_lock(address(place), SystemClock(), {"REDISCLI_AUTH": PASSWORD})
    held = lock.acquire()
    assert held is not None
    assert held.fence
    assert lock.acquire() is None
    assert held.renew()
    assert lock.holder() is not None
    assert held.release(gap_us=1_000)
    lock.close()


def test_a_user_who_may_only_lock_can_do_all_of_it(place: Place, hold: Callable[..., Holder]):
    """What the page about locks lets a user do is enough."""
    where = address(place, f"{LOCKER}:{OF_LOCKER}")
    first, second = hold(where), hold(where)
    assert first.do("share").startswith("held")
    assert second.do("acquire") == "refused"
    assert first.do("renew") == "True"
    assert first.do("release") == "True"
    assert second.do("acquire").startswith("held")
    assert second.do("renew") == "True"
    assert second.do("gap 0.001") == "True"


def test_the_command_locks_by_the_password_of_its_environment(place: Place):
    argv = [sys.executable, "-m", "cronherd", "lock", "--url", address(place, LOCKER)]
    shown = [*argv, "sh", "-c", "echo $CRONHERD_LOCK_FENCE"]
    environ = {"REDISCLI_AUTH": OF_LOCKER, "PATH": "/usr/bin:/bin"}
    done = subprocess.run(shown, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().isdigit()
    done = subprocess.run(
        [*argv, "echo", "ran"], env={}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (125, "")


@pytest.mark.parametrize(
    ("who", "password", "told"),
    [("", "", "NOAUTH"), ("", "guess-1234", "WRONGPASS"), (LOCKER, "guess-1234", "WRONGPASS")],
)
def test_who_gives_no_good_password_is_refused(place: Place, who: str, password: str, told: str):
    """And no sentence repeats it."""
    text = refusal(address(place, who), {"REDISCLI_AUTH": password})
    assert told in text
    assert "guess-1234" not in text
    if password:
        text = refusal(address(place, f"{who}:{quote(password)}"), {})
        assert told in text
        assert "guess-1234" not in text


@pytest.mark.parametrize(
    ("host", "files", "told"),
    [
        (HERE, "cert key", "CERTIFICATE_VERIFY_FAILED"),
        ("localhost", "ca cert key", "Hostname mismatch"),
        (HERE, "ca", "cannot be asked"),
    ],
    ids=["of a CA that nobody knows", "of another host", "not shown by us"],
)
def test_a_certificate_that_proves_nothing_is_refused(
    place: Place, host: str, files: str, told: str
):
    text = refusal(address(place, host=host, files=files), {"REDISCLI_AUTH": PASSWORD})
    assert told in text


def test_a_file_that_is_not_there_is_said(place: Place):
    where = f"{place.url}/x?ssl_ca=/nowhere/ca.pem"
    assert "No such file" in refusal(where, {})


def test_without_tls_it_is_not_asked(place: Place):
    assert refusal(f"{place.url.replace('rediss', 'redis')}/x", {"REDISCLI_AUTH": PASSWORD})
