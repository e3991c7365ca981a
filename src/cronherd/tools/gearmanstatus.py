"""What job servers say of themselves, as documents."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cronherd.domain.errors import Unavailable
from cronherd.domain.jobserver import LOCAL, Server, read_servers
from cronherd.gearman.admin import Admin
from cronherd.tools.conffile import load_conf

Json = dict[str, Any]


def servers_of(named: Sequence[str], conf: str | None) -> tuple[Server, ...]:
    """Those that were named, those of a conf.json, or the one of this host. Raises Invalid."""
    found = read_servers(named)
    if conf is not None:
        found += load_conf(Path(conf), worker=False).servers
    return tuple(dict.fromkeys(found)) or (LOCAL,)


def status_of(server: Server) -> Json:
    """`error` where it does not answer; `waiting` counts those that no worker has yet."""
    try:
        admin = Admin(server)
        try:
            version, functions = admin.version(), admin.status()
        finally:
            admin.close()
    except Unavailable as error:
        return {"server": str(server), "error": str(error), "version": None, "functions": []}
    rows = [
        {
            "function": row.function,
            "waiting": row.queued - row.running,
            "running": row.running,
            "workers": row.workers,
        }
        for row in sorted(functions, key=lambda row: row.function)
    ]
    return {"server": str(server), "error": None, "version": version, "functions": rows}
