"""Accounts and tokens, asked of a running cronherd."""

from collections.abc import Sequence

from cronherd.client.asking import Asking
from cronherd.client.fleet import Json
from cronherd.client.messages import path_of


class PeopleClient(Asking):
    """The words of a fleet about who may come in."""

    def list_accounts(self) -> Json:
        return self._ask("GET", "/accounts")

    def add_account(self, name: str, role: str, actor: str, *, password: str | None = None) -> Json:
        del actor
        body = {"name": name, "role": role, "password": password}
        return self._ask("POST", "/accounts", body=[body])

    def make_link(self, name: str | None, actor: str) -> Json:
        del actor
        return self._ask("POST", "/links", body=[{"account": name}])

    def set_role(self, name: str, role: str, actor: str) -> Json:
        del actor
        return self._ask("POST", path_of("accounts", name, "role"), body=[{"role": role}])

    def set_account_enabled(self, name: str, actor: str, *, enabled: bool) -> Json:
        del actor
        return self._ask("POST", path_of("accounts", name, "enable" if enabled else "disable"))

    def set_password(self, name: str, password: str, actor: str) -> Json:
        del actor
        path = path_of("accounts", name, "password")
        return self._ask("POST", path, body=[{"password": password}])

    def remove_account(self, name: str, actor: str) -> Json:
        del actor
        return self._ask("DELETE", path_of("accounts", name))

    def list_sessions(self, name: str | None = None) -> Json:
        path = "/sessions" if name is None else path_of("accounts", name, "sessions")
        return self._ask("GET", path)

    def end_sessions(self, name: str, actor: str) -> Json:
        del actor
        return self._ask("DELETE", path_of("accounts", name, "sessions"))

    def list_tokens(self) -> Json:
        return self._ask("GET", "/tokens")

    def create_token(
        self,
        name: str,
        role: str,
        actor: str,
        *,
        expires: str | float | None = None,
        jobs: Sequence[str] = (),
    ) -> Json:
        del actor
        body = {"name": name, "role": role, "expires": expires, "jobs": list(jobs)}
        return self._ask("POST", "/tokens", body=[body])

    def revoke_token(self, name: str, actor: str) -> Json:
        del actor
        return self._ask("DELETE", path_of("tokens", name))
