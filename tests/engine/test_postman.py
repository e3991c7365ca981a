"""Postmen over a real store and a channel of the test's own, on a clock moved by hand."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cronherd.alerts.base import Message, SendFailed
from cronherd.domain.alert import ChannelName, PostState
from cronherd.domain.errors import Unavailable
from cronherd.domain.event import EventKind
from cronherd.domain.judge import judge
from cronherd.domain.run import Exit
from cronherd.engine.clock import SystemClock
from cronherd.engine.mailroom import Mailroom
from cronherd.engine.postman import Caretaker, Posting, Postman
from cronherd.engine.secrets import Opened
from cronherd.store.base import Chunk
from tests.engine.host import wait_until
from tests.engine.stand_in import Rig

MINUTE_US = 60_000_000


class Way:
    """A channel that keeps what it is given; `fails` is raised instead, once for each."""

    def __init__(self, name: ChannelName = ChannelName.MAIL) -> None:
        self.name = name
        self.sent: list[Message] = []
        self.fails: list[Exception] = []
        self.during: Callable[[], None] = lambda: None
        self.crashes = False

    def send(self, message: Message) -> None:
        self.during()
        if self.fails:
            raise self.fails.pop(0)
        self.sent.append(message)
        if self.crashes:
            self.crashes = False
            raise KeyboardInterrupt


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path, capacity=100)


def postman(rig: Rig, way: Way, opened: Opened | None = None, **more: Any) -> Postman:
    posting = Posting(outbox=rig.store, channels=(way,), **more)
    return Postman(
        posting, way, rig.clock, new_id=rig.new_id, chance=lambda: 0.0,
        reveal=lambda names: opened or {},
    )  # fmt: skip


def write(rig: Rig, *names: str, exit_code: int = 1, says: bytes = b"", **more: Any) -> None:
    """Runs of jobs of these names that ended just now."""
    for name in names:
        rig.request(name, **{"mailto": "a@x.org", "mail": "always", **more})
        claim = rig.claim()
        end = Exit(started_us=rig.clock.now_us(), ended_us=rig.clock.now_us(), exit_code=exit_code)
        piece = Chunk(
            run_id=claim.run_id, token=claim.token, attempt=1, seq=0, stream=1, at_us=1,
            dropped=7 if says else 0, chunk=says,
        )  # fmt: skip
        verdict = judge(claim.job, 1, end, 0.5)
        rig.store.record([], [piece] if says else [], [claim.ended(end, verdict)])


def settle(man: Postman) -> float:
    """Ticks until there is nothing to do at once; how long it would sleep."""
    for _ in range(100):
        if sleep_s := man.tick():
            return sleep_s
    raise AssertionError("it never rests")


def states(rig: Rig) -> dict[str, int]:
    return dict(rig.store.post_counts())


def test_what_is_written_is_sent_once(rig: Rig):
    way = Way()
    write(rig, "one", "two", says=b"gr\xc3\xbc\xc3\x9fe")
    man = postman(rig, way)
    settle(man)
    settle(man)
    # Of one instant: which of them is first says nothing.
    assert sorted(m.parts[0].payload["job"] for m in way.sent) == ["one", "two"]
    assert way.sent[0].parts[0].output == "\n[… 7 bytes were not kept …]\ngrüße"
    assert states(rig) == {"sent": 2}


def test_a_failure_is_tried_again_later_and_later_and_never_after_a_day(rig: Rig):
    way = Way()
    write(rig, "one")
    man = postman(rig, way)
    waits: list[int] = []
    began_us = rig.clock.now_us()
    while states(rig) == {"waiting": 1}:
        way.fails = [SendFailed("down")]
        settle(man)
        (post,) = rig.store.posts([], 1)
        if post.state is PostState.WAITING:
            waits.append((post.next_us - rig.clock.now_us()) // MINUTE_US)
            rig.clock.advance(waits[-1] * 60)
    assert waits[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert set(waits[8:]) == {60}
    assert 22 <= (rig.clock.now_us() - began_us) / (60 * MINUTE_US) <= 24
    (event,) = [e for e in rig.store.events(10) if e.kind is EventKind.ALERT_FAILED]
    assert (event.subject, event.text) == ("one", "mail to a@x.org: down")
    assert rig.store.retry_posts() == 1
    settle(man)
    assert states(rig) == {"sent": 1}


def test_what_is_hopeless_is_given_up_at_once(rig: Rig):
    way = Way()
    write(rig, "one")
    way.fails = [SendFailed("refused for good", final=True)]
    settle(postman(rig, way))
    assert states(rig) == {"failed": 1}


def test_a_closed_way_is_asked_once_for_all_that_wait(rig: Rig):
    way = Way()
    write(rig, *"abcde")
    asked: list[int] = []
    way.during = lambda: asked.append(1)
    way.fails = [SendFailed("no connection", everybody=True)] * 5
    man = postman(rig, way)
    settle(man)
    assert len(asked) == 1
    assert {post.error for post in rig.store.posts([], 10)} == {"no connection"}
    way.fails = []
    rig.clock.advance(61)
    settle(man)
    assert len(way.sent) == 5


def test_one_odd_message_does_not_stop_the_others(rig: Rig):
    way = Way()
    write(rig, "one", "two")
    way.fails = [RuntimeError("a bug")]
    man = postman(rig, way)
    settle(man)
    assert len(way.sent) == 1
    assert way.fails == []
    assert states(rig) == {"sent": 1, "waiting": 1}


def test_what_was_sent_while_the_database_was_away_is_not_sent_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
):
    way = Way()
    write(rig, "one")
    man = postman(rig, way)

    def away(*_: object) -> int:
        raise Unavailable("away", code="database_lost")

    with monkeypatch.context() as patch:
        patch.setattr(rig.store, "settle_posts", away)
        for _ in range(3):
            with pytest.raises(Unavailable):
                man.tick()
    settle(man)
    assert (len(way.sent), states(rig)) == (1, {"sent": 1})


def test_a_crash_between_sending_and_saying_so_sends_it_again_under_the_same_id(rig: Rig):
    way = Way()
    write(rig, "one")

    way.crashes = True
    first = rig.store.posts([], 1)[0]
    with pytest.raises(KeyboardInterrupt):
        postman(rig, way).tick()
    another = postman(rig, way)
    settle(another)
    assert len(way.sent) == 1  # its lease still runs
    rig.clock.advance(601)
    settle(another)
    assert way.sent[0].id == way.sent[1].id == first.id


def test_a_slow_way_gives_back_what_it_did_not_begin(rig: Rig):
    way = Way()
    write(rig, *"abc")
    way.during = lambda: rig.clock.advance(250)
    man = postman(rig, way)
    man.tick()
    assert len(way.sent) == 1
    assert {p.next_us <= rig.clock.now_us() for p in rig.store.posts([PostState.WAITING], 9)} == {
        True
    }
    way.during = lambda: None
    settle(man)
    assert len(way.sent) == 3


def test_a_digest_is_one_message(rig: Rig):
    way = Way()
    write(rig, "one")
    man = postman(rig, way, digest_us=5 * MINUTE_US)
    settle(man)
    rig.clock.advance(200)
    write(rig, "two")
    settle(man)
    assert way.sent == []
    rig.clock.advance(101)
    way.fails = [SendFailed("down")]
    settle(man)
    rig.clock.advance(61)
    write(rig, "three")
    settle(man)
    (message,) = way.sent
    assert [part.payload["job"] for part in message.parts] == ["one", "two"]
    assert message.id in {post.id for post in rig.store.posts([], 9)}


def test_a_secret_is_opened_for_one_message_and_its_lack_is_told(rig: Rig):
    way = Way(ChannelName.WEBHOOK)
    write(rig, "one", webhook={"url": "http://x.org", "secret": "hook"}, mailto="")
    settle(postman(rig, way, {"hook": Unavailable("no key here", code="no_key")}))
    (post,) = rig.store.posts([], 9)
    assert post.error.startswith("the secret 'hook' cannot be opened here: no key here")
    rig.clock.advance(61)
    settle(postman(rig, way, {"hook": "s3cret"}))
    assert way.sent[0].secret == "s3cret"
    assert "s3cret" not in repr(way.sent[0])


def test_it_rests_until_something_is_due_but_not_for_long(rig: Rig):
    way = Way()
    man = postman(rig, way)
    assert settle(man) == 10.0
    write(rig, "one")
    way.fails = [SendFailed("down")]
    assert settle(man) == 10.0
    rig.clock.advance(58)
    assert settle(man) == 2.0


def test_the_caretaker_beats_once_a_period_and_tidies(rig: Rig):
    woken: list[int] = []
    posting = Posting(outbox=rig.store, heartbeat="http://x.org/alive", heartbeat_us=MINUTE_US)
    one = Caretaker(posting, rig.clock, posted=lambda: woken.append(1))
    two = Caretaker(posting, rig.clock, posted=lambda: woken.append(2))
    for beats in (1, 2, 3):
        sleep_s = one.tick()
        assert two.tick() == sleep_s
        assert states(rig) == {"waiting": beats}
        rig.clock.advance(sleep_s)
    assert len(woken) == 6
    rig.clock.advance(2 * 86_400)
    two.tick()
    assert states(rig)["failed"] == 3


def test_a_way_that_hangs_holds_up_neither_the_others_nor_the_end(rig: Rig):
    hangs, reached, gone = Way(), threading.Event(), threading.Event()

    def hang() -> None:
        reached.set()
        gone.wait(30)

    hangs.during = hang
    other = Way(ChannelName.PING)
    write(rig, "one", ping="http://x.org/uuid")
    posting = Posting(outbox=rig.store, channels=(hangs, other))
    clock = SystemClock()
    room = Mailroom(posting, clock, new_id=rig.new_id, chance=lambda: 0.0, reveal=lambda names: {})
    room.start()
    try:
        assert reached.wait(20)
        wait_until(lambda: len(other.sent) == 2, "the pings were held up")
        began_us = clock.boot_us()
        room.stop()
        assert clock.boot_us() - began_us < 5_000_000
    finally:
        gone.set()
    wait_until(lambda: len(hangs.sent) == 1, "what was begun is not broken off")
