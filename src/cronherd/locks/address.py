"""Where a lock is, as people write it: a name of the fleet, a file, or a URL."""

from collections.abc import Mapping

from cronherd.domain.errors import Unavailable
from cronherd.domain.lock import EXPIRY_US, check_name, is_fleet_name, read_url
from cronherd.locks.base import Clock, Lock
from cronherd.locks.file import FileLock
from cronherd.locks.fleet import Ask, FleetLock

_REDIS_PORT, _MEMCACHED_PORT = 6_379, 11_211


def open_lock(
    where: str,
    clock: Clock,
    environ: Mapping[str, str],
    *,
    expiry_us: int = EXPIRY_US,
    fleet: Ask | None = None,
) -> Lock:
    """The lock of a path, a URL, or a name of the fleet that `fleet` asks; asks nobody yet.

    Raises Invalid, and Unavailable for a name where there is no fleet.
    """
    if is_fleet_name(where):
        check_name(where)
        if fleet is None:
            raise Unavailable(
                f"there is no fleet here to ask for the lock '{where}'",
                code="lock_unavailable",
                hint=f"a file has a slash: ./{where}",
            )
        return FleetLock(where, fleet, clock, expiry_us=expiry_us)
    if "://" not in where:
        return FileLock(where, clock)
    return _on_server(where, clock, environ, expiry_us)


def _on_server(where: str, clock: Clock, environ: Mapping[str, str], expiry_us: int) -> Lock:
    said = read_url(where)
    from cronherd.locks.link import Server  # noqa: PLC0415 - 3 ms of a start, only on need

    if said.kind == "memcached":
        from cronherd.locks.memcached import MemcachedLock  # noqa: PLC0415 - as above

        server = Server(host=said.host, port=said.port or _MEMCACHED_PORT)
        return MemcachedLock(server, said.name, clock, expiry_us=expiry_us)
    from cronherd.locks.redis import RedisLock  # noqa: PLC0415 - as above

    # As redis-cli has it: everybody on the host can read the arguments of a command.
    given = environ.get("REDISCLI_AUTH", "")
    server = Server(
        host=said.host,
        port=said.port or _REDIS_PORT,
        tls=said.secure,
        username=said.username,
        password=given if said.password is None else said.password,
        **said.files,
    )
    return RedisLock(server, int(said.database), said.name, clock, expiry_us=expiry_us)
