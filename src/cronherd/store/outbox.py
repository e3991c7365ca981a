"""The outbox: messages are written in the transaction of what they tell of, and sent later.

Each is claimed by one conditional write, under a lease: a claim that is not settled in time is due
again, so a node that dies takes nothing with it. What its end was is told with the claim's token.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from cronherd.domain.alert import (
    KEY_LENGTH,
    ChannelName,
    Draft,
    PostState,
    draft_of_heartbeat,
    draft_of_test,
    host_of,
)
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.instant import DAY_US, HOUR_US, LAST_US
from cronherd.store.database import Connection, Database, Row, Values, fetch, many, one, plain
from cronherd.store.events import EventRows
from cronherd.store.facts import Mark, mark_after
from cronherd.store.postbox import Claimed, Post, Settled

ADD = """
INSERT INTO outbox (id, "key", channel, target, run_id, turn, payload, state, tries, next_us,
created_us, error) VALUES (?, ?, ?, ?, ?, ?, ?, 'waiting', 0, ?, ?, '') /*unless there*/
"""
# One that has a turn goes after those of its run that come before it on the same channel.
DUE = """
SELECT o.id FROM outbox o WHERE o.state = 'waiting' AND o.channel = ? AND o.next_us <= ?
AND (o.turn = 0 OR NOT EXISTS (SELECT 1 FROM outbox e WHERE e.run_id = o.run_id
AND e.channel = o.channel AND e.state = 'waiting' AND e.turn < o.turn))
ORDER BY o.next_us, o.id LIMIT ?
"""
ALIKE = """
SELECT id FROM outbox WHERE state = 'waiting' AND channel = ? AND target IN ? AND tries = 0
ORDER BY created_us, id LIMIT ?
"""
TOGETHER = """
SELECT id FROM outbox WHERE state = 'waiting' AND channel = ? AND next_us <= ? AND batch IN ?
"""
BATCHES = "SELECT DISTINCT batch FROM outbox WHERE id IN ? AND batch IS NOT NULL"
# All that a postman asks who has nothing to do.
NEXT = "SELECT min(next_us), now_us() FROM outbox WHERE state = 'waiting' AND channel = ?"
COLUMNS = """id, "key", channel, target, payload, tries, created_us, batch, state, next_us, done_us,
error"""
LOCK = f"""
SELECT {COLUMNS} FROM outbox /*by primary*/
WHERE id IN ? AND state = 'waiting' AND (next_us <= ? OR tries = 0) ORDER BY id /*lock, skip*/
"""
TAKE = """
UPDATE outbox SET token = ?, tries = tries + 1, next_us = ?, batch = ? WHERE id = ?
"""
PUT_OFF = "UPDATE outbox SET next_us = ? WHERE id = ?"
SENT = """
UPDATE outbox SET state = 'sent', done_us = now_us(), token = NULL, error = ''
WHERE id = ? AND token = ? AND state = 'waiting'
"""
RETRY = """
UPDATE outbox SET next_us = now_us() + ?, token = NULL, error = ?
WHERE id = ? AND token = ? AND state = 'waiting'
"""
GIVE_UP = """
UPDATE outbox SET state = 'failed', done_us = now_us(), token = NULL, error = ?
WHERE id = ? AND token = ? AND state = 'waiting'
"""
STALE = """
SELECT id, channel, target, payload FROM outbox WHERE state = 'waiting' AND created_us < ?
AND next_us < ? LIMIT 100
"""
EXPIRE = """
UPDATE outbox SET state = 'failed', done_us = now_us(), error = ?
WHERE id = ? AND state = 'waiting' AND next_us < ?
"""
FORGET = "DELETE FROM outbox WHERE state = ? AND created_us < ?"
ONE = f"SELECT {COLUMNS} FROM outbox WHERE id = ?"
LIST = f"""
SELECT {COLUMNS} FROM outbox WHERE state IN ? AND created_us <= ?
ORDER BY created_us DESC, id DESC LIMIT ? OFFSET ?
"""
COUNTS = "SELECT state, count(*) FROM outbox GROUP BY state"
AGAIN = """
UPDATE outbox SET state = 'waiting', next_us = now_us(), created_us = now_us(), tries = 0,
done_us = NULL, token = NULL, batch = NULL WHERE state = 'failed'
"""
SOONER = """
UPDATE outbox SET next_us = now_us() WHERE state = 'waiting' AND token IS NULL AND tries > 0
"""

TARGET_LENGTH = 400
# One digest has no more: a mail of thousands of runs is read by nobody.
DIGEST_MOST = 500
ERROR_LENGTH = 400
# A postman gives up after a day; what is older than this had none that could send it.
STALE_US = DAY_US + HOUR_US
SENT_KEPT_US = 7 * DAY_US
FAILED_KEPT_US = 30 * DAY_US


def add(connection: Connection, drafts: Iterable[Draft], now_us: int) -> int:
    """Write these down, once each; how many were drafted."""
    rows = [_row(draft, now_us) for draft in drafts]
    many(connection, ADD, rows)
    return len(rows)


def _row(draft: Draft, now_us: int) -> Values:
    key = plain(draft.key, KEY_LENGTH).encode("ascii", "replace").decode()
    return (
        _id_of(draft.key),
        key,
        draft.channel.value,
        plain(draft.target, TARGET_LENGTH),
        None if draft.run_id is None else to_stored(draft.run_id),
        draft.turn,
        json.dumps(draft.payload),
        now_us,
        now_us,
    )


def _id_of(key: str) -> bytes:
    """Made from the key: also what a receiver drops a second copy by."""
    return to_stored(hashlib.sha256(key.encode()).hexdigest()[:32])


class OutboxRows:
    """Claiming and settling, and what people see of it. Implements Outbox."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def claim_posts(
        self, channel: ChannelName, token: str, *, lease_us: int, limit: int, digest_us: int = 0
    ) -> Claimed:
        with self._db.glance() as connection:
            ((next_us, now_us),) = fetch(connection, NEXT, (channel.value,))
            if next_us is None or next_us > now_us:
                return Claimed(posts=(), now_us=now_us, next_us=next_us)
            ids = [row[0] for row in fetch(connection, DUE, (channel.value, now_us, limit))]
            if not ids:
                return Claimed(posts=(), now_us=now_us, next_us=next_us)
            ids = sorted({*ids, *self._batched(connection, channel, ids, now_us)})
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            posts = [read_post(row) for row in fetch(connection, LOCK, (ids, now_us))]
            if digest_us:
                posts = self._gather(connection, channel, posts, now_us, digest_us)
            until_us = now_us + lease_us
            many(
                connection,
                TAKE,
                [(token, until_us, post.batch or None, to_stored(post.id)) for post in posts],
            )
        return Claimed(posts=tuple(posts), now_us=now_us, next_us=now_us)

    def _batched(
        self, connection: Connection, channel: ChannelName, ids: Sequence[bytes], now_us: int
    ) -> list[bytes]:
        """All of the batches of these: a digest that is sent again is the same digest."""
        batches = [row[0] for row in fetch(connection, BATCHES, (list(ids),))]
        if not batches:
            return []
        rows = fetch(connection, TOGETHER, (channel.value, now_us, batches))
        return [row[0] for row in rows]

    def _gather(
        self,
        connection: Connection,
        channel: ChannelName,
        posts: Sequence[Post],
        now_us: int,
        digest_us: int,
    ) -> list[Post]:
        """Those that are sent now, in batches by receiver; young ones are put off."""
        young = {p.target for p in posts if not p.tries and p.created_us + digest_us > now_us}
        ripe = {p.target for p in posts if not p.tries and p.created_us + digest_us <= now_us}
        late = [p for p in posts if p.tries]
        fresh = [p for p in posts if not p.tries and p.target in ripe]
        waits = [p for p in posts if not p.tries and p.target in young - ripe]
        many(
            connection,
            PUT_OFF,
            [(post.created_us + digest_us, to_stored(post.id)) for post in waits],
        )
        if ripe:
            fresh = self._alike(connection, channel, sorted(ripe), fresh, now_us)
        first: dict[str, str] = {}
        for post in fresh:
            first.setdefault(post.target, post.id)
        return [*late, *(replace(post, batch=first[post.target]) for post in fresh)]

    def _alike(
        self,
        connection: Connection,
        channel: ChannelName,
        targets: list[str],
        held: Sequence[Post],
        now_us: int,
    ) -> list[Post]:
        """What waits for the same receivers, with those that are held already."""
        known = {to_stored(post.id) for post in held}
        rows = fetch(connection, ALIKE, (channel.value, targets, DIGEST_MOST))
        more = sorted({row[0] for row in rows} - known)
        locked = fetch(connection, LOCK, (more, now_us)) if more else []
        found = [*held, *(post for post in map(read_post, locked) if not post.tries)]
        return sorted(found, key=lambda post: (post.created_us, post.id))

    def settle_posts(self, token: str, settled: Sequence[Settled]) -> int:
        done = 0
        with self._db.write() as connection:
            for each in sorted(settled, key=lambda one_of: to_stored(one_of.id)):
                mine = (to_stored(each.id), token)
                error = plain(each.error, ERROR_LENGTH)
                if each.wait_us is not None:
                    done += one(connection, RETRY, (each.wait_us, error, *mine))
                elif not each.error:
                    done += one(connection, SENT, mine)
                elif one(connection, GIVE_UP, (error, *mine)):
                    done += 1
                    rows = fetch(connection, ONE, (mine[0],))
                    self._told(connection, rows[0], error)
        return done

    def _told(self, connection: Connection, row: Row, error: str) -> None:
        """Nothing is given up silently."""
        post = read_post(row)
        job = post.payload.get("job") or post.channel.value
        text = f"{post.channel.value} to {shown_target(post)}: {error}"
        self._events.add(connection, EventKind.ALERT_FAILED, str(job), "postman", text)

    def beat_heart(self, url: str, every_us: int) -> int:
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            period = now_us // every_us
            add(connection, [draft_of_heartbeat(url, every_us, period)], now_us)
        return (period + 1) * every_us - now_us

    def tidy_posts(self) -> None:
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            rows = fetch(connection, STALE, (now_us - STALE_US, now_us))
            text = "no node could send it: is alerts.relay set where an agent runs?"
            for stored in sorted(row[0] for row in rows):
                if one(connection, EXPIRE, (text, stored, now_us)):
                    self._told(connection, fetch(connection, ONE, (stored,))[0], text)
            one(connection, FORGET, (PostState.SENT.value, now_us - SENT_KEPT_US))
            one(connection, FORGET, (PostState.FAILED.value, now_us - FAILED_KEPT_US))

    # ------------------------------------------------------------------ people

    def posts(self, states: Sequence[PostState], limit: int) -> list[Post]:
        return self.post_page(states, limit, None)[0]

    def post_page(
        self, states: Sequence[PostState], limit: int, mark: Mark | None
    ) -> tuple[list[Post], Mark | None]:
        wanted = [state.value for state in states or PostState]
        until = (mark.at_us, limit, mark.passed) if mark else (LAST_US, limit, 0)
        with self._db.glance() as connection:
            found = [read_post(row) for row in fetch(connection, LIST, (wanted, *until))]
        return found, mark_after(mark, [post.created_us for post in found], limit)

    def post_counts(self) -> Mapping[str, int]:
        with self._db.glance() as connection:
            return dict(tuple(row) for row in fetch(connection, COUNTS))

    def add_test(self, channel: ChannelName, target: str, mark: str) -> Post:
        draft = draft_of_test(channel, target, mark)
        with self._db.write() as connection:
            add(connection, [draft], self._db.dialect.now_us(connection))
            return read_post(fetch(connection, ONE, (_id_of(draft.key),))[0])

    def retry_posts(self) -> int:
        with self._db.write() as connection:
            return one(connection, AGAIN) + one(connection, SOONER)


def read_post(row: Row) -> Post:
    """A row of COLUMNS."""
    stored, key, channel, target, payload, tries, created_us, batch = row[:8]
    return Post(
        id=from_stored(stored),
        key=key,
        channel=ChannelName(channel),
        target=target,
        payload=json.loads(payload),
        tries=tries,
        created_us=created_us,
        batch=batch or "",
        state=PostState(row[8]),
        next_us=row[9],
        done_us=row[10],
        error=row[11],
    )


def shown_target(post: Post) -> str:
    """Whom it is for; of a URL only the host, since the path is often a secret."""
    return post.target if post.channel is ChannelName.MAIL else host_of(post.target)
