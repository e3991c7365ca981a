"""What every kind of lock does, on real servers and between processes (rows D2.2 to D2.4)."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cronherd.domain.errors import Invalid, NotFound, Unavailable
from cronherd.domain.lock import SHORTEST_EXPIRY_US
from cronherd.locks.base import Lock
from cronherd.locks.memcached import MemcachedLock
from cronherd.locks.redis import _ACQUIRE, RedisLock
from tests.locks.conftest import FLEETS, Holder, Serve
from tests.servers.engines import wait_for
from tests.servers.handles import PrivateServer

Hold = Callable[..., Holder]
Open = Callable[..., Lock]
CACHES = ("redis", "memcached")
SERVED = (*CACHES, *FLEETS)
SHARED = ("file", "redis", *FLEETS)
FENCED = ("redis", *FLEETS)
PATIENCE_US = 20_000_000


def test_one_at_a_time_by_an_owner_checked_lock_d2_2(where: str, hold: Hold):
    first, second = hold(where), hold(where)
    assert first.do("acquire").startswith("held")
    assert second.do("acquire") == "refused"
    assert first.do("release") == "True"
    assert second.do("acquire").startswith("held")
    assert first.do("release") == "False"
    assert first.do("acquire") == "refused"


def test_of_two_that_ask_at_once_one_gets_it(where: str, hold: Hold):
    both = [hold(where), hold(where)]
    for _ in range(50):
        for each in both:
            each.ask("acquire")
        winners = [each for each in both if each.answer() != "refused"]
        assert len(winners) == 1
        assert winners[0].do("release") == "True"


def test_what_a_killed_holder_held_becomes_free_d2_4(where: str, hold: Hold, opened: Open):
    holder, lock = hold(where, 1), opened(where, 1)
    assert holder.do("acquire").startswith("held")
    holder.close()
    held = lock.acquire(wait_us=PATIENCE_US)
    assert held is not None
    assert held.release()


@pytest.mark.parametrize("kind", SERVED)
def test_a_holder_stopped_past_its_expiry_frees_nobody_else_d2_4(
    kind: str, where: str, hold: Hold, opened: Open
):
    """Laravel's defect: a release without a look at the owner shortened another's lock."""
    late, lock = hold(where, 1), opened(where)
    assert late.do("acquire").startswith("held")
    late.process.send_signal(signal.SIGSTOP)
    held = lock.acquire(wait_us=PATIENCE_US)
    assert held is not None
    late.process.send_signal(signal.SIGCONT)
    assert late.do("renew") == "False"
    assert late.do("release") == "False"
    assert late.do("gap 1") == "False"
    assert hold(where).do("acquire") == "refused"
    assert held.release()


def test_a_stopped_holder_of_a_file_keeps_it(hold: Hold, address: Callable[[str], str]):
    where = address("file")
    stopped = hold(where, 1)
    assert stopped.do("acquire").startswith("held")
    stopped.process.send_signal(signal.SIGSTOP)
    other = hold(where)
    assert other.do("acquire") == "refused"
    stopped.process.send_signal(signal.SIGCONT)
    assert stopped.do("renew") == "True"


@pytest.mark.parametrize("kind", CACHES)
def test_a_server_that_was_emptied_is_noticed(
    kind: str, own_server: Callable[[str], PrivateServer], hold: Hold
):
    server = own_server(kind)
    where = f"{server.url}/emptied"
    first, second, third = hold(where), hold(where), hold(where)
    assert first.do("acquire").startswith("held")
    server.kill()
    assert second.do("acquire") == "lock_unavailable"
    server.restart()
    assert second.do("acquire").startswith("held")
    assert first.do("renew") == "False"
    assert first.do("release") == "False"
    assert third.do("acquire") == "refused"
    assert second.do("release") == "True"


def test_a_fence_grows_also_over_an_emptied_server(
    own_server: Callable[[str], PrivateServer], opened: Open
):
    server = own_server("redis")
    lock = opened(f"{server.url}/fence")
    fences = []
    for _ in range(3):
        held = lock.acquire()
        assert held is not None
        fences.append(held.fence)
        assert held.release()
    server.kill()
    server.restart()
    held = lock.acquire()
    assert held is not None
    fences.append(held.fence)
    assert None not in fences
    assert fences == sorted(set(fences))  # type: ignore[type-var]


def test_a_fence_grows_when_the_clock_of_the_server_does_not(
    address: Callable[[str], str], opened: Open
):
    lock = opened(address("redis"))
    assert isinstance(lock, RedisLock)
    ahead = 4_000_000_000_000_000
    lock.ask("return redis.call('SET', KEYS[3], ARGV[1])", ahead)
    held = lock.acquire()
    assert held is not None
    assert held.fence == ahead + 1


@pytest.mark.parametrize("kind", SHARED)
def test_many_may_share_it_and_keep_out_who_wants_it_alone(kind: str, where: str, hold: Hold):
    first, second, alone = hold(where), hold(where), hold(where)
    assert first.do("share").startswith("held")
    assert second.do("share").startswith("held")
    assert alone.do("acquire") == "refused"
    assert first.do("release") == "True"
    assert alone.do("acquire") == "refused"
    assert second.do("renew") == "True"
    assert second.do("release") == "True"
    assert alone.do("acquire").startswith("held")
    assert first.do("share") == "refused"


@pytest.mark.parametrize("kind", FENCED)
def test_one_who_shares_it_and_vanishes_keeps_nobody_out_for_long(
    kind: str, where: str, hold: Hold, opened: Open
):
    vanishing, staying = hold(where, 1), opened(where)
    assert vanishing.do("share").startswith("held")
    shared = staying.acquire(shared=True)
    assert shared is not None
    vanishing.process.send_signal(signal.SIGSTOP)
    assert opened(where).acquire(wait_us=1_500_000) is None
    assert shared.release()
    assert opened(where).acquire() is not None
    vanishing.process.send_signal(signal.SIGCONT)
    assert vanishing.do("renew") == "False"


def test_memcached_says_that_it_cannot_share(address: Callable[[str], str], opened: Open):
    with pytest.raises(Invalid, match="cannot be shared"):
        opened(address("memcached")).acquire(shared=True)


@pytest.mark.parametrize("value", [b"5", b'"x"', b"[]", b"\xff", b'{"who": 5, "token": "t"}'])
def test_what_another_program_put_there_holds_it(
    address: Callable[[str], str], opened: Open, value: bytes
):
    lock = opened(address("memcached"))
    assert isinstance(lock, MemcachedLock)
    assert lock._put("set", value, 60)
    assert lock.acquire() is None
    assert [each.who for each in lock.holds()] == ["another program"]
    assert lock.clear("ada")
    assert lock.acquire() is not None


def test_a_wait_ends_in_time(where: str, hold: Hold, opened: Open):
    assert hold(where).do("acquire").startswith("held")
    began = time.monotonic()
    assert opened(where).acquire(wait_us=300_000) is None
    assert 0.3 <= time.monotonic() - began < 5


@pytest.mark.parametrize("wait_us", [PATIENCE_US, None])
def test_a_wait_ends_with_the_lock(where: str, hold: Hold, opened: Open, wait_us: int | None):
    holder = hold(where)
    assert holder.do("acquire").startswith("held")
    lock = opened(where)
    assert lock.acquire(wait_us=50_000) is None
    holder.ask("release")
    assert lock.acquire(wait_us=wait_us) is not None


@pytest.mark.parametrize("kind", SERVED)
def test_a_gap_is_kept_without_a_moment_in_which_it_is_free_d2_3(
    kind: str, where: str, hold: Hold, opened: Open
):
    """Laravel's defect: it took the lock away, and put it back for ten seconds."""
    holder, lock = hold(where), opened(where)
    assert holder.do("acquire").startswith("held")
    holder.ask("gap 1")
    began = time.monotonic()
    held = lock.acquire(wait_us=PATIENCE_US)
    assert time.monotonic() - began >= 0.9
    assert held is not None
    assert holder.answer() == "True"
    assert holder.do("release") == "False"


@pytest.mark.parametrize("kind", SERVED)
def test_a_gap_belongs_to_nobody(kind: str, where: str, hold: Hold):
    holder = hold(where)
    assert holder.do("acquire").startswith("held")
    assert holder.do("gap 60") == "True"
    assert holder.do("renew") == "False"
    assert holder.do("release") == "False"
    assert holder.do("acquire") == "refused"


def test_a_file_says_that_it_keeps_no_gap(address: Callable[[str], str], opened: Open):
    held = opened(address("file")).acquire()
    assert held is not None
    with pytest.raises(Invalid, match="no gap"):
        held.release(gap_us=1)


def test_who_renews_keeps_it_beyond_its_expiry_d2_4(where: str, hold: Hold, opened: Open):
    """Laravel's defect: nothing renewed the lock, so a long run overlapped itself."""
    holder, lock = hold(where, 2), opened(where)
    assert holder.do("acquire").startswith("held")
    for _ in range(8):
        assert lock.acquire(wait_us=500_000) is None
        assert holder.do("renew") == "True"


@pytest.mark.parametrize("scheme", ["redis", "memcached"])
def test_a_server_that_is_not_there_is_said(opened: Open, scheme: str):
    with pytest.raises(Unavailable, match="lock 'x' cannot be asked"):
        opened(f"{scheme}://127.0.0.1:1/x").acquire()


def test_a_lost_answer_is_asked_for_again(address: Callable[[str], str], opened: Open):
    """The same token is told the same, so an attempt can be repeated."""
    lock = opened(address("redis"))
    assert isinstance(lock, RedisLock)
    first = lock.ask(_ACQUIRE, "token", 60_000, 0, "me")
    assert lock.ask(_ACQUIRE, "token", 60_000, 0, "me") == first
    assert lock.ask(_ACQUIRE, "other", 60_000, 0, "me") is None


@pytest.mark.parametrize("kind", SERVED)
def test_an_attempt_that_was_interrupted_leaves_nothing(
    address: Callable[[str], str], opened: Open, kind: str, monkeypatch: pytest.MonkeyPatch
):
    """The answer was lost, or Ctrl-C came before it was read: the lock is given back."""
    lock = opened(address(kind))
    module = type(lock).__module__

    def interrupted(attempt: Callable[[], object], *_: object) -> None:
        attempt()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(f"{module}.await_turn", interrupted)
        with pytest.raises(KeyboardInterrupt):
            lock.acquire()
    assert lock.acquire() is not None


@pytest.mark.parametrize("kind", FENCED)
def test_each_hold_has_a_larger_fence(kind: str, where: str, hold: Hold):
    fences = []
    for _ in range(3):
        holder = hold(where)
        fences.append(int(holder.do("acquire").removeprefix("held ")))
        assert holder.do("release") == "True"
    assert fences == sorted(set(fences))


@pytest.mark.parametrize("kind", SERVED)
def test_its_holders_are_listed(kind: str, where: str, hold: Hold, opened: Open):
    lock, holder = opened(where), hold(where)
    assert lock.holds() == []
    fence = holder.do("acquire").removeprefix("held ")
    (seen,) = lock.holds()
    assert (seen.who or "").endswith(f":{holder.process.pid}")
    assert (str(seen.fence), seen.shared) == (fence, False)
    assert seen.held_us is not None
    assert 0 <= seen.held_us < PATIENCE_US
    assert seen.left_us is None or 0 < seen.left_us <= 60_000_000
    assert holder.do("gap 60") == "True"
    assert lock.holds() == []


@pytest.mark.parametrize("kind", FENCED)
def test_those_who_share_it_are_counted(kind: str, where: str, hold: Hold, opened: Open):
    for _ in range(2):
        assert hold(where).do("share").startswith("held")
    seen = opened(where).holds()
    assert [(each.shared, each.fence) for each in seen] == [(True, None)] * 2
    assert all(0 < (each.left_us or 0) <= 60_000_000 for each in seen)


@pytest.mark.parametrize("kind", SERVED)
def test_a_lock_that_is_stuck_is_cleared_d2_7(kind: str, where: str, hold: Hold, opened: Open):
    lock, holder, other = opened(where), hold(where), hold(where)
    with pytest.raises(NotFound, match="nobody holds"):
        lock.clear("ann")
    assert holder.do("acquire").startswith("held")
    assert [(each.who or "").endswith(f":{holder.process.pid}") for each in lock.clear("ann")] == [
        True
    ]
    assert other.do("acquire").startswith("held")
    assert holder.do("renew") == "False"
    assert holder.do("release") == "False"
    assert hold(where).do("acquire") == "refused"


def test_a_file_says_that_only_its_holder_frees_it(address: Callable[[str], str], opened: Open):
    lock = opened(address("file"))
    with pytest.raises(Invalid, match="does not tell"):
        lock.holds()
    with pytest.raises(Invalid, match="free when its holder ends"):
        lock.clear("ann")


@pytest.mark.parametrize("kind", FLEETS)
def test_a_hold_outlives_the_agent_that_was_asked(kind: str, serve: Serve, hold: Hold):
    served = serve(kind)
    where = f"fleet:{served.socket}!report"
    holder, other = hold(where), hold(where)
    assert holder.do("acquire").startswith("held")
    served.stop()
    assert other.do("acquire") == "lock_unavailable"
    assert holder.do("renew") == "lock_unavailable"
    served.start()
    assert other.do("acquire") == "refused"
    assert holder.do("renew") == "True"
    assert holder.do("release") == "True"


@pytest.mark.parametrize("kind", SERVED)
def test_who_holds_it_is_told(kind: str, where: str, hold: Hold, opened: Open):
    lock, holder = opened(where), hold(where)
    assert lock.holder() is None
    assert holder.do("acquire").startswith("held")
    told = lock.holder()
    assert told is not None
    assert told.who.endswith(f":{holder.process.pid}")
    assert 0 <= told.held_us < PATIENCE_US
    assert holder.do("gap 60") == "True"
    assert lock.holder() is None


@pytest.mark.parametrize("kind", CACHES)
@pytest.mark.parametrize("expiry_us", [SHORTEST_EXPIRY_US - 1, 366 * 86_400_000_000])
def test_an_expiry_that_would_be_none_is_refused(kind: str, expiry_us: int, opened: Open):
    with pytest.raises(Invalid, match="must expire"):
        opened(f"{kind}://localhost/x", expiry_us / 1_000_000)


def is_waited_for(path: Path) -> bool:
    inode = f":{path.stat().st_ino} "
    lines = Path("/proc/locks").read_text("utf-8").splitlines()
    return any("->" in line and inode in line for line in lines)


def test_a_lock_file_that_was_replaced_is_not_counted(address: Callable[[str], str], hold: Hold):
    """Who waited for the old file would hold one that nobody else asks for any more."""
    path = Path(address("file"))
    first, waiting, second = hold(str(path)), hold(str(path)), hold(str(path))
    assert first.do("acquire").startswith("held")
    waiting.ask("wait")
    assert wait_for(lambda: is_waited_for(path))
    path.rename(path.with_name("aside"))
    assert second.do("acquire").startswith("held")
    assert first.do("release") == "True"
    assert wait_for(lambda: is_waited_for(path), 10)
    assert second.do("release") == "True"
    assert waiting.answer() == "held"
