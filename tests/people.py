"""Accounts and tokens in memory, for stand-ins of a fleet: answers of the same shape."""

from collections.abc import Sequence
from typing import Any

from cronherd.domain.errors import Conflict, NotFound

Json = dict[str, Any]
AT = "2026-11-21T09:59:00Z"


def page(items: list[Json]) -> Json:
    return {"api_version": "v1", "items": items, "next": None}


class PeopleStandIn:
    """`changes` holds each call that changes something."""

    def __init__(self) -> None:
        self.people: dict[str, Json] = {}
        self.keys: dict[str, Json] = {}
        self.changes: list[tuple[object, ...]] = []

    def list_accounts(self) -> Json:
        return page([self.people[name] for name in sorted(self.people)])

    def add_account(self, name: str, role: str, actor: str, *, password: str | None = None) -> Json:
        self.changes.append(("add_account", name, role, actor, password))
        if name in self.people:
            raise Conflict(f"there is an account '{name}' already", code="account_exists")
        made = {
            "name": name,
            "role": role,
            "enabled": True,
            "password": password is not None,
            "created_at": AT,
            "created_by": actor,
            "last_login_at": None,
        }
        self.people[name] = made
        return made if password else {**made, "link": self._a_link()}

    def make_link(self, name: str | None, actor: str) -> Json:
        self.changes.append(("make_link", name, actor))
        if name is not None:
            self._person(name)
        elif self.people:
            raise Conflict("there is an admin already", code="admin_exists")
        return {"account": name, "link": self._a_link()}

    def _a_link(self) -> Json:
        path = "/welcome/chd_x"
        return {"path": path, "url": f"http://127.0.0.1:2766{path}", "expires_at": AT}

    def _person(self, name: str) -> Json:
        if name not in self.people:
            raise NotFound(f"there is no account '{name}'", code="no_such_account")
        return self.people[name]

    def set_role(self, name: str, role: str, actor: str) -> Json:
        self.changes.append(("set_role", name, role, actor))
        self._person(name)["role"] = role
        return self.people[name]

    def set_account_enabled(self, name: str, actor: str, *, enabled: bool) -> Json:
        self.changes.append(("set_account_enabled", name, actor, enabled))
        self._person(name)["enabled"] = enabled
        return self.people[name]

    def set_password(self, name: str, password: str, actor: str) -> Json:
        self.changes.append(("set_password", name, password, actor))
        self._person(name)["password"] = True
        return self.people[name]

    def remove_account(self, name: str, actor: str) -> Json:
        self.changes.append(("remove_account", name, actor))
        self._person(name)
        del self.people[name]
        return {"removed": name}

    def list_sessions(self, name: str | None = None) -> Json:
        session = {
            "id": "0" * 32,
            "account": name or "ann",
            "address": "192.0.2.7",
            "program": "Firefox",
            "created_at": AT,
            "seen_at": AT,
            "expires_at": AT,
        }
        return page([session])

    def end_sessions(self, name: str, actor: str) -> Json:
        self.changes.append(("end_sessions", name, actor))
        self._person(name)
        return {"account": name, "ended": 1}

    def list_tokens(self) -> Json:
        return page([self.keys[name] for name in sorted(self.keys)])

    def create_token(
        self,
        name: str,
        role: str,
        actor: str,
        *,
        expires: str | float | None = None,
        jobs: Sequence[str] = (),
    ) -> Json:
        self.changes.append(("create_token", name, role, actor, expires, tuple(jobs)))
        self.keys[name] = {
            "name": name,
            "role": role,
            "jobs": list(jobs) or None,
            "account": None,
            "created_at": AT,
            "created_by": actor,
            "expires_at": AT if expires else None,
            "used_at": None,
        }
        return {"api_version": "v1", **self.keys[name], "token": "chd_secret"}

    def revoke_token(self, name: str, actor: str) -> Json:
        self.changes.append(("revoke_token", name, actor))
        if self.keys.pop(name, None) is None:
            raise NotFound(f"there is no token '{name}'", code="no_such_token")
        return {"revoked": name}
