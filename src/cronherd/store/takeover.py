"""Takeover: the runs of a silent node end, by time or by a person's word."""

from collections.abc import Sequence

from cronherd.domain.errors import Conflict
from cronherd.domain.event import EventKind
from cronherd.domain.ident import to_stored
from cronherd.domain.node import Node
from cronherd.store.base import Ending, Recorded
from cronherd.store.database import Connection, Database, fetch, one
from cronherd.store.events import EventRows, known
from cronherd.store.recording import RecordRows

NODE = "SELECT name, incarnation, beat, lease_us, unfenced FROM node WHERE id = ? /*lock*/"
HELD_FLEET = "SELECT 1 FROM meta WHERE \"key\" = 'hold' AND value <> ''"
JUDGE = "UPDATE node SET incarnation = '' WHERE id = ?"
REMOVE = "UPDATE node SET removed_us = now_us(), incarnation = '', lease_us = 0 WHERE id = ?"
HELD = "SELECT id FROM run WHERE node_id = ?"


class TakeoverRows:
    """What others say of a node that says nothing."""

    def __init__(self, db: Database, events: EventRows, records: RecordRows) -> None:
        self._db = db
        self._events = events
        self._records = records

    def take_over(self, node: Node, endings: Sequence[Ending], *, judged: bool) -> Recorded | None:
        with self._db.write() as connection:
            rows = fetch(connection, NODE, (to_stored(node.id),))
            if not rows or tuple(rows[0][1:3]) != (node.incarnation, node.beat):
                return None
            if rows[0][3] > self._db.dialect.now_us(connection):
                return None
            if judged and (rows[0][4] or fetch(connection, HELD_FLEET)):
                return None
            answer = self._end(connection, endings)
            if judged and node.incarnation:
                one(connection, JUDGE, (to_stored(node.id),))
                text = f"{len(endings)} of its runs were taken over"
                self._events.add(connection, EventKind.NODE_JUDGED, node.name, "reaper", text)
        return answer

    def remove_node(self, node: Node, endings: Sequence[Ending], actor: str) -> Recorded:
        return self._events.surely(lambda mark: self._remove(node, endings, actor, mark))

    def _remove(self, node: Node, endings: Sequence[Ending], actor: str, mark: str) -> Recorded:
        """Asked for once more it was done, maybe: what that freed is found by the next sweep."""
        stored = to_stored(node.id)
        with self._db.write() as connection:
            rows = fetch(connection, NODE, (stored,))
            if known(connection, mark):
                return Recorded()
            if not rows or rows[0][2] != node.beat:
                raise Conflict(
                    f"'{node.name}' has just moved", code="node_moved", hint="look again"
                )
            if rows[0][3] > self._db.dialect.now_us(connection):
                raise Conflict(
                    f"the node '{node.name}' is alive",
                    code="node_alive",
                    hint="stop its agent first",
                )
            named = {to_stored(ending.run_id) for ending in endings}
            if any(row[0] not in named for row in fetch(connection, HELD, (stored,))):
                raise Conflict(
                    f"the node '{node.name}' holds runs whose end nobody knows",
                    code="node_holds_runs",
                    hint="wait for it, or give --confirm-dead when nothing of it runs any more",
                )
            answer = self._end(connection, endings)
            one(connection, REMOVE, (stored,))
            self._events.by(mark).add(connection, EventKind.NODE_REMOVED, node.name, actor)
        return answer

    def _end(self, connection: Connection, endings: Sequence[Ending]) -> Recorded:
        answer = Recorded()
        if endings:
            told: dict[bytes, set[str]] = {to_stored(e.run_id): {e.token} for e in endings}
            live = self._records.lock(connection, told, endings)
            self._records.end(connection, endings, live, answer)
        return answer
