"""A whole fleet on this machine: database, network, nodes, their jobs; all of it ends with it."""

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.torture.database import Ground, ground
from tests.torture.evidence import Deed, Notes, boot_ns
from tests.torture.load import Work
from tests.torture.namespace import Namespace
from tests.torture.node import ROOT, Node
from tests.torture.people import People
from tests.torture.programs import compile_programs
from tests.torture.proxy import Network

MEMORY = Path("/dev/shm")
CAPACITY = 64
JOBS = "jobs.yaml"
JOBS_WITHOUT_SCHEDULES = "ended.yaml"


@dataclass(slots=True, kw_only=True)
class Fleet:
    """Made, with its jobs written, and no node started yet."""

    folder: Path
    evidence: Path
    ground: Ground
    network: Network | None
    nodes: list[Node]
    people: People
    notes: Notes
    works: list[Work]

    def start(self) -> None:
        """All nodes, then all jobs: from here on slots are due."""
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_up()
        self.people.insist("apply", "--yes", "-f", str(self.folder / JOBS))

    def end_schedules(self) -> int:
        """From here on nothing new is due, and what is due already goes on; when that was asked.

        Not by disabling: that would keep back what is stuck, and hide it.
        """
        _, over_us, _ = self.ground.now()
        from_ns = boot_ns()
        # Under the same name: a file owns the jobs that it made.
        (self.folder / JOBS_WITHOUT_SCHEDULES).replace(self.folder / JOBS)
        self.people.insist("apply", "--yes", "-f", str(self.folder / JOBS))
        for work in self.works:
            deed = Deed(kind="edit", target=work.name, from_ns=from_ns, to_ns=boot_ns())
            self.notes.deed(deed)
        return over_us

    def sample(self) -> None:
        """Look at the database's clock, if it answers."""
        # Whatever a driver raises while its server is frozen or dead: there is no sample then.
        try:
            self.notes.sample(*self.ground.now())
            found = self.ground.deadlocks()
        except Exception as error:  # noqa: BLE001
            self.unanswered = str(error)
            return
        # A server that was killed counts from 0 again.
        self.deadlocks += found - self._deadlocks if found >= self._deadlocks else found
        self._deadlocks = found

    unanswered: str = ""
    deadlocks: int = 0
    _deadlocks: int = 0


@contextmanager
def make_fleet(
    kind: str,
    works: Sequence[Work],
    *,
    nodes: int,
    seed: int,
    plant: str = "",
    apart: Namespace | None = None,
    pools: Mapping[str, int] | None = None,
) -> Iterator[Fleet]:
    """Everything is gone at the end, whatever happened in between. Raises ServerMissing.

    `apart`: the first node lives in this network. `pools`: those that are made before all jobs.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(_folder())
        evidence = folder / "evidence"
        evidence.mkdir(mode=0o777)
        programs = compile_programs(folder)
        place = stack.enter_context(ground(kind, folder))
        network = None
        if place.address:
            listen = "0.0.0.0" if apart else "127.0.0.1"  # noqa: S104 - a cable is no loopback
            network = Network(kind, place.address, nodes, seed, listen)
            stack.callback(network.close)
        stack.enter_context(_coroner(evidence))
        members = [
            _node(
                folder,
                place,
                network,
                number,
                programs.clock_shim,
                plant,
                apart if number == 0 else None,
            )
            for number in range(nodes)
        ]
        for node in members:
            stack.callback(node.destroy)
        _write_jobs(folder, works, programs.witness, evidence)
        notes = Notes(evidence)
        # With an embedded database people go to the node's own socket.
        desk = members[0] if kind == "sqlite" else _desk(folder, place, programs.clock_shim)
        people = People(desk, notes, works, seed)
        people.insist("db", "upgrade")
        for name, permits in (pools or {}).items():
            people.insist("pool", "set", name, str(permits))
        yield Fleet(
            folder=folder,
            evidence=evidence,
            ground=place,
            network=network,
            nodes=members,
            people=people,
            notes=notes,
            works=list(works),
        )


def _node(
    folder: Path,
    place: Ground,
    network: Network | None,
    number: int,
    shim: Path,
    plant: str,
    apart: Namespace | None,
) -> Node:
    own = folder / f"node{number}"
    own.mkdir()
    door = network.ports[number] if network else 0
    url = place.url(door)
    settings = {
        "database": url.replace("127.0.0.1", apart.gateway) if apart else url,
        "timezone": "UTC",
        "drain_timeout": "1s",
        "node": {
            "name": f"node{number}",
            "capacity": CAPACITY,
            # Two of several: losing one of them leaves a place for the job that asks for it.
            "labels": {"zone": "eu" if number < 2 else "us"},
        },
    }
    verb = "agent" if place.address else "up"
    prefix = apart.prefix if apart else ()
    words = json.dumps(settings)
    return Node(own.name, own, words, shim, verb=verb, plant=plant, prefix=prefix)


def _desk(folder: Path, place: Ground, shim: Path) -> Node:
    """Where people sit: it runs nothing, and its way to the database is never disturbed."""
    own = folder / "desk"
    own.mkdir()
    port = int(place.address.rpartition(":")[2])
    settings = json.dumps({"database": place.url(port), "timezone": "UTC"})
    return Node(own.name, own, settings, shim, verb="agent", plant="")


def _write_jobs(folder: Path, works: Sequence[Work], witness: Path, evidence: Path) -> None:
    """As they are, and without their schedules. JSON is YAML."""
    jobs = [work.definition(witness, evidence) for work in works]
    (folder / JOBS).write_text(json.dumps({"jobs": jobs}))
    for job in jobs:
        del job["schedule"]
    (folder / JOBS_WITHOUT_SCHEDULES).write_text(json.dumps({"jobs": jobs}))


@contextmanager
def _folder() -> Iterator[Path]:
    """In memory where there is some: an fsync of the evidence must not slow what it watches."""
    made = Path(tempfile.mkdtemp(prefix="torture-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def _coroner(evidence: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.torture.coroner", str(evidence)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield
    finally:
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(5)
        finally:
            process.kill()
            process.wait()
