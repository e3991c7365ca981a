"""Our worker, whose function does nothing: `python -m bench.empty_worker PORT`, until killed."""

import sys

from cronherd.domain.jobserver import Server
from cronherd.engine.clock import SystemClock
from cronherd.gearman.worker import Room, Worker, work

FUNCTION = b"empty"


def main(port: str) -> None:
    worker: Worker = Worker(
        [Server("127.0.0.1", int(port))],
        [FUNCTION],
        SystemClock(),
        lambda job: worker.complete(job),
        room=Room(1_000),
    )
    work(worker, lambda: False)


if __name__ == "__main__":
    main(*sys.argv[1:])
