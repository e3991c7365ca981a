"""The job table of "distributed-cron" in MySQL, MariaDB or PostgreSQL: read, and never written."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cronherd.domain.errors import CronherdError, Invalid, Unavailable
from cronherd.domain.oldtable import COLUMNS, MOST_ROWS, TABLE, OldTable, check_columns, read_row

if TYPE_CHECKING:  # the library loads only where such a table is read
    from sqlalchemy import Connection, Select
    from sqlalchemy.exc import DBAPIError

_CONNECT_S = 5
_ANSWER_S = 30
_DRIVERS = {"mysql": ("mysql+pymysql", "mysql"), "postgresql": ("postgresql+psycopg", "postgres")}
_ZONE = {
    "mysql": "SELECT IF(@@session.time_zone = 'SYSTEM', @@system_time_zone, @@session.time_zone)",
    "postgresql": "SELECT current_setting('TimeZone')",
}
_NO_TABLE = {"1146", "42P01"}
_NO_RIGHTS = {"1142", "1143", "42501"}
_UNREACHED = {"2002", "2003", "2005", ""}
_REFUSED = {"1044", "1045", "1049", "1698", "28000", "28P01", "3D000"}
# Before a session is there, PostgreSQL's driver has no number for these.
_REFUSALS = ("authentication failed", "no password supplied", "no pg_hba.conf", "does not exist")


def read_job_table(url: str, password: str | None = None) -> OldTable:
    """All its rows in the order of their ids, and the zone that its clock is in.

    `url` as the configuration takes it for a server. Raises Invalid for a table of another kind,
    Unavailable for one that cannot be read.
    """
    with _opened(url, password) as connection:
        found = _rows(connection)
        zone = str(connection.exec_driver_sql(_ZONE[connection.dialect.name]).scalar_one())
    return OldTable(rows=tuple(map(read_row, found)), zone=zone)


def _rows(connection: "Connection") -> list[Mapping[str, Any]]:
    from sqlalchemy import String, cast, column, false, literal_column, select, table  # noqa: PLC0415

    job = table(TABLE, *(column(name) for name in COLUMNS))
    none: Select[Any] = select(literal_column("*")).select_from(job).where(false())
    check_columns(list(connection.execute(none).keys()))
    # A time of day as text: drivers know fewer of them than a column may hold.
    shown = [
        cast(job.c[name], String).label(name) if name.endswith("_anchor") else job.c[name]
        for name in COLUMNS
    ]
    wanted = select(*shown).order_by(job.c.id).limit(MOST_ROWS + 1)
    rows = connection.execute(wanted).mappings().all()
    if len(rows) > MOST_ROWS:
        raise Invalid(f"the table '{TABLE}' has more than {MOST_ROWS} rows", code="too_many")
    return [dict(row) for row in rows]


@contextmanager
def _opened(url: str, password: str | None) -> Iterator["Connection"]:
    """A transaction that cannot write."""
    from sqlalchemy import create_engine, make_url, text  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    place = make_url(url)
    kind = place.drivername
    driver, extra = _DRIVERS[kind]
    place = place.set(drivername=driver, password=password or place.password)
    patience: dict[str, Any] = {"connect_timeout": _CONNECT_S}
    if kind == "mysql":
        patience |= {"read_timeout": _ANSWER_S, "write_timeout": _ANSWER_S}
    elif "options" not in place.query:
        patience["options"] = f"-c statement_timeout={_ANSWER_S}s"
    try:
        engine = create_engine(place, poolclass=NullPool, connect_args=patience)
    except ImportError as error:
        raise Unavailable(
            f"the driver for {kind}:// is not installed",
            code="no_driver",
            hint=f"pip install 'cronherd[{extra}]'",
        ) from error
    try:
        with engine.connect() as connection:
            connection.execute(text("SET TRANSACTION READ ONLY"))
            yield connection
    except DBAPIError as error:
        raise _explained(error, str(place.database)) from error


def _explained(error: "DBAPIError", database: str) -> CronherdError:
    """The driver's error as one sentence."""
    driver: Any = error.orig
    args: tuple[Any, ...] = getattr(driver, "args", ())
    numbered = len(args) > 1  # as MySQL's driver has them
    code = str(args[0] if numbered else getattr(driver, "sqlstate", None) or "")
    said = " ".join(str(args[1] if numbered else driver).split())
    if code in _NO_TABLE:
        return Invalid(
            f"the database '{database}' has no table '{TABLE}'",
            code="bad_job_table",
            hint="name the database of distributed-cron",
        )
    if code in _NO_RIGHTS:
        return Unavailable(
            f"the table '{TABLE}' may not be read: {said}",
            code="database_refused",
            hint=f"grant SELECT on {TABLE}",
        )
    if code in _REFUSED or (not code and any(sign in said for sign in _REFUSALS)):
        return Unavailable(
            f"the database refuses us: {said}",
            code="database_refused",
            hint="check user, password and the name of the database",
        )
    how = "reached" if code in _UNREACHED else "read"
    return Unavailable(f"the database cannot be {how}: {said}", code="database_lost")
