"""The database stands still or dies for a while: nodes answer, wait, and go on when it is back."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.conftest import Record, needing_server
from tests.torture.case import Case, Violation
from tests.torture.checker import check
from tests.torture.evidence import SECOND_NS, Fault, boot_ns, read_evidence
from tests.torture.fleet import Fleet, make_fleet
from tests.torture.load import TAKEOVER, Work
from tests.torture.node import wait_until
from tests.torture.records import read_records

SHORT_S, LONG_S = 15.0, 60.0
# A start comes at the latest this long after the database is back.
BACK_S = 5.0
BUSY_S = 3.0  # the bound is that of an idle machine, and other tests run beside this one
# A stopped server keeps each call and each attempt to connect for 5 s; who ends waits for 2 s.
STOP_S = 8.0
OPEN = "SELECT count(*) FROM run WHERE state <> 'held'"


def _works() -> list[Work]:
    short = {"takeover_after": TAKEOVER}
    never = {"takeover_after": "never"}
    found = [Work(name=f"brief-{n}", schedule="every 1s", ms=100, settings=never) for n in range(4)]
    # It begins before the outage and ends within it: its result must be kept.
    found.append(Work(name="across-0", schedule="every 4s", ms=7_000, code=3, settings=never))
    found.append(Work(name="allow-0", schedule="every 2s", ms=6_000, settings={"overlap": "allow"}))
    found.append(Work(name="short-0", schedule="every 2s", ms=500, settings=short))
    return found


@contextmanager
def _running(kind: str, record_property: Record) -> Iterator[Fleet]:
    with (
        needing_server(kind, record_property),
        make_fleet(kind, _works(), nodes=2, seed=1) as fleet,
    ):
        fleet.start()
        fleet.sample()
        _pass(6)
        yield fleet


def _pass(seconds: float) -> None:
    threading.Event().wait(seconds)


def _out(fleet: Fleet, how: str, seconds: float) -> int:
    """Without a database for so long; the instant at which it was back."""
    from_ns = boot_ns()
    if how == "freeze":
        fleet.ground.freeze()
    else:
        fleet.ground.kill()
    _pass(seconds)
    assert all(node.alive() for node in fleet.nodes), "a node ended without its database"
    if how == "freeze":
        fleet.ground.thaw()
    else:
        fleet.ground.restart()
    to_ns = boot_ns()
    kind = f"db_{how}"
    fleet.notes.fault(Fault(kind=kind, target="database", from_ns=from_ns, to_ns=to_ns))
    return to_ns


def _first_start_after(fleet: Fleet, at_ns: int) -> float:
    """Seconds from this instant to the first start of each node, the slower one's."""
    first: dict[str, int] = {}
    for birth in read_evidence(fleet.evidence).births:
        if birth.at_ns > at_ns and birth.node not in first:
            first[birth.node] = birth.at_ns
    assert set(first) == {node.name for node in fleet.nodes}, f"only {sorted(first)} went on"
    return (max(first.values()) - at_ns) / SECOND_NS


def _settled(fleet: Fleet) -> list[Violation]:
    """End, read and check everything."""
    over_us = fleet.end_schedules()
    assert wait_until(lambda: fleet.ground.query(OPEN)[0][0] == 0, 60, 0.3), "runs never settled"
    fleet.sample()
    records = read_records(fleet.ground)
    for node in fleet.nodes:
        node.stop()
    evidence = read_evidence(fleet.evidence)
    kept = [run for run in records.runs if run.job == "across-0" and run.outcome == "failed"]
    assert kept, "no run that went on during the outage kept its result"
    return check(Case(evidence=evidence, records=records, over_us=over_us))


def _outage(kind: str, how: str, seconds: float, record_property: Record) -> None:
    with _running(kind, record_property) as fleet:
        back_ns = _out(fleet, how, seconds)
        _pass(BACK_S + BUSY_S + 2)
        late_s = _first_start_after(fleet, back_ns)
        violations = _settled(fleet)
        logs = "\n".join(node.tail() for node in fleet.nodes)
    assert late_s <= BACK_S + BUSY_S, (
        f"the first start came {late_s:.1f} s after the database:\n{logs}"
    )
    assert not violations, "\n".join(map(str, violations))


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("kind", "how"),
    [
        ("postgresql", "freeze"),
        ("mariadb", "kill"),
        pytest.param("postgresql", "kill", marks=pytest.mark.full),
        pytest.param("mariadb", "freeze", marks=pytest.mark.full),
    ],
)
def test_nodes_go_on_after_a_short_outage(kind: str, how: str, record_property: Record):
    _outage(kind, how, SHORT_S, record_property)


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["freeze", "kill"])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_nodes_go_on_after_a_minute_without_a_database(
    kind: str, how: str, record_property: Record
):
    _outage(kind, how, LONG_S, record_property)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("postgresql", signal.SIGTERM),
        pytest.param("mariadb", signal.SIGINT, marks=pytest.mark.full),
        pytest.param("postgresql", signal.SIGINT, marks=pytest.mark.full),
        pytest.param("mariadb", signal.SIGTERM, marks=pytest.mark.full),
    ],
)
def test_a_node_ends_when_told_although_its_database_stands_still(
    kind: str, number: int, record_property: Record
):
    with _running(kind, record_property) as fleet:
        node = fleet.nodes[0]
        from_ns = boot_ns()
        fleet.ground.freeze()
        _pass(2)
        began_ns = boot_ns()
        node.signal_agent(number)
        ended = wait_until(lambda: not node.alive(), STOP_S)
        took_s = (boot_ns() - began_ns) / SECOND_NS
        log = node.tail()
        record_property("seconds", took_s)
        _pass(4)  # what ends now is told to nobody but the spool
        fleet.ground.thaw()
        fault = Fault(kind="db_freeze", target="database", from_ns=from_ns, to_ns=boot_ns())
        fleet.notes.fault(fault)
        assert ended, f"it was still there after {took_s:.0f} s:\n{log}"
        assert node.process is not None
        assert node.process.returncode == 0, log
        node.start()
        node.wait_up()
        _pass(6)
        violations = _settled(fleet)
    assert not violations, "\n".join(map(str, violations))
