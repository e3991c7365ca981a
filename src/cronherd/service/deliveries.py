"""Runs that job servers deliver to workers: who may start one, and that it still lives."""

import re

from cronherd.domain.errors import Invalid
from cronherd.service.desk import Desk
from cronherd.views import Json

_TOKEN = re.compile(r"[0-9a-f]{16,32}")
_ID = re.compile(r"[0-9a-f]{32}")
_MOST_ATTEMPTS = 1_000_000
_MOST_CODE = 255


class DeliveryDesk(Desk):
    """What a worker asks before it starts what a job server gave it."""

    def deliver_run(self, run: str, attempt: int, token: str, worker: str) -> Json:
        """Take this attempt: `receipt` is `won` once, for this token; `code` when it has ended."""
        _check(run, attempt, token)
        answer = self._catalog.deliver(run, attempt, token, worker)
        return {"receipt": answer.receipt.value, "code": answer.code}

    def run_delivered(self, run: str, attempt: int, token: str, code: int | None) -> Json:
        """Its worker lives, or its command ended with `code`; `wanted`: the fleet waits for it."""
        _check(run, attempt, token)
        if code is not None and not 0 <= code <= _MOST_CODE:
            raise Invalid("is not an exit code", code="bad_parameter", where="code")
        return {"wanted": self._catalog.delivered(run, attempt, token, code)}


def _check(run: str, attempt: int, token: str) -> None:
    if not _ID.fullmatch(run):
        raise Invalid(f"'{run[:40]}' is not the whole id of a run", code="bad_id")
    if not 1 <= attempt <= _MOST_ATTEMPTS:
        raise Invalid("is not the number of an attempt", code="bad_parameter", where="attempt")
    if not _TOKEN.fullmatch(token):
        raise Invalid("must be 16 to 32 digits 0-9a-f", code="bad_parameter", where="token")
