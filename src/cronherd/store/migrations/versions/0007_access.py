"""Accounts, their sessions, tokens and login links, and failed logins."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.types import TypeEngine

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _id() -> TypeEngine[Any]:
    plain: TypeEngine[Any] = sa.LargeBinary(16)
    return plain.with_variant(postgresql.UUID(), "postgresql").with_variant(
        mysql.BINARY(16), "mysql", "mariadb"
    )


def _digest() -> TypeEngine[Any]:
    return sa.LargeBinary(32).with_variant(mysql.BINARY(32), "mysql", "mariadb")


def _key(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )


def _name(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(
        mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb"
    )


def _must(name: str, kind: TypeEngine[Any], **more: Any) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False, **more)


def _at(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False)


def upgrade() -> None:
    """New tables only: programs of the version before do not see them.

    Three of them were made empty by the first version, narrower, and nobody ever wrote to them.
    """
    for name, mark in (("token", "scope"), ("session", "address"), ("account", "by")):
        if _has_column(name, mark) is (name == "token"):
            op.drop_table(name)
    made = {
        "account": _account,
        "session": _session,
        "api_token": _api_token,
        "login_link": _login_link,
        "login_failure": _login_failure,
    }
    for name, make in made.items():
        if not sa.inspect(op.get_bind()).has_table(name):
            make()


def _has_column(table: str, column: str) -> bool | None:
    """None: there is no such table."""
    found = sa.inspect(op.get_bind())
    if not found.has_table(table):
        return None
    return column in {one["name"] for one in found.get_columns(table)}


def _account() -> None:
    op.create_table(
        "account",
        sa.Column("id", _id(), primary_key=True),
        _must("key", _key(64), unique=True),
        _must("name", _key(64)),
        _must("role", _key(12)),
        sa.Column("password", _key(200)),
        _must("disabled", sa.Boolean()),
        _at("created_us"),
        _must("by", _name(120)),
        sa.Column("seen_us", sa.BigInteger()),
        mysql_engine="InnoDB",
    )


def _session() -> None:
    op.create_table(
        "session",
        sa.Column("hash", _digest(), primary_key=True),
        _must("id", _id(), unique=True),
        _must("account_id", _id()),
        _must("address", _key(45)),
        _must("program", _name(200)),
        _at("created_us"),
        _at("seen_us"),
        _at("expires_us"),
        mysql_engine="InnoDB",
    )
    op.create_index("session_account", "session", ["account_id"])
    op.create_index("session_expires", "session", ["expires_us"])


def _api_token() -> None:
    op.create_table(
        "api_token",
        sa.Column("hash", _digest(), primary_key=True),
        _must("id", _id(), unique=True),
        _must("key", _key(64), unique=True),
        _must("name", _key(64)),
        _must("role", _key(12)),
        sa.Column("jobs", _name(400)),
        sa.Column("account_id", _id()),
        _at("created_us"),
        _must("by", _name(120)),
        sa.Column("expires_us", sa.BigInteger()),
        sa.Column("used_us", sa.BigInteger()),
        mysql_engine="InnoDB",
    )
    op.create_index("api_token_account", "api_token", ["account_id"])


def _login_link() -> None:
    op.create_table(
        "login_link",
        sa.Column("hash", _digest(), primary_key=True),
        sa.Column("account_id", _id()),
        _at("expires_us"),
        mysql_engine="InnoDB",
    )
    op.create_index("login_link_account", "login_link", ["account_id"])


def _login_failure() -> None:
    op.create_table(
        "login_failure",
        sa.Column("key", _key(40), primary_key=True),
        _must("failures", sa.Integer()),
        _at("last_us"),
        _at("until_us"),
        mysql_engine="InnoDB",
    )
    op.create_index("login_failure_last", "login_failure", ["last_us"])
