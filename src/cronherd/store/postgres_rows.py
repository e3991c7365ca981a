"""PostgreSQL: how ids, numbers and many rows at a time go to the server.

An INSERT of many rows takes one array per column; a column of one value takes that value alone,
which spares the server a third of the statement.
"""

import re
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.pq import Format
from psycopg.types.array import ListBinaryDumper
from psycopg.types.numeric import Int8BinaryDumper

from cronherd.domain.ident import Stored
from cronherd.store.database import Values

INT8_OID = 20
UUID_OID = 2950
# From so many rows on a column of one value goes as that value.
ALIKE = 100

COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL) FROM pg_attribute a
WHERE a.attrelid = ?::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""
INSERT = re.compile(r"\s*INSERT INTO (\w+) \(([^)]*)\)\s*VALUES \([?, ]+\)(.*)", re.DOTALL)


class _StoredDumper(Dumper):
    """Ids go as the sixteen bytes they are."""

    format = Format.BINARY
    oid = UUID_OID

    def dump(self, obj: bytes) -> Buffer:
        return bytes(obj)


class _StoredLoader(Loader):
    """And come back as such."""

    format = Format.BINARY

    def load(self, obj: Buffer) -> Stored:
        return Stored(obj)


class _ColumnDumper(ListBinaryDumper):
    """A list is mostly a column of many rows: ids and numbers go in one step.

    The driver dumps one value after the other, and that was a tenth of a firing.
    """

    def dump(self, obj: list[Any]) -> Buffer | None:
        kind = self.sub_dumper
        fixed = _FIXED.get(kind.oid) if kind else None
        if kind is None or fixed is None or not obj:
            return super().dump(obj)
        code, size = fixed
        values = [size] * (2 * len(obj))
        values[1::2] = obj
        try:
            return _array(code, len(obj)).pack(1, 0, kind.oid, len(obj), 1, *values)
        except struct.error:  # a NULL, or what does not fit: the driver knows
            return super().dump(obj)


# A value after its length.
_FIXED = {INT8_OID: ("iq", 8), UUID_OID: ("i16s", 16)}


@lru_cache(maxsize=100)
def _array(code: str, count: int) -> struct.Struct:
    """One dimension, no NULLs, the kind of the values, how many, counted from 1; the values."""
    return struct.Struct("!iiIii" + code * count)


def adapt(driver: "psycopg.Connection[Any]") -> None:
    """Teach a connection how our values go."""
    driver.adapters.register_dumper(Stored, _StoredDumper)
    driver.adapters.register_loader("uuid", _StoredLoader)
    # Always eight bytes: one prepared statement, however large a number is.
    driver.adapters.register_dumper(int, Int8BinaryDumper)
    driver.adapters.register_dumper(list, _ColumnDumper)


def by_column(rows: Sequence[Values]) -> tuple[tuple[bool, ...], list[object]]:
    """Which columns are one value, and the values of `bulk`."""
    columns = list(zip(*rows, strict=True))
    same = tuple(map(_all_same, columns))
    pairs = list(zip(columns, same, strict=True))
    values = [column[0] for column, alike in pairs if alike]
    return same, [*values, *(list(column) for column, alike in pairs if not alike)]


def _all_same(column: Sequence[object]) -> bool:
    """Few rows are alike by chance only, and each choice of columns is one more statement."""
    first = column[0]
    return len(column) >= ALIKE and first == column[-1] and column.count(first) == len(column)


@lru_cache(maxsize=500)
def bulk(table: str, columns: Sequence[tuple[str, str, bool]], rest: str) -> str:
    """An INSERT of (name, type, whether all rows have one value); those of one value first."""
    ordered = sorted(columns, key=lambda column: not column[2])
    names = ", ".join(name for name, _, _ in ordered)
    values = "".join(f"?::{kind}, " for _, kind, same in ordered if same)
    arrays = ", ".join(f"?::{kind}[]" for _, kind, same in ordered if not same)
    return f"INSERT INTO {table} ({names}) SELECT {values}v.* FROM unnest({arrays}) AS v {rest}"
