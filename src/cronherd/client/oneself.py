"""Who one is at a fleet elsewhere: a token for a name and a password, and giving it back."""

from cronherd.client.fleet import Json
from cronherd.client.remote import Client


class Oneself(Client):
    """A client that can ask about itself; a fleet that is not elsewhere has no such words."""

    def me(self) -> Json:
        """Who this client is, and its role."""
        return self._ask("GET", "/me")

    def login(self, name: str, password: str, label: str) -> Json:
        """A token of one's own, as `token` of the answer. Raises Refused."""
        body = {"name": name, "password": password, "label": label}
        return self._ask("POST", "/login", body=[body])

    def logout(self) -> Json:
        """Revoke the token this client sends."""
        return self._ask("POST", "/logout")
