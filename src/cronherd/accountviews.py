"""Accounts, sessions and tokens as documents; nothing in them lets anybody in."""

from cronherd.domain.account import Account, Session
from cronherd.domain.account import Token as ApiToken
from cronherd.domain.instant import format_instant
from cronherd.views import Json


def account_view(account: Account) -> Json:
    """An account; `password`: it has one, so somebody can log in."""
    return {
        "name": account.name,
        "role": account.role.value,
        "enabled": not account.disabled,
        "password": account.password,
        "created_at": format_instant(account.created_us),
        "created_by": account.by,
        "last_login_at": format_instant(account.seen_us),
    }


def session_view(session: Session) -> Json:
    """A browser that is logged in."""
    return {
        "id": session.id,
        "account": session.account,
        "address": session.address,
        "program": session.program,
        "created_at": format_instant(session.created_us),
        "seen_at": format_instant(session.seen_us),
        "expires_at": format_instant(session.expires_us),
    }


def token_view(token: ApiToken) -> Json:
    """A token, without itself; `jobs` null: it is for all of them."""
    return {
        "name": token.name,
        "role": token.role.value,
        "jobs": None if token.jobs is None else list(token.jobs),
        "account": token.account,
        "created_at": format_instant(token.created_us),
        "created_by": token.by,
        "expires_at": format_instant(token.expires_us),
        "used_at": format_instant(token.used_us),
    }
