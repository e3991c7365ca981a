"""The tables of who may come in: part of schema.py, which would be too long with them."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, Table

from cronherd.store import columns


def add_tables(metadata: MetaData) -> None:
    """Accounts, and what opens a door."""
    Table(
        "account",
        metadata,
        Column("id", columns.ident(), primary_key=True),
        Column("key", columns.key(64), nullable=False, unique=True),
        Column("name", columns.key(64), nullable=False),
        Column("role", columns.key(12), nullable=False),
        Column("password", columns.key(200)),
        Column("disabled", Boolean, nullable=False),
        Column("created_us", BigInteger, nullable=False),
        Column("by", columns.name(), nullable=False),
        Column("seen_us", BigInteger),
        **columns.COLD,
    )
    _add_keys(metadata)


def _add_keys(metadata: MetaData) -> None:
    # Of sessions, tokens and links only hashes are kept: whoever reads this table can use none.
    Table(
        "session",
        metadata,
        Column("hash", columns.digest(), primary_key=True),
        Column("id", columns.ident(), nullable=False, unique=True),
        Column("account_id", columns.ident(), nullable=False),
        Column("address", columns.key(45), nullable=False),
        Column("program", columns.name(200), nullable=False),
        Column("created_us", BigInteger, nullable=False),
        Column("seen_us", BigInteger, nullable=False),
        Column("expires_us", BigInteger, nullable=False),
        Index("session_account", "account_id"),
        Index("session_expires", "expires_us"),
        **columns.COLD,
    )

    Table(
        "api_token",
        metadata,
        Column("hash", columns.digest(), primary_key=True),
        Column("id", columns.ident(), nullable=False, unique=True),
        Column("key", columns.key(64), nullable=False, unique=True),
        Column("name", columns.key(64), nullable=False),
        Column("role", columns.key(12), nullable=False),
        Column("jobs", columns.name(400)),
        Column("account_id", columns.ident()),
        Column("created_us", BigInteger, nullable=False),
        Column("by", columns.name(), nullable=False),
        Column("expires_us", BigInteger),
        Column("used_us", BigInteger),
        Index("api_token_account", "account_id"),
        **columns.COLD,
    )

    Table(
        "login_link",
        metadata,
        Column("hash", columns.digest(), primary_key=True),
        Column("account_id", columns.ident()),
        Column("expires_us", BigInteger, nullable=False),
        Index("login_link_account", "account_id"),
        **columns.COLD,
    )

    # Failed logins in a row, of a name or an address; both as hashes.
    Table(
        "login_failure",
        metadata,
        Column("key", columns.key(40), primary_key=True),
        Column("failures", Integer, nullable=False),
        Column("last_us", BigInteger, nullable=False),
        Column("until_us", BigInteger, nullable=False),
        Index("login_failure_last", "last_us"),
        **columns.COLD,
    )
