"""Secrets: set, listed, removed, sealed anew. No answer, no event and no error has a value."""

from difflib import get_close_matches

from cronherd.domain.errors import Conflict, Invalid, NotFound, Unavailable
from cronherd.domain.secret import check_name, check_value, is_masked
from cronherd.service.desk import PAGE_LIMIT, Desk, Seals, cut
from cronherd.views import API_VERSION, Json, secret_view

NAMED = 5  # jobs in a sentence


class SecretDesk(Desk):
    """What a person may ask of secrets."""

    def list_secrets(self, limit: int = PAGE_LIMIT, *, cursor: str | None = None) -> Json:
        """Which there are, who set each last, and when."""
        views = [secret_view(secret) for secret in self._catalog.secrets()]
        return cut(views, "name", cursor, limit)

    def set_secret(self, name: str, value: str, actor: str) -> Json:
        """Make or replace one. `masked`: in output; `key_made`: the file of a key that was new."""
        check_name(name)
        check_value(value)
        seals = self._sealing()
        made = None if self._catalog.secrets() else seals.begin()
        sealed = seals.seal(name, value)
        secret = self._catalog.set_secret(name, sealed, actor)
        return {**secret_view(secret), "masked": is_masked(value), "key_made": made}

    def remove_secret(self, name: str, actor: str, *, force: bool = False) -> Json:
        """Forget one. Raises Conflict, naming them, while jobs use it; `force` does it anyway."""
        check_name(name)
        known = [secret.name for secret in self._catalog.secrets()]
        if name not in known:
            raise NotFound(
                f"there is no secret '{name}'", code="no_such_secret", hint=_close_name(name, known)
            )
        users = self._catalog.secret_users(name)
        if users and not force:
            more = f" and {len(users) - NAMED} more" if len(users) > NAMED else ""
            raise Conflict(
                f"the secret '{name}' is used by {', '.join(users[:NAMED])}{more}",
                code="secret_in_use",
                hint="their runs would not be started; repeat it with --force to remove it anyway",
            )
        self._catalog.remove_secret(name, actor)
        return {"removed": name, "used_by": users}

    def reseal_secrets(self, actor: str) -> Json:
        """Seal all by the newest key, so that older ones can go; `closed`: no key here opens it."""
        seals = self._sealing()
        changed, closed = {}, []
        for name, sealed in self._catalog.sealed().items():
            try:
                changed[name] = sealed, seals.reseal(name, sealed)
            except Invalid:
                closed.append(name)
        done = self._catalog.reseal_secrets(changed, actor)
        return {"api_version": API_VERSION, "resealed": done, "closed": sorted(closed)}

    def _sealing(self) -> Seals:
        if self._seals is None:
            raise Unavailable("this cronherd cannot seal secrets", code="no_sealing")
        return self._seals


def _close_name(name: str, known: list[str]) -> str:
    close = get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else "'cronherd secret list' shows them all"
