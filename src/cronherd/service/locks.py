"""Locks of the fleet: taken, renewed and given back by who holds them, listed and cleared."""

from cronherd.domain.duration import parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.lock import (
    HOLDER_LENGTH,
    LONGEST_EXPIRY_US,
    TOKEN,
    check_expiry,
    check_name,
)
from cronherd.service.desk import Desk
from cronherd.views import API_VERSION, Json, lock_view, page


class LockDesk(Desk):
    """What a program or a person may ask of locks; `expires` and `gap` are durations."""

    def list_locks(self) -> Json:
        """Those that are held, by name; tokens are in no document."""
        now_us = self._store.now_us()
        return page([lock_view(hold, now_us) for hold in self._catalog.locks()], None)

    def acquire_lock(
        self, name: str, token: str, holder: str, *, shared: bool, expires: str | float
    ) -> Json:
        """Take it if nobody is in the way: `held`, and otherwise `holders`.

        `token` is made by who asks, and the same one again is the same hold.
        """
        check_name(name)
        _check_token(token)
        if not holder or len(holder) > HOLDER_LENGTH:
            text = f"a holder has 1 to {HOLDER_LENGTH} characters"
            raise Invalid(text, code="bad_holder", where="holder")
        tried = self._catalog.acquire_lock(
            name, token, holder, shared=shared, expires_us=_expiry(expires)
        )
        return {
            "api_version": API_VERSION,
            "held": tried.hold is not None,
            "lock": lock_view(tried.hold, tried.now_us) if tried.hold else None,
            "holders": [lock_view(hold, tried.now_us) for hold in tried.others if hold.holder],
        }

    def renew_lock(self, name: str, token: str, *, expires: str | float) -> Json:
        """Hold it for so long from now. `held` is false when it is not this token's any more."""
        check_name(name)
        _check_token(token)
        held = self._catalog.renew_lock(name, token, _expiry(expires))
        return {"api_version": API_VERSION, "held": held}

    def release_lock(self, name: str, token: str, *, gap: str | float = 0) -> Json:
        """Give it back, for others after the gap. `released` is false when it was not held."""
        check_name(name)
        _check_token(token)
        gap_us = parse_duration(gap)
        if gap_us > LONGEST_EXPIRY_US:
            raise Invalid("the gap is too long", code="bad_gap", where="gap")
        released = self._catalog.release_lock(name, token, gap_us)
        return {"api_version": API_VERSION, "released": released}

    def clear_lock(self, name: str, actor: str) -> Json:
        """Take it from whoever holds it. Raises NotFound when nobody does."""
        now_us = self._store.now_us()
        taken = self._catalog.clear_lock(check_name(name), actor)
        return {
            "api_version": API_VERSION,
            "cleared": name,
            "holders": [lock_view(hold, now_us) for hold in taken],
        }


def _check_token(token: str) -> None:
    if not TOKEN.fullmatch(token):
        text = "a token has 16 to 32 letters and digits, drawn at random"
        raise Invalid(text, code="bad_lock_token", where="token")


def _expiry(expires: str | float) -> int:
    expiry_us = parse_duration(expires)
    check_expiry(expiry_us)
    return expiry_us
