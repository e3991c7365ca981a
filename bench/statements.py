"""The statements that a server was sent, as its own log tells them."""

import re
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

from bench.servers import DatabaseServer

OURS = "cronherd"  # the name of our sessions at PostgreSQL
PREFIX = "@@%a|%d|"
LOGGED = re.compile(r"LOG:\s+(?:statement|execute [^:]*): (.*)", re.DOTALL)
SETTLE_S = 0.3
SHOWN = 96


def short(text: str) -> str:
    """One line of a statement; numbers are only the values of that moment."""
    line = re.sub(r"\b\d{6,}\b", "N", " ".join(text.split()))
    line = re.sub(r"_?binary'.{16}'", "ID", line, flags=re.DOTALL)
    return line if len(line) <= SHOWN else f"{line[:SHOWN]}…"


def count(server: DatabaseServer, url: str, look: Callable[[], None]) -> Counter[str]:
    """What sessions of ours sent to this database while `look` ran."""
    database = urlsplit(url).path.lstrip("/")
    if server.kind == "postgresql":
        return _postgresql(server, database, look)
    return _mariadb(server, database, look)


def connections(server: DatabaseServer, url: str) -> int:
    """How many sessions this database has; ours of the benchmark are elsewhere."""
    database = urlsplit(url).path.lstrip("/")
    table, column = "pg_stat_activity", "datname"
    if server.kind == "mariadb":
        table, column = "information_schema.processlist", "db"
    return int(
        server.session.run(f"SELECT count(*) FROM {table} WHERE {column} = %s", (database,))[0][0]
    )


def _postgresql(server: DatabaseServer, database: str, look: Callable[[], None]) -> Counter[str]:
    session = server.session
    session.run(f"ALTER SYSTEM SET log_line_prefix = '{PREFIX}'")
    session.run("ALTER SYSTEM SET log_statement = 'all'")
    session.run("SELECT pg_reload_conf()")
    time.sleep(SETTLE_S)
    begin = server.log.stat().st_size
    look()
    end = server.log.stat().st_size
    session.run("ALTER SYSTEM RESET ALL")
    session.run("SELECT pg_reload_conf()")
    with server.log.open("rb") as file:
        file.seek(begin)
        said = file.read(end - begin).decode(errors="replace")
    found: Counter[str] = Counter()
    for entry in said.split("@@"):
        who, _, rest = entry.partition("|")
        where, _, line = rest.partition("|")
        matched = LOGGED.match(line)
        if matched and (who, where) == (OURS, database):
            found[short(matched.group(1))] += 1
    return found


def _mariadb(server: DatabaseServer, database: str, look: Callable[[], None]) -> Counter[str]:
    session = server.session
    session.run("SET GLOBAL log_output = 'TABLE'")
    session.run("TRUNCATE TABLE mysql.general_log")
    ours = {
        str(row[0])
        for row in session.run(
            "SELECT id FROM information_schema.processlist WHERE db = %s", (database,)
        )
    }
    session.run("SET GLOBAL general_log = 1")
    look()
    session.run("SET GLOBAL general_log = 0")
    rows = session.run("SELECT thread_id, command_type, argument FROM mysql.general_log")
    found: Counter[str] = Counter()
    for thread, kind, argument in rows:
        if str(thread) in ours and kind in {"Query", "Execute"}:
            text = argument.decode("latin-1") if isinstance(argument, bytes) else str(argument)
            found[short(text)] += 1
    return found
