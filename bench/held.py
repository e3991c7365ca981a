"""What looking at the due rows costs: fresh, after many firings, and beside an old snapshot."""

import time
from dataclasses import dataclass, field

from bench.plenty import Segment
from bench.report import BenchError, Row, percentile, tidy
from bench.servers import DatabaseServer
from bench.shifted import BATCH, CLOCK, Shifted, fire_all, new_id, opened, tune
from cronherd.domain.instant import SECOND_US
from cronherd.engine.live import LiveRuns
from cronherd.engine.scheduler import HORIZON_US, Scheduler
from cronherd.store.base import Claim
from cronherd.store.lowbound import LowBound
from tests.servers.databases import Session

LOOKS = 100
BEFORE_S = 5  # how long before its first slot a clock begins
SPANS = 6  # the first and the last of so many parts are shown
EACH = 4  # samples of each kind after a second's firing
LEAD_S = 3

HOLD = {
    "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "mariadb": "START TRANSACTION WITH CONSISTENT SNAPSHOT",
}


@dataclass(slots=True, kw_only=True)
class Samples:
    """Seconds that looks took, by kind."""

    look: list[float] = field(default_factory=list)
    due: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)

    def row(self, when: str, fired: int) -> Row:
        found: dict[str, object] = {"when": when, "fired": fired}
        kinds = {"look": self.look, "due": self.due, "from 0": self.whole}
        for kind, values in kinds.items():
            if not values:
                raise BenchError(f"there was no time to look: {when}")
            found[f"{kind} p50"] = tidy(1e3 * percentile(values, 0.5), 3)
            found[f"{kind} max"] = tidy(1e3 * max(values), 3)
        return found


class Looker:
    """Looks as an idle node does, and asks for due rows as firing does, when there are none."""

    def __init__(self, shifted: Shifted) -> None:
        self._shifted = shifted
        self._bound = LowBound()

    def sample(self, samples: Samples) -> None:
        self._look(samples)
        now_us, low_us = self._shifted.store.now_us(), self._bound.low_us()
        for kind, from_us in ((samples.due, low_us), (samples.whole, 0)):
            with self._shifted.db.write() as connection:
                began = time.perf_counter()
                rows = self._shifted.dialect.due(connection, from_us, now_us, BATCH)
                took = time.perf_counter() - began
            if rows:
                return
            kind.append(took)
        self._bound.saw(None, now_us)

    def _look(self, samples: Samples) -> None:
        began = time.perf_counter()
        look = self._shifted.store.look(self._shifted.node.id, HORIZON_US)
        took = time.perf_counter() - began
        if look.next_us is None or look.next_us > look.now_us:
            samples.look.append(took)


def at_rest(url: str, due_us: int, when: str) -> Row:
    """A little before the first slot of all."""
    samples = Samples()
    with opened(url, due_us - BEFORE_S * SECOND_US) as shifted:
        looker = Looker(shifted)
        for _ in range(LOOKS):
            looker.sample(samples)
    return samples.row(when, 0)


def one_second(url: str, slot_us: int, count: int) -> Row:
    """The engine's own scheduler sleeps towards a slot of many jobs and fires them."""
    begin_us = slot_us - LEAD_S * SECOND_US
    with opened(url, begin_us) as shifted:
        live = LiveRuns(shifted.node.capacity)
        ended: list[float] = []

        def dispatch(claims: list[Claim], boot_us: int) -> None:
            del boot_us
            live.add(claims)
            ended.append((shifted.now_us() - slot_us) / SECOND_US)

        tune()
        scheduler = Scheduler(
            shifted.store,
            CLOCK,
            shifted.node,
            live,
            dispatch=dispatch,
            looked=lambda _: None,
            renew=lambda: None,
            new_id=new_id,
            sleep_share=lambda: 1.0,
        )
        while shifted.now_us() < slot_us + SECOND_US:
            time.sleep(scheduler.tick())
    return {
        "slots": count,
        "batches": len(ended),
        "first ms": tidy(1e3 * min(ended), 3),
        "half s": tidy(percentile(ended, 0.5), 3),
        "all s": tidy(max(ended), 3),
    }


def after_s(seconds: int) -> int:
    """How long firing goes on after a snapshot of so many seconds."""
    return max(2, seconds // 4)


def with_snapshot(server: DatabaseServer, url: str, stream: Segment, seconds: int) -> list[Row]:
    """Fire a stream of slots; for its first `seconds` somebody's transaction is open."""
    holder = server.open(url)
    try:
        with opened(url, stream.due_us - BEFORE_S * SECOND_US) as shifted:
            return _stream(server, holder, shifted, stream, seconds)
    finally:
        holder.close()


def _stream(
    server: DatabaseServer, holder: Session, shifted: Shifted, stream: Segment, seconds: int
) -> list[Row]:
    begin = time.monotonic() + BEFORE_S
    looker, before = Looker(shifted), Samples()
    for _ in range(LOOKS):
        looker.sample(before)
    rows = [before.row("before the snapshot", 0)]
    holder.run(HOLD[server.kind])
    holder.run("SELECT count(*) FROM meta")
    fired = 0
    part_s = seconds / SPANS
    spans = [
        (f"its first {part_s:g} s", part_s),
        ("", seconds - part_s),
        (f"its last {part_s:g} s", float(seconds)),
    ]
    for when, end_s in spans:
        samples = Samples()
        fired += _until(begin + end_s, shifted, looker, samples)
        if when:
            rows.append(samples.row(when, fired))
    holder.run("ROLLBACK")
    samples = Samples()
    more_s = after_s(seconds)
    fired += _until(begin + seconds + more_s, shifted, looker, samples)
    rows.append(samples.row(f"the {more_s} s after it", fired))
    if fired < stream.count - 2 * stream.each_s:
        raise BenchError(f"only {fired} of {stream.count} jobs of the stream were fired in time")
    return rows


def _until(end: float, shifted: Shifted, looker: Looker, samples: Samples) -> int:
    """Fire what comes due, look in between; how many were fired."""
    fired = 0
    while (left := end - time.monotonic()) > 0:
        fired += fire_all(shifted).rows
        for _ in range(EACH):
            looker.sample(samples)
        time.sleep(max(0.0, min(left, 0.2)))
    return fired
