"""The hub of live views: one reader for this process, whatever the number of its viewers.

A thread looks at the pulse of the fleet (domain/pulse.py) while anybody watches, reads what changed
of what is watched, once, and hands the same bytes to all. Nobody watches: nothing is read.

Topics: `overview`, `events`, `runs` (those that changed), `job:KEY`, `run:ID` with its output.
"""

import asyncio
import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from secrets import token_hex
from threading import Event, Lock, Thread
from typing import Any, Protocol

from cronherd.api.problem import dump, problem_of
from cronherd.api.seat import Message, Seat
from cronherd.client import Fleet
from cronherd.domain.errors import CronherdError, Unavailable
from cronherd.domain.pulse import Change, Pulse, Watched, change_between

log = logging.getLogger("cronherd")

Json = dict[str, Any]

LOOK_S = 1.0
FOLLOW_S = 0.2  # while the output of a run is followed
CALM_S = 0.05  # between looks, however many come
AFRESH_S = 10.0  # what only time changes, such as who is late
SEATS = 1_000
RUNS_TOLD = 100  # of those that changed within one look
KEPT = 256  # changes that a view may have missed
JOB, RUN = "job:", "run:"
TIMES = ("now", "counted_at")  # what changes although nothing has


class Looks(Protocol):
    """What live views and scrapes need beside what anybody may ask."""

    def pulse(self) -> Pulse: ...
    def live_jobs(self, keys: Sequence[str]) -> Mapping[str, Json]: ...
    def live_runs(self, ids: Sequence[str]) -> Mapping[str, Json]: ...
    def fresh_output(self, watched: Sequence[Watched]) -> set[str]: ...
    def gauges(self, named: int) -> Json: ...


class Served(Fleet, Looks, Protocol):
    """A fleet as this process serves it."""


class Hub:
    """Opens seats, and keeps them told."""

    def __init__(self, fleet: Served, *, seats: int = SEATS) -> None:
        self._fleet = fleet
        self._most = seats
        self._seats: set[Seat] = set()
        self._lock = Lock()
        self._wake = Event()
        self._thread: Thread | None = None
        self._closed = False
        self.life = token_hex(4)
        self.looks = 0
        self._number = 0
        self._pulse: Pulse | None = None
        self._documents: dict[str, Message] = {}
        self._jobs: dict[str, str] = {}  # ids by key
        self._missed: deque[Message] = deque(maxlen=KEPT)
        self._begun = 0  # changes up to this number were told to nobody
        self._since_s = 0.0

    # ------------------------------------------------------------------ from the event loops

    @property
    def viewers(self) -> int:
        return len(self._seats)

    def open(self, seat: Seat) -> None:
        """Keep it told from now on. Raises Unavailable when there are too many."""
        with self._lock:
            if self._closed or len(self._seats) >= self._most:
                raise Unavailable(
                    "too many views are live", code="too_many_streams", hint="try later"
                )
            self._seats.add(seat)
            if self._thread is None:
                self._thread = Thread(target=self._run, name="hub", daemon=True)
                self._thread.start()
        self._wake.set()

    def leave(self, seat: Seat) -> None:
        """Nothing more for this one; the same again does nothing."""
        with self._lock:
            self._seats.discard(seat)
            if not self._seats:
                self._wake.set()

    def close(self) -> None:
        """End all views: a server that stops waits for none."""
        with self._lock:
            self._closed = True
            seats = list(self._seats)
        for seat in seats:
            if seat.watched is not None:  # whoever follows a run learns how it was left
                seat.put(Message(kind="end", content=dump({"run": seat.run})))
            seat.end()
        self._wake.set()
        _tell(seats)

    def missed_since(self, seen: int) -> Sequence[Message] | None:
        """The changes after this number; None when some of them are not kept any more."""
        with self._lock:
            kept = list(self._missed)
            full = len(kept) == KEPT
        if seen < self._begun or (full and seen < kept[0].number - 1):
            return None
        return [message for message in kept if message.number > seen]

    # ------------------------------------------------------------------ the reader

    def _run(self) -> None:
        while True:
            with self._lock:
                if self._closed or not self._seats:
                    self._rest()
                    return
                seats = list(self._seats)
            self._wake.clear()
            pause_s = FOLLOW_S if any(seat.watched for seat in seats) else LOOK_S
            try:
                if self._look(seats):
                    pause_s = 0.0
            except CronherdError as error:
                self._tell_problem(seats, error)
            except Exception:
                log.exception("live views: a look failed")
                self._tell_problem(seats, CronherdError("cronherd failed", code="internal"))
            _tell(seats)
            if pause_s and self._wake.wait(pause_s):
                pause_s = CALM_S
                Event().wait(pause_s)  # many come at once: one look is for all of them
            self._since_s += pause_s

    def _rest(self) -> None:
        """Nobody watches: what happens from now on was told to nobody. Under the lock."""
        self._thread, self._pulse = None, None
        self._documents.clear()
        self._missed.clear()
        self._begun = self._number

    def _look(self, seats: Sequence[Seat]) -> bool:
        """Whether there is more to be read at once."""
        self.looks += 1
        topics = frozenset[str]().union(*(seat.topics for seat in seats))
        pulse = self._fleet.pulse()
        change, first = change_between(self._pulse, pulse), self._pulse is None
        self._pulse = pulse
        for topic in [topic for topic in self._documents if topic not in topics]:
            del self._documents[topic]
        self._read_documents(topics, change)
        if "runs" in topics and change.runs and not first:
            self._tell_runs(seats, change)
        for seat in seats:
            kept = [self._documents[topic] for topic in seat.topics & self._documents.keys()]
            for message in sorted(kept, key=lambda one: one.number):
                if message.number > seat.seen:
                    seat.put(message)
            seat.seen = max(seat.seen, self._number)
        return self._read_output([seat for seat in seats if seat.watched])

    def _read_documents(self, topics: frozenset[str], change: Change) -> None:
        old = self._since_s >= AFRESH_S
        calm = self._since_s >= LOOK_S or "overview" not in self._documents
        if "overview" in topics and (old or "overview" not in self._documents or change) and calm:
            self._keep("overview", "overview", self._fleet.overview())
            self._since_s = 0.0
        if "events" in topics and (change.events or "events" not in self._documents):
            self._keep("events", "events", self._fleet.list_events(20))
        keys = [topic.removeprefix(JOB) for topic in sorted(topics) if topic.startswith(JOB)]
        wanted = [key for key in keys if self._is_old(key, change)]
        if wanted:
            found = self._fleet.live_jobs(wanted)
            for key in wanted:
                job = found.get(key)
                self._jobs[key] = job["job"]["id"] if job else ""
                self._keep(JOB + key, "job", job or {"gone": key})

    def _is_old(self, key: str, change: Change) -> bool:
        known = JOB + key in self._documents
        return not known or change.events or change.nodes or self._jobs[key] in change.jobs

    def _keep(self, topic: str, kind: str, document: Json) -> None:
        content = dump({k: v for k, v in document.items() if k not in TIMES})
        before = self._documents.get(topic)
        if before is None or before.content != content:
            self._number += 1
            self._documents[topic] = Message(
                kind=kind, content=content, number=self._number, topic=topic
            )

    def _tell_runs(self, seats: Iterable[Seat], change: Change) -> None:
        ids = sorted(change.runs, key=lambda shown: shown[8:], reverse=True)
        views = self._fleet.live_runs(ids[:RUNS_TOLD])
        self._number += 1
        items = [views[run_id] for run_id in ids if run_id in views]
        content = dump({"items": items, "more": len(ids) > RUNS_TOLD})
        message = Message(kind="runs", content=content, number=self._number)
        with self._lock:
            self._missed.append(message)
        for seat in seats:
            if "runs" in seat.topics:
                seat.put(message)

    # ------------------------------------------------------------------ output

    def _read_output(self, seats: Sequence[Seat]) -> bool:
        groups: dict[Watched, list[Seat]] = defaultdict(list)
        for seat in seats:
            if seat.watched is not None and seat.has_room():
                groups[seat.watched].append(seat)
        if not groups:
            return False
        views = self._fleet.live_runs(sorted({one.run_id for one in groups}))
        fresh = self._fleet.fresh_output(list(groups))
        more = [
            self._read_on(one, group, views.get(one.run_id), fresh=one.run_id in fresh)
            for one, group in groups.items()
        ]
        return any(more)

    def _read_on(
        self, one: Watched, seats: Sequence[Seat], view: Json | None, *, fresh: bool
    ) -> bool:
        """One read for all who have read as far as this; whether there may be more."""
        items: list[Json] = []
        if fresh:
            items = self._fleet.run_output(one.run_id, one.attempt, one.after)["items"]
        if view is not None:
            _tell_view(seats, view)
        if items:
            after = items[-1]["seq"]
            content = dump({"items": items})
            message = Message(kind="output", content=content, place=(one.attempt, after))
            for seat in seats:
                seat.watched = Watched(run_id=one.run_id, attempt=one.attempt, after=after)
                seat.put(message)
            return True
        if view is not None and one.attempt < view["attempt"]:
            for seat in seats:
                seat.watched = Watched(run_id=one.run_id, attempt=one.attempt + 1)
            return True
        if view is None or view["state"] == "finished":
            message = Message(kind="end", content=dump({"run": view}))
            for seat in seats:
                seat.watched = None
                seat.put(message)
        return False

    def _tell_problem(self, seats: Iterable[Seat], error: CronherdError) -> None:
        message = Message(
            kind="problem", content=dump({"problem": problem_of(error)}), topic="problem"
        )
        for seat in seats:
            seat.put(message)


def _tell_view(seats: Iterable[Seat], view: Json) -> None:
    message = Message(kind="run", content=dump({"run": view}), topic="run")
    for seat in seats:
        if seat.run != view:
            seat.run = view
            seat.put(message)


def _tell(seats: Iterable[Seat]) -> None:
    """Wake those for whom something waits, once for each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[Seat]] = defaultdict(list)
    for seat in seats:
        if seat.has_news():
            loops[seat.loop].append(seat)
    for loop, some in loops.items():
        try:
            loop.call_soon_threadsafe(_set_all, some)
        except RuntimeError:  # that server has ended in between
            continue


def _set_all(seats: Iterable[Seat]) -> None:
    for seat in seats:
        seat.ready.set()
