"""Nodes: registration, leases, and who is alive."""

import json
from collections.abc import Mapping

from sqlalchemy import Connection

from cronherd.domain.errors import Conflict
from cronherd.domain.event import EventKind
from cronherd.domain.ident import from_stored, to_stored
from cronherd.domain.job import place_matches
from cronherd.domain.node import Node
from cronherd.store.database import Database, Row, fetch, one
from cronherd.store.events import EventRows

FIELDS = """id, name, boot_id, incarnation, beat, lease_us, labels, capacity, version, tzdata,
started_us"""
NODES = f"SELECT {FIELDS}, (SELECT count(*) FROM run r WHERE r.node_id = node.id) FROM node"
BY_ID = "SELECT boot_id, incarnation, beat FROM node WHERE id = ?"
BY_NAME = "SELECT id, lease_us FROM node WHERE name = ? AND id <> ?"
RENAME_OLD = "UPDATE node SET name = ? WHERE id = ?"
ADD = """
INSERT INTO node (boot_id, incarnation, lease_us, labels, capacity, version, tzdata, started_us,
name, beat, drained, id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, ?)
"""
TAKE_OVER = """
UPDATE node SET boot_id = ?, incarnation = ?, lease_us = ?, labels = ?, capacity = ?,
version = ?, tzdata = ?, started_us = ?, name = ?, beat = beat + 1 WHERE id = ?
"""
RENEW = "UPDATE node SET lease_us = ?, beat = beat + 1 WHERE id = ? AND incarnation = ?"
RELEASE = "UPDATE node SET lease_us = ? WHERE id = ? AND incarnation = ?"
ALIVE = "SELECT name, labels FROM node WHERE lease_us > ? AND drained = 0"


class NodeRows:
    """The table of hosts."""

    def __init__(self, db: Database, events: EventRows) -> None:
        self._db = db
        self._events = events

    def register_node(self, node: Node, lease_us: int) -> Node:
        """Insert or take over the row; returns it as it was before (boot, incarnation)."""
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            self._free_name(connection, node, now_us)
            rows = fetch(connection, BY_ID, (to_stored(node.id),))
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
                to_stored(node.id),
            )
            one(connection, TAKE_OVER if rows else ADD, values)
            self._events.add(connection, EventKind.NODE_STARTED, node.name, f"node:{node.name}")
        boot_id, incarnation, beat = rows[0] if rows else ("", "", 0)
        return Node(
            id=node.id,
            name=node.name,
            incarnation=incarnation,
            boot_id=boot_id,
            capacity=node.capacity,
            beat=beat,
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

    def renew(self, node_id: str, incarnation: str, lease_us: int) -> bool:
        with self._db.write() as connection:
            until_us = self._db.dialect.now_us(connection) + lease_us
            return one(connection, RENEW, (until_us, to_stored(node_id), incarnation)) == 1

    def release_node(self, node_id: str, incarnation: str) -> None:
        with self._db.write() as connection:
            now_us = self._db.dialect.now_us(connection)
            if one(connection, RELEASE, (now_us, to_stored(node_id), incarnation)):
                name = fetch(
                    connection, "SELECT name FROM node WHERE id = ?", (to_stored(node_id),)
                )
                self._events.add(
                    connection, EventKind.NODE_STOPPED, name[0][0], f"node:{name[0][0]}"
                )

    def nodes(self) -> list[Node]:
        with self._db.read() as connection:
            return sorted(map(_node, fetch(connection, NODES)), key=lambda node: node.name)


class Places:
    """Which places live nodes serve, as of one transaction."""

    def __init__(self, connection: Connection, now_us: int) -> None:
        self._labels: list[Mapping[str, str]] = [
            {**json.loads(labels), "node": name}
            for name, labels in fetch(connection, ALIVE, (now_us,))
        ]
        self._known: dict[str, bool] = {}

    def served(self, place: str) -> bool:
        """Whether any live node matches; with no place, any at all will do later."""
        if not place:
            return True
        if place not in self._known:
            self._known[place] = any(place_matches(place, labels) for labels in self._labels)
        return self._known[place]


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
        live=row[11],
    )
