"""A worker of somebody else: pygearman. `python pyworker.py PORT FUNCTION`, until it is killed."""

import sys

import gearman


def answer(_worker: object, job: object) -> bytes:
    payload: bytes = job.data  # type: ignore[attr-defined]
    if payload == b"raise":
        raise RuntimeError("as asked")
    return payload[::-1]


def main(port: str, function: str) -> None:
    worker = gearman.GearmanWorker([f"127.0.0.1:{port}"])
    worker.register_task(function.encode(), answer)
    worker.work()


if __name__ == "__main__":
    main(*sys.argv[1:])
