"""The outbox: written with what it tells of, claimed by one, settled by whoever holds it."""

from collections.abc import Callable
from typing import Any

import pytest

from cronherd.domain.alert import ChannelName, PostState
from cronherd.domain.event import EventKind
from cronherd.store.base import Start
from cronherd.store.postbox import Claimed, Post, Settled
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import Stage, chunk, race

MAIL, WEBHOOK, PING = ChannelName.MAIL, ChannelName.WEBHOOK, ChannelName.PING
MINUTE_US = 60_000_000
LEASE_US = 10 * MINUTE_US
DAY_S = 86_400


def claim(
    stage: Stage,
    channel: ChannelName = MAIL,
    token: str = "t",  # noqa: S107
    **more: Any,
) -> Claimed:
    return stage.store.claim_posts(channel, token, lease_us=LEASE_US, limit=20, **more)


def waiting(stage: Stage) -> list[Post]:
    """Oldest first."""
    return list(reversed(stage.store.posts([PostState.WAITING], 1_000)))


def told(stage: Stage) -> list[tuple[str, str]]:
    return sorted((post.channel.value, post.payload["event"]) for post in waiting(stage))


def given_up(stage: Stage) -> list[tuple[str, str]]:
    """The events of messages that were given up: subject and sentence."""
    events = stage.store.events(100)
    return [(e.subject, e.text) for e in events if e.kind is EventKind.ALERT_FAILED]


def run_once(stage: Stage, job: str, exit_code: int = 0, *, says: bytes = b"", again: str = "m:1"):
    stage.request(job, again)
    one_claim = stage.one_claim()
    alerts = one_claim.job.alerts
    announced = alerts is not None and alerts.starts
    begun = Start(
        run_id=one_claim.run_id,
        token=one_claim.token,
        at_us=stage.now_us,
        pid=7,
        announced=announced,
    )
    stage.store.record([begun], [chunk(one_claim, 0, says)] if says else [], [])
    return one_claim, stage.end(one_claim, exit_code=exit_code)


@pytest.mark.parametrize(
    ("mail", "exit_code", "says", "mailed"),
    [
        (None, 0, b"", False),
        (None, 1, b"", False),
        (None, 0, b"x", True),
        ("on_output", 1, b"x", True),
        ("on_failure", 0, b"x", False),
        ("on_failure", 1, b"", True),
        ("always", 0, b"", True),
    ],
)
def test_a_run_is_mailed_as_its_job_says(
    stage: Stage, mail: str | None, exit_code: int, says: bytes, *, mailed: bool
):
    words: dict[str, Any] = {"mail": mail} if mail else {}
    job = stage.job(schedule=None, mailto="a@example.com", **words)
    _, answer = run_once(stage, job, exit_code, says=says)
    assert (len(waiting(stage)), answer.posted) == (int(mailed), mailed)


def test_a_job_that_tells_nobody_leaves_the_outbox_alone(stage: Stage):
    job = stage.job(schedule=None, mailto="")
    _, answer = run_once(stage, job, 1, says=b"x")
    assert (waiting(stage), answer.posted) == ([], False)


def test_each_receiver_has_a_message_of_its_own_with_the_facts(stage: Stage):
    job = stage.job(
        "näch\u2028tlich"[:4], schedule=None, mailto="a@example.com, root", timezone="Asia/Tokyo"
    )
    claimed, _ = run_once(stage, job, 5, says=b"x")
    first, second = sorted(waiting(stage), key=lambda post: post.target)
    assert (first.target, second.target) == ("a@example.com", "root")
    assert first.payload == second.payload
    assert first.payload["to"] == ["a@example.com", "root"]
    facts = {key: first.payload[key] for key in ("job", "run_id", "attempt", "exit_code", "node")}
    assert facts == {
        "job": "näch",
        "run_id": claimed.run_id,
        "attempt": 1,
        "exit_code": 5,
        "node": "one",
    }
    assert first.payload["timezone"] == "Asia/Tokyo"
    assert first.payload["outcome"] == "failed"


def test_an_end_that_is_told_twice_is_one_message(stage: Stage):
    job = stage.job(schedule=None, mailto="a@example.com", mail="always")
    claimed, _ = run_once(stage, job)
    stage.end(claimed)
    stage.end(claimed)
    assert len(waiting(stage)) == 1


def test_an_end_of_somebody_else_is_told_to_nobody(stage: Stage):
    job = stage.job(schedule=None, mailto="a@example.com", mail="always")
    stage.request(job)
    claimed = stage.one_claim()
    ending = stage.ending(claimed)
    ending.token = "another"
    stage.store.record([], [], [ending])
    assert waiting(stage) == []


def test_a_run_that_is_tried_again_is_mailed_when_it_is_over(stage: Stage):
    retries = {"max": 1, "backoff": "1s", "jitter": "0%"}
    job = stage.job(schedule=None, mailto="a@x.org", mail="on_failure", retries=retries)
    run_once(stage, job, 1)
    assert waiting(stage) == []
    stage.advance(5)
    stage.settle()
    stage.end(stage.one_claim(), exit_code=1)
    (post,) = waiting(stage)
    assert post.payload["attempt"] == 2


def test_a_ping_of_a_start_goes_before_that_of_its_end(stage: Stage):
    job = stage.job(schedule=None, ping="http://x.org/uuid")
    run_once(stage, job, 3)
    assert told(stage) == [("ping", "failure"), ("ping", "start")]
    (start,) = claim(stage, PING).posts
    assert start.payload["url"] == "http://x.org/uuid/start"
    assert claim(stage, PING, "u").posts == ()  # the end waits for it
    stage.store.settle_posts("t", [Settled(id=start.id, error="down", wait_us=MINUTE_US)])
    assert claim(stage, PING, "u").posts == ()
    stage.advance(61)
    (start,) = claim(stage, PING).posts
    stage.store.settle_posts("t", [Settled(id=start.id)])
    (end,) = claim(stage, PING).posts
    assert end.payload["url"] == "http://x.org/uuid/3"


def test_a_start_that_came_only_with_its_end_is_told_too(stage: Stage):
    job = stage.job(
        schedule=None, ping="http://x.org/uuid", webhook={"url": "http://x.org/h", "on": ["start"]}
    )
    stage.request(job)
    stage.end(stage.one_claim())
    assert told(stage) == [("ping", "start"), ("ping", "success"), ("webhook", "start")]


def test_a_claim_is_one_nodes_until_its_lease_is_over(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    job = stage.job(schedule=None, mailto="a@x.org b@x.org c@x.org", mail="always")
    run_once(stage, job)
    other = stage.on(open_second())
    answers = race(lambda: claim(stage, token="t1"), lambda: claim(other, token="t2"))
    taken = [post.id for answer in answers for post in answer.posts]
    assert (len(taken), len(set(taken))) == (3, 3)
    assert claim(stage, token="t3").posts == ()
    stage.advance(601)
    late = claim(stage, token="t3").posts
    assert (len(late), {post.tries for post in late}) == (3, {1})
    # Whoever had them before says nothing of them any more.
    assert stage.store.settle_posts("t1", [Settled(id=post.id) for post in late]) == 0
    assert stage.store.settle_posts("t3", [Settled(id=post.id) for post in late]) == 3
    assert waiting(stage) == []


def test_a_channel_takes_only_its_own(stage: Stage):
    job = stage.job(schedule=None, mailto="a@x.org", mail="always", webhook="http://x.org/h")
    run_once(stage, job)
    assert [post.channel for post in claim(stage, WEBHOOK).posts] == [WEBHOOK]
    assert [post.channel for post in claim(stage, MAIL).posts] == [MAIL]
    assert claim(stage, PING).next_us is None


def test_what_failed_comes_again_and_what_is_given_up_is_told(stage: Stage):
    job = stage.job("nightly", schedule=None, mailto="a@x.org", mail="always")
    run_once(stage, job)
    (post,) = claim(stage).posts
    stage.store.settle_posts("t", [Settled(id=post.id, error="down", wait_us=MINUTE_US)])
    answer = claim(stage)
    assert (answer.posts, answer.next_us) == ((), stage.now_us + MINUTE_US)
    stage.advance(61)
    (post,) = claim(stage).posts
    assert (post.tries, post.error) == (1, "down")
    stage.store.settle_posts("t", [Settled(id=post.id, error="no such user")])
    assert claim(stage).next_us is None
    assert given_up(stage) == [("nightly", "mail to a@x.org: no such user")]
    assert stage.store.post_counts() == {"failed": 1}
    assert stage.store.retry_posts() == 1
    (post,) = claim(stage).posts
    assert post.tries == 0


def test_the_event_of_a_call_does_not_tell_the_path_of_its_url(stage: Stage):
    job = stage.job(schedule=None, ping={"success": "https://x.org/very-secret"})
    run_once(stage, job)
    (post,) = claim(stage, PING).posts
    stage.store.settle_posts("t", [Settled(id=post.id, error="gone")])
    assert given_up(stage) == [("job", "ping to https://x.org: gone")]


def test_slots_that_were_missed_are_one_message_for_each_range(stage: Stage):
    words: dict[str, Any] = {"mailto": "a@x.org", "catchup": "none"}
    stage.job("told", "every 60s", mail="on_failure", **words)
    stage.job("output", "every 60s", **words)
    stage.after(61)
    stage.finish_all()
    stage.after(3_600)
    (post,) = [post for post in waiting(stage) if post.payload["event"] == "missed"]
    (row,) = [row for row in stage.skips() if row.job_name == "told"]
    assert (post.payload["job"], post.payload["count"]) == ("told", row.count)
    assert post.payload["reason"] == row.reason.value == "catchup_none"


def test_slots_that_somebody_wanted_left_out_are_no_news(stage: Stage):
    job = stage.job("told", "every 60s", mail="always", mailto="a@x.org")
    stage.pause(job, 600)
    stage.after(601)
    assert stage.reasons() == ["paused"]
    assert waiting(stage) == []


def test_a_job_that_pauses_itself_says_so(stage: Stage):
    job = stage.job(
        "frail", schedule=None, mailto="a@x.org", mail="on_failure", pause_after_failures=1
    )
    run_once(stage, job, 1)
    assert told(stage) == [("mail", "failure"), ("mail", "paused")]
    (paused,) = [post for post in waiting(stage) if post.payload["event"] == "paused"]
    assert paused.payload["text"].startswith("until resumed: 1 run failed")


def test_a_run_that_missed_its_deadline_is_mailed(stage: Stage):
    words: dict[str, Any] = {"mailto": "a@x.org", "mail": "on_failure", "start_deadline": "30s"}
    stage.job("late", "every 60s", catchup="latest", run_on={"zone": "nowhere"}, **words)
    stage.join("two", zone="nowhere")
    stage.after(61)
    assert len(stage.runs()) == 1
    stage.advance(100)
    stage.settle()
    no_node, post = sorted(
        waiting(stage), key=lambda post: str(post.payload["event"]), reverse=True
    )
    assert (post.payload["event"], post.payload["outcome"]) == ("failure", "not_started")
    assert no_node.payload["event"] == "no_node"
    assert no_node.payload["text"] == "no live node has zone=nowhere"


def test_a_digest_waits_and_then_takes_all_of_one_receiver(stage: Stage):
    job = stage.job(schedule=None, mailto="a@x.org, b@x.org", mail="always")
    run_once(stage, job)
    digest: dict[str, Any] = {"digest_us": 5 * MINUTE_US}
    assert claim(stage, **digest).posts == ()
    stage.advance(240)
    run_once(stage, job, again="m:2")
    assert claim(stage, **digest).posts == ()
    stage.advance(61)
    taken = claim(stage, **digest).posts
    assert len(taken) == 4
    batches = {post.target: {p.batch for p in taken if p.target == post.target} for post in taken}
    assert [len(batch) for batch in batches.values()] == [1, 1]
    assert batches["a@x.org"] != batches["b@x.org"]
    stage.store.settle_posts(
        "t", [Settled(id=post.id, error="down", wait_us=MINUTE_US) for post in taken]
    )
    run_once(stage, job, again="m:3")
    stage.advance(61)
    late = claim(stage, token="u", **digest).posts
    assert {post.id: post.batch for post in late} == {post.id: post.batch for post in taken}


def test_the_heartbeat_of_a_period_is_written_once(
    stage: Stage, open_second: Callable[[], SqlStore]
):
    other = stage.on(open_second())
    url, every_us = "http://x.org/alive", MINUTE_US
    for _ in range(3):
        left = race(
            lambda: stage.store.beat_heart(url, every_us),
            lambda: other.store.beat_heart(url, every_us),
        )
        assert left[0] == left[1] == every_us - stage.now_us % every_us
        stage.advance(60)
    assert told(stage) == [("ping", "heartbeat")] * 3


def test_what_nobody_can_send_is_given_up_and_what_was_sent_is_forgotten(stage: Stage):
    job = stage.job(
        "nightly", schedule=None, mailto="a@x.org", mail="always", ping="http://x.org/u"
    )
    run_once(stage, job)
    (start,) = claim(stage, PING).posts
    stage.store.settle_posts("t", [Settled(id=start.id)])
    stage.store.tidy_posts()
    assert stage.store.post_counts() == {"waiting": 2, "sent": 1}
    stage.advance(DAY_S + 3_700)
    stage.store.tidy_posts()
    assert stage.store.post_counts() == {"failed": 2, "sent": 1}
    assert len(given_up(stage)) == 2
    stage.advance(8 * DAY_S)
    stage.store.tidy_posts()
    assert stage.store.post_counts() == {"failed": 2}
    stage.advance(30 * DAY_S)
    stage.store.tidy_posts()
    assert stage.store.post_counts() == {}


def test_a_test_message_goes_where_it_is_told(stage: Stage):
    made = stage.store.add_test(MAIL, "a@x.org", stage.new_id())
    (post,) = claim(stage).posts
    assert (post.id, post.payload) == (made.id, {"event": "test", "job": "", "to": ["a@x.org"]})
