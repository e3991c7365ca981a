"""A node that is cut off by its network: what others may start again ends before they do."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import Record, needing_server
from tests.torture.case import Case
from tests.torture.checker import check
from tests.torture.evidence import SECOND_NS, Birth, Fault, boot_ns, read_evidence
from tests.torture.fleet import Fleet, make_fleet
from tests.torture.load import TAKEOVER, Work
from tests.torture.namespace import Namespace, missing, namespace
from tests.torture.node import wait_until
from tests.torture.records import read_records

TAKEOVER_S = int(TAKEOVER[:-1])
LONG_MS = 120_000
# A node hears of a drain with its next beat.
DRAINED_S = 6
# One server with each change, since most of it is waiting; both in the full tier.
SERVERS = pytest.mark.parametrize(
    "kind", ["postgresql", pytest.param("mariadb", marks=pytest.mark.full)]
)
OPEN = "SELECT count(*) FROM run WHERE state <> 'held'"

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())


def _works() -> list[Work]:
    short = {"takeover_after": TAKEOVER, "grace": "2s"}
    least = short | {"delivery": "at_least_once", "overlap": "allow"}
    # One ignores SIGTERM: only the KILL ends it, and that in time.
    return [
        Work(name="alone-0", schedule="every 2s", ms=LONG_MS, settings=short),
        Work(name="alone-1", schedule="every 2s", ms=LONG_MS, flags="t", settings=short),
        Work(name="least-0", schedule="every 400s", ms=LONG_MS, settings=least),
        Work(name="ends-0", schedule="every 3000s", ms=5_000, code=3, settings=short),
    ]


@contextmanager
def _running(kind: str, record_property: Record, number: int) -> Iterator[tuple[Fleet, Namespace]]:
    """The first node, in its own network, runs one of each; the second has nothing."""
    with (
        needing_server(kind, record_property),
        namespace(number) as apart,
        make_fleet(kind, _works(), nodes=2, seed=1, apart=apart) as fleet,
    ):
        first, second = fleet.nodes
        first.start()
        first.wait_up()
        fleet.people.insist("apply", "--yes", "-f", str(fleet.folder / "jobs.yaml"))
        fleet.people.run_twice("least-0")
        names = {"alone-0", "alone-1", "least-0"}
        assert wait_until(lambda: {b.job for b in _alive(fleet)} >= names, 60), "they never ran"
        second.start()
        second.wait_up()
        fleet.sample()
        yield fleet, apart


def _births(fleet: Fleet) -> list[Birth]:
    return read_evidence(fleet.evidence).births


def _alive(fleet: Fleet) -> list[Birth]:
    return [birth for birth in _births(fleet) if birth.end_ns is None and birth.dead_ns is None]


def _cut(fleet: Fleet, apart: Namespace, seconds: float) -> None:
    from_ns = boot_ns()
    apart.pull()
    threading.Event().wait(seconds)
    apart.plug()
    fleet.notes.fault(
        Fault(kind="blackhole", target=fleet.nodes[0].name, from_ns=from_ns, to_ns=boot_ns())
    )


def _check(fleet: Fleet) -> None:
    over_us = fleet.end_schedules()
    for birth in _alive(fleet):
        fleet.people.cancel_run(birth.job, birth.run)
    assert wait_until(lambda: fleet.ground.query(OPEN)[0][0] == 0, 60, 0.3), "runs never settled"
    fleet.sample()
    records = read_records(fleet.ground)
    for node in fleet.nodes:
        node.stop()
    case = Case(evidence=read_evidence(fleet.evidence), records=records, over_us=over_us)
    violations = check(case)
    assert not violations, "\n".join(map(str, violations))


@SERVERS
@pytest.mark.timeout(240)
def test_cut_off_for_longer_its_runs_are_dead_before_others_start(
    kind: str, record_property: Record
):
    with _running(kind, record_property, 1) as (fleet, apart):
        before = {birth.job: birth for birth in _alive(fleet)}
        _cut(fleet, apart, TAKEOVER_S + 12)
        again: dict[str, Birth] = {}

        def taken() -> bool:
            for birth in _births(fleet):
                # A slot of its own may come meanwhile: that run is no second start of the first.
                own = birth.job != "least-0" or birth.run == before[birth.job].run
                if birth.node == "node1" and birth.job in before and own:
                    again.setdefault(birth.job, birth)
            return set(again) == {"alone-0", "alone-1", "least-0"}

        assert wait_until(taken, 30), f"only {sorted(again)} were started elsewhere"
        for job, birth in again.items():
            first = [each for each in _births(fleet) if (each.node, each.job) == ("node0", job)]
            early_s = (birth.at_ns - max(each.until_ns for each in first)) / SECOND_NS
            assert early_s > 0, f"{job} was started {-early_s:.2f} s before its first was dead"
        _check(fleet)


@SERVERS
@pytest.mark.full
@pytest.mark.timeout(240)
def test_cut_off_for_less_its_runs_end_as_they_do_and_are_recorded_so(
    kind: str, record_property: Record
):
    with _running(kind, record_property, 2) as (fleet, apart):
        fleet.people.drain("node1")
        threading.Event().wait(DRAINED_S)
        fleet.people.run_twice("ends-0")
        assert wait_until(lambda: _births(fleet)[-1].job == "ends-0", 20), "ends-0 never began"
        short = _births(fleet)[-1]
        assert short.node == "node0"
        _cut(fleet, apart, TAKEOVER_S / 2)
        assert {b.node for b in _alive(fleet)} == {"node0"}, "something was ended or doubled"
        found: list[tuple[str | None, int | None]] = []

        def recorded() -> bool:
            found[:] = [
                (run.outcome, run.exit_code)
                for run in read_records(fleet.ground).runs
                if run.id == short.run
            ]
            return found == [("failed", 3)]

        assert wait_until(recorded, 20, 0.3), found
        _check(fleet)
