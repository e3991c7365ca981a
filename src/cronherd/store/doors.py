"""Doors: the gates by which the runs of some jobs enter, as one transaction sees them.

Most jobs have one. A job on all nodes has one for each node that is expected to run it.
"""

from collections.abc import Mapping, Sequence

from cronherd.domain.admission import Gate, Target, gate_key
from cronherd.domain.job import Job
from cronherd.store import permits
from cronherd.store.database import Connection
from cronherd.store.nodes import Places


class Doors:
    """Whoever reads them holds the due rows of the jobs."""

    def __init__(self, jobs: Mapping[str, Job], places: Places | None) -> None:
        self._jobs = jobs
        self._places = places
        self._gates: dict[str, Gate] = {}
        self._targets: dict[str, list[Target]] = {}

    def read(self, connection: Connection, now_us: int) -> None:
        """Who holds and who waits, in front of every door."""
        if not self._jobs:
            return
        for job_id, job in self._jobs.items():
            if job.on_all:
                self._targets[job_id] = self._expected(job)
        self._gates = permits.read_gates(connection, self._keys(), now_us)
        for job_id, targets in self._targets.items():
            for target in targets:
                target.gate = self._gates[gate_key(job_id, target.node_id)]
        self._read_parked(connection)

    def gate(self, job_id: str) -> Gate:
        """The one of a job; of one on all nodes, that of its runs for no certain node."""
        return self._gates.get(gate_key(job_id)) or Gate()

    def targets(self, job_id: str) -> Sequence[Target]:
        """Each node that gets a run of a job on all nodes."""
        return self._targets.get(job_id, ())

    def busy(self, connection: Connection) -> set[str]:
        """Jobs that would replace a run which somebody else has locked."""
        keys = permits.busy(connection, self._gates, self._keys())
        return {job_id for job_id in self._jobs for key in keys if key.startswith(f"j{job_id}")}

    def _expected(self, job: Job) -> list[Target]:
        assert self._places is not None
        return [
            Target(node_id=node.node_id, name=node.name, gate=Gate(), fits=node.takes)
            for node in self._places.expected(job.place)
        ]

    def _keys(self) -> dict[str, Job]:
        keys: dict[str, Job] = {}
        for job_id, job in self._jobs.items():
            # Of a job on all nodes too: somebody may ask for a run on any of them.
            keys[gate_key(job_id)] = job
            for target in self._targets.get(job_id, ()):
                keys[gate_key(job_id, target.node_id)] = job
        return keys

    def _read_parked(self, connection: Connection) -> None:
        """How many wait for a node, where one would have to."""
        homeless = [
            job_id
            for job_id, job in self._jobs.items()
            if not all(target.fits for target in self._targets.get(job_id, ()))
            or (not job.on_all and self._places and not self._places.served(job.place))
        ]
        if not homeless:
            return
        for (job_id, node_id), parked in permits.read_parked(connection, homeless).items():
            if not self._jobs[job_id].on_all:
                self._gates[gate_key(job_id)].parked += parked
            for target in self._targets.get(job_id, ()):
                if target.node_id == node_id:
                    target.gate.parked = parked
