"""Who is silent, and for how long: both clocks must agree, and whoever looked away begins again."""

from cronherd.domain.node import Node
from cronherd.domain.policy import HEARTBEAT_US, LEASE_US
from cronherd.domain.silence import Silent, Watch

SECOND_US = 1_000_000


class Sky:
    """One node, the database's clock and the observer's, which a test moves."""

    def __init__(self) -> None:
        self.watch = Watch()
        self.now_us = 1_000 * SECOND_US
        self.boot_us = 50 * SECOND_US
        self.call_us = 0
        self.beat = 1
        self.lease_us = self.now_us + LEASE_US

    def renew(self) -> None:
        self.beat += 1
        self.lease_us = self.now_us + LEASE_US

    def look(self) -> list[Silent]:
        node = Node(
            id="n", name="n", incarnation="i", boot_id="b", capacity=1,
            beat=self.beat, lease_us=self.lease_us,
        )  # fmt: skip
        return self.watch.observe([node], self.now_us, self.boot_us, self.boot_us + self.call_us)

    def looks(self, seconds: int) -> list[Silent]:
        """A look each heartbeat for so long; the last one's answer."""
        found: list[Silent] = []
        for _ in range(seconds * SECOND_US // HEARTBEAT_US):
            self.now_us += HEARTBEAT_US
            self.boot_us += HEARTBEAT_US
            found = self.look()
        return found


def test_a_node_that_renews_is_never_silent() -> None:
    sky = Sky()
    for _ in range(20):
        sky.renew()
        assert sky.looks(10) == []


def test_silence_counts_from_the_last_beat_that_was_seen() -> None:
    sky = Sky()
    sky.look()
    assert sky.looks(10) == []
    (silent,) = sky.looks(20)
    assert silent.for_us == 30 * SECOND_US


def test_a_fresh_observer_watches_a_full_period_itself() -> None:
    sky = Sky()
    sky.now_us += 3_600 * SECOND_US
    (silent,) = sky.look()
    assert silent.for_us == 0
    (silent,) = sky.looks(20)
    assert silent.for_us == 20 * SECOND_US


def test_a_step_of_the_databases_clock_alone_proves_nothing() -> None:
    sky = Sky()
    sky.look()
    sky.now_us += 3_600 * SECOND_US
    sky.boot_us += SECOND_US
    (silent,) = sky.look()
    assert silent.for_us == SECOND_US


def test_the_observers_clock_alone_proves_nothing() -> None:
    sky = Sky()
    sky.look()
    for _ in range(20):
        sky.boot_us += HEARTBEAT_US
        assert sky.look() == []


def test_who_looked_away_for_longer_than_a_lease_begins_again() -> None:
    sky = Sky()
    sky.looks(60)
    sky.now_us += 60 * SECOND_US
    sky.boot_us += 60 * SECOND_US
    (silent,) = sky.look()
    assert silent.for_us == 0


def test_a_beat_ends_the_silence_even_when_its_lease_has_run_out_again() -> None:
    sky = Sky()
    sky.looks(60)
    sky.beat += 1
    (silent,) = sky.looks(5)
    assert silent.for_us == 0


def test_a_slow_look_counts_for_the_node_that_was_looked_at() -> None:
    sky = Sky()
    sky.call_us = 3 * SECOND_US
    sky.look()
    sky.call_us = 0
    (silent,) = sky.looks(30)
    assert silent.for_us == 27 * SECOND_US


def test_how_long_a_claim_is_known_begins_with_the_first_sight_of_it() -> None:
    watch = Watch()
    assert watch.known_for("r", "t", 100) == 0
    assert watch.known_for("r", "t", 160) == 60
    assert watch.known_for("r", "other claim", 160) == 0
    watch.keep([("r", "t")])
    assert watch.known_for("r", "t", 200) == 100
    assert watch.known_for("r", "other claim", 200) == 0
    watch.forget()
    assert watch.known_for("r", "t", 300) == 0
