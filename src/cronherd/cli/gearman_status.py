"""`cronherd gearman status`: a table over all job servers."""

from collections.abc import Sequence

from cronherd.cli.output import Json, put, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.tools.gearmanstatus import servers_of, status_of

FAILED = 1


def show_status(session: Session, named: Sequence[str], conf: str | None) -> int:
    """0; 1 when one of them does not answer."""
    items = [status_of(server) for server in servers_of(named, conf)]
    put(
        session,
        {"items": items},
        table=lambda: _table(items),
        names=lambda: [row["function"] for item in items for row in item["functions"]],
    )
    for item in items:
        if item["error"]:
            talk(f"cronherd: {item['error']}")
    return FAILED if any(item["error"] for item in items) else 0


def _table(items: Sequence[Json]) -> Table:
    columns = (
        Column("SERVER"),
        Column("FUNCTION", cut=True, least=NAME_LEAST),
        Column("WAITING", right=True),
        Column("RUNNING", right=True),
        Column("WORKERS", right=True),
    )
    counts = ("waiting", "running", "workers")
    rows = [
        (item["server"], row["function"], *(str(row[count]) for count in counts))
        for item in items
        for row in item["functions"]
    ]
    return Table(columns, rows)
