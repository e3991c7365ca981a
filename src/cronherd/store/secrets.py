"""Secrets: sealed before they come here, so no table, no log and no backup can open them."""

from collections.abc import Mapping, Sequence

from cronherd.domain.errors import NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.job import Job
from cronherd.domain.secret import Secret
from cronherd.store.database import Database, Duplicate, fetch, one, plain
from cronherd.store.definitions import read_definition
from cronherd.store.events import SUBJECT_LENGTH, EventRows

SECRETS = 'SELECT "key", "by", at_us FROM secret'
SEALED = 'SELECT "key", sealed FROM secret WHERE "key" IN ?'
ALL_SEALED = 'SELECT "key", sealed FROM secret'
CHANGE = 'UPDATE secret SET sealed = ?, "by" = ?, at_us = now_us() WHERE "key" = ?'
ADD = 'INSERT INTO secret (sealed, "by", at_us, "key") VALUES (?, ?, now_us(), ?)'
AT = 'SELECT at_us FROM secret WHERE "key" = ?'
REMOVE = 'DELETE FROM secret WHERE "key" = ?'
# Only what is still there as it was read: somebody may have set it anew meanwhile.
RESEAL = 'UPDATE secret SET sealed = ? WHERE "key" = ? AND sealed = ?'
# Few jobs say the word at all; whether they mean this one, their definition tells.
MENTIONS = "SELECT name, spec FROM job WHERE deleted_us IS NULL AND spec LIKE ?"


class SecretRows:
    """The table of secrets."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def secrets(self) -> list[Secret]:
        with self._db.glance() as connection:
            rows = fetch(connection, SECRETS)
        return [Secret(name=name, by=by, at_us=at_us) for name, by, at_us in sorted(rows)]

    def sealed(self, names: Sequence[str] | None = None) -> dict[str, bytes]:
        if names is not None and not names:
            return {}
        with self._db.glance() as connection:
            if names is None:
                rows = fetch(connection, ALL_SEALED)
            else:
                rows = fetch(connection, SEALED, (list(names),))
        return {name: bytes(sealed) for name, sealed in rows}

    def set_secret(self, name: str, sealed: bytes, actor: str) -> Secret:
        try:
            return self._set(name, sealed, actor)
        except Duplicate:  # somebody set the same new one at the same instant: this one is later
            return self._set(name, sealed, actor)

    def _set(self, name: str, sealed: bytes, actor: str) -> Secret:
        by = plain(actor, SUBJECT_LENGTH)
        with self._db.write() as connection:
            if not one(connection, CHANGE, (sealed, by, name)):
                one(connection, ADD, (sealed, by, name))
            ((at_us,),) = fetch(connection, AT, (name,))
            self._events.add(connection, EventKind.SECRET_SET, name, actor)
        return Secret(name=name, by=by, at_us=at_us)

    def remove_secret(self, name: str, actor: str) -> None:
        with self._db.write() as connection:
            if not one(connection, REMOVE, (name,)):
                raise NotFound(f"there is no secret '{name}'", code="no_such_secret")
            self._events.add(connection, EventKind.SECRET_REMOVED, name, actor)

    def reseal_secrets(self, changed: Mapping[str, tuple[bytes, bytes]], actor: str) -> int:
        with self._db.write() as connection:
            done = sum(
                one(connection, RESEAL, (fresh, name, old))
                for name, (old, fresh) in sorted(changed.items())
            )
            if done:
                text = f"{done} sealed by the first key of the file"
                self._events.add(connection, EventKind.SECRETS_RESEALED, "secrets", actor, text)
        return done

    def secret_users(self, name: str) -> list[str]:
        with self._db.glance() as connection:
            rows = fetch(connection, MENTIONS, ('%"secret%',))
        return sorted(found for found, spec in rows if _uses(spec, name))


def _uses(spec: str, name: str) -> bool:
    job = read_definition(spec)
    if not isinstance(job, Job):
        return False
    hook = job.alerts.webhook if job.alerts else None
    return any(use.name == name for use in job.secrets) or (
        hook is not None and hook.secret == name
    )
