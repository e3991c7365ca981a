"""The types of columns, as each database has them, and how its tables are kept."""

from typing import Any

from sqlalchemy import Index, LargeBinary, String, Text
from sqlalchemy import text as condition_text
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

KEY_LENGTH = 128
NAME_LENGTH = 120

# A table that is updated all the time keeps room on its pages (PostgreSQL only; others ignore it).
HOT: dict[str, Any] = {
    "postgresql_with": {"fillfactor": 70},
    "mysql_engine": "InnoDB",
    "sqlite_with_rowid": False,
}
COLD: dict[str, Any] = {"mysql_engine": "InnoDB"}


def ident() -> TypeEngine[Any]:
    """A UUIDv7: `uuid` on PostgreSQL, 16 bytes elsewhere."""
    plain: TypeEngine[Any] = LargeBinary(16)
    return plain.with_variant(postgresql.UUID(), "postgresql").with_variant(
        mysql.BINARY(16), "mysql", "mariadb"
    )


def key(length: int = KEY_LENGTH) -> TypeEngine[str]:
    """ASCII, compared byte by byte."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


def name(length: int = NAME_LENGTH) -> TypeEngine[str]:
    """Text of people, compared byte by byte."""
    return String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def long_text() -> TypeEngine[str]:
    """Text of any length a person may send (a TEXT of MySQL ends at 64 KiB)."""
    return Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def folded_text() -> TypeEngine[str]:
    """The same, compared byte by byte."""
    return Text().with_variant(
        mysql.MEDIUMTEXT(charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def raw() -> TypeEngine[bytes]:
    return LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb")


def digest() -> TypeEngine[bytes]:
    """A SHA-256."""
    return LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")


def partial(condition: str, name: str, *columns: str) -> Index:
    """An index of few rows, where the database has such: most runs never enter it."""
    return Index(
        name,
        *columns,
        sqlite_where=condition_text(condition),
        postgresql_where=condition_text(condition),
    )
