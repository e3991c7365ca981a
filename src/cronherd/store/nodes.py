"""Nodes: registration, leases, who is alive, and what people want of them."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from cronherd.domain.errors import Conflict, NotFound
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.instant import format_instant
from cronherd.domain.node import Node
from cronherd.domain.place import parse_place, place_matches
from cronherd.domain.policy import UNKNOWN_AFTER_US
from cronherd.store.base import Peers, Renewal
from cronherd.store.database import Connection, Database, Duplicate, Row, fetch, one, plain
from cronherd.store.events import EventRows

FIELDS = """id, name, boot_id, incarnation, beat, lease_us, labels, capacity, version, tzdata,
started_us, home, drained, unfenced, settled_boot"""
NODES = f"""
SELECT {FIELDS}, (SELECT count(*) FROM run r WHERE r.node_id = node.id) FROM node
WHERE removed_us IS NULL
"""
# Runs are looked for only where a lease has run out: the many who live cost nothing more.
PEERS = f"""
SELECT {FIELDS}, CASE WHEN lease_us <= now_us() AND
EXISTS (SELECT 1 FROM run r WHERE r.node_id = node.id) THEN 1 ELSE 0 END, now_us(),
EXISTS (SELECT 1 FROM meta WHERE "key" = 'hold' AND value <> '')
FROM node WHERE id <> ? AND removed_us IS NULL
"""
BY_ID = f"SELECT {FIELDS}, 0 FROM node WHERE id = ? /*lock*/"
BY_NAME = "SELECT id, lease_us FROM node WHERE name = ? AND id <> ? /*lock*/"
RENAME_OLD = "UPDATE node SET name = ? WHERE id = ?"
ADD = """
INSERT INTO node (boot_id, incarnation, lease_us, labels, capacity, version, tzdata, started_us,
name, home, unfenced, beat, drained, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, FALSE, ?)
"""
TAKE_OVER = """
UPDATE node SET boot_id = ?, incarnation = ?, lease_us = ?, labels = ?, capacity = ?,
version = ?, tzdata = ?, started_us = ?, name = ?, home = ?, unfenced = ?, removed_us = NULL,
beat = beat + 1 WHERE id = ?
"""
# Whoever beats has settled what was before its boot.
RENEW = """
UPDATE node SET lease_us = now_us() + ?, beat = beat + 1, unfenced = (unfenced AND ?) OR ?,
settled_boot = boot_id
WHERE id = ? AND incarnation = ?
"""
WANTED = """
SELECT drained, EXISTS (SELECT 1 FROM meta WHERE "key" = 'hold' AND value <> '')
FROM node WHERE id = ?
"""
# 0 tells an end that was announced from silence.
RELEASE = "UPDATE node SET lease_us = 0 WHERE id = ? AND incarnation = ?"
NAME = "SELECT name FROM node WHERE id = ? AND removed_us IS NULL /*lock*/"
DRAIN = "UPDATE node SET drained = ? WHERE id = ?"
ALIVE = "SELECT name, labels FROM node WHERE lease_us > ? AND NOT drained"
EXPECTED = """
SELECT id, name, labels, lease_us, drained FROM node WHERE removed_us IS NULL
AND lease_us > ? ORDER BY name
"""
HOLD = "SELECT value FROM meta WHERE \"key\" = 'hold' /*lock*/"
SET_HOLD = "UPDATE meta SET value = ? WHERE \"key\" = 'hold'"


class NodeRows:
    """The table of hosts."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def register_node(self, node: Node, lease_us: int) -> Node:
        """Insert or take over the row; returns it as it was before (boot, incarnation)."""
        try:
            return self._register(node, lease_us)
        except Duplicate:  # somebody of that name or id came at the same instant: look again
            return self._register(node, lease_us)

    def _register(self, node: Node, lease_us: int) -> Node:
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            rows = fetch(connection, BY_ID, (to_stored(node.id),))
            before = _node(rows[0]) if rows else None
            _refuse_copy(node, before, now_us)
            self._free_name(connection, node, now_us)
            values = (
                node.boot_id,
                node.incarnation,
                now_us + lease_us,
                json.dumps(dict(node.labels), sort_keys=True),
                node.capacity,
                node.version,
                node.tzdata,
                now_us,
                node.name,
                node.home,
                node.unfenced,
                to_stored(node.id),
            )
            one(connection, TAKE_OVER if rows else ADD, values)
            self._events.add(connection, EventKind.NODE_STARTED, node.name, f"node:{node.name}")
        return before or Node(
            id=node.id, name=node.name, incarnation="", boot_id="", capacity=node.capacity
        )

    def _free_name(self, connection: Connection, node: Node, now_us: int) -> None:
        """A name belongs to the living; a silent owner keeps its row under another name."""
        for stored, lease_us in fetch(connection, BY_NAME, (node.name, to_stored(node.id))):
            if lease_us > now_us:
                raise Conflict(
                    f"another live node is named '{node.name}'",
                    code="node_name_taken",
                    hint="give this one another name: node: {name: …}",
                )
            old = f"{node.name[:80]} (until {from_stored(stored)[:8]})"
            one(connection, RENAME_OLD, (old, stored))

    def renew(
        self, node_id: str, incarnation: str, lease_us: int, *, unfenced: bool | None = None
    ) -> Renewal:
        stored = to_stored(node_id)
        with self._db.change() as connection:
            rows = fetch(connection, WANTED, (stored,))
            if not rows:
                return Renewal(ours=False)
            drained, hold = rows[0]
            # A hold that is told is in the row before it is told.
            told = bool(unfenced or hold)
            values = (lease_us, unfenced is None, told, stored, incarnation)
            if one(connection, RENEW, values) != 1:
                return Renewal(ours=False)
        return Renewal(ours=True, drained=bool(drained), hold=bool(hold))

    def release_node(self, node_id: str, incarnation: str) -> None:
        stored = to_stored(node_id)
        with self._db.write() as connection:
            if one(connection, RELEASE, (stored, incarnation)):
                name = fetch(connection, NAME, (stored,))[0][0]
                self._events.add(connection, EventKind.NODE_STOPPED, name, f"node:{name}")

    def nodes(self) -> list[Node]:
        with self._db.glance() as connection:
            return sorted(map(_node, fetch(connection, NODES)), key=lambda node: node.name)

    def peers(self, node_id: str) -> Peers:
        with self._db.glance() as connection:
            rows = fetch(connection, PEERS, (to_stored(node_id),))
        return Peers(
            now_us=rows[0][-2] if rows else 0,
            hold=bool(rows and rows[0][-1]),
            nodes=tuple(map(_node, rows)),
        )

    def set_drained(self, node_id: str, actor: str, *, drained: bool) -> None:
        with self._db.write() as connection:
            names = fetch(connection, NAME, (to_stored(node_id),))
            if not names:
                raise NotFound("that node is no longer registered", code="no_such_node")
            one(connection, DRAIN, (drained, to_stored(node_id)))
            kind = EventKind.NODE_DRAINED if drained else EventKind.NODE_RESUMED
            self._events.add(connection, kind, names[0][0], actor)

    def set_hold(self, actor: str, *, hold: bool) -> None:
        with self._db.write() as connection:
            before = fetch(connection, HOLD)[0][0]
            if bool(before) == hold:
                return
            since = format_instant(self._db.dialect.now_us(connection))
            one(connection, SET_HOLD, (plain(f"{since} by {actor}", 400) if hold else "",))
            kind = EventKind.HOLD_BEGAN if hold else EventKind.HOLD_ENDED
            self._events.add(connection, kind, "fleet", actor)


class Member(NamedTuple):
    """A node that a run on all nodes is meant for; `takes`: it starts runs at the moment."""

    node_id: str
    name: str
    labels: Mapping[str, str]
    takes: bool


def _member(row: Row, now_us: int) -> Member:
    stored, name, labels, lease_us, drained = row
    takes = lease_us > now_us and not drained
    return Member(from_stored(stored), name, {**json.loads(labels), "node": name}, takes)


class Places:
    """Which places live nodes serve, as of one transaction, and how many of them there are."""

    def __init__(self, connection: Connection, now_us: int) -> None:
        self._connection, self._now_us = connection, now_us
        self._labels: list[Mapping[str, str]] = [
            {**json.loads(labels), "node": name}
            for name, labels in fetch(connection, ALIVE, (now_us,))
        ]
        self._known: dict[str, bool] = {}
        self._members: list[Member] | None = None

    @property
    def alive(self) -> int:
        """How many nodes may take runs."""
        return len(self._labels)

    def served(self, place: str) -> bool:
        """Whether any live node matches; with no place, any at all will do later."""
        if not place:
            return True
        if place not in self._known:
            self._known[place] = any(place_matches(place, labels) for labels in self._labels)
        return self._known[place]

    def preferred(self, place: str) -> bool:
        """Whether a live node is one of those that the place prefers."""
        parsed = parse_place(place)
        return any(parsed.fits(labels) and parsed.preferred(labels) for labels in self._labels)

    def expected(self, place: str) -> list[Member]:
        """The nodes that match, in the order of their names; those long silent do not count."""
        if self._members is None:
            oldest_us = self._now_us - UNKNOWN_AFTER_US
            rows = fetch(self._connection, EXPECTED, (oldest_us,))
            self._members = [_member(row, self._now_us) for row in rows]
        return [member for member in self._members if place_matches(place, member.labels)]


def _refuse_copy(node: Node, before: Node | None, now_us: int) -> None:
    """A live lease of this id that comes from elsewhere: two state directories with one id.

    A host that was restarted faster than its lease runs out looks the same, and need only wait.
    """
    if before is None or not before.alive(now_us) or not before.incarnation:
        return
    if before.boot_id == node.boot_id and before.home in {"", node.home}:
        return
    raise Conflict(
        f"the node '{before.name}' is alive elsewhere with the id of this state directory",
        code="node_cloned",
        hint="it is a copy: remove its file node_id (or use another --state), and start again",
    )


def _node(row: Row) -> Node:
    return Node(
        id=from_stored(row[0]),
        name=row[1],
        boot_id=row[2],
        incarnation=row[3],
        beat=row[4],
        lease_us=row[5],
        labels=json.loads(row[6]),
        capacity=row[7],
        version=row[8],
        tzdata=row[9],
        started_us=row[10],
        home=row[11],
        drained=bool(row[12]),
        unfenced=bool(row[13]),
        settled_boot=row[14],
        live=row[15],
    )
