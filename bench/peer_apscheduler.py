"""The same burst with APScheduler 3: run by peers.py under a Python that has it installed.

    peer_apscheduler.py COUNT FLIGHT URL PROGRAM [ARGUMENT ...]

Jobs lie in the database of the URL, commands run in a pool of FLIGHT threads, output captured
and forgotten: it keeps no records of runs. Prints one JSON object.
"""

import json
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor  # type: ignore[import-not-found]
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore  # type: ignore[import-not-found]
from apscheduler.schedulers.background import BackgroundScheduler  # type: ignore[import-not-found]

LEAD_S = 4
WAIT_S = 300

spans: list[tuple[float, float]] = []
done = threading.Event()
wanted = int(sys.argv[1])


def job(argv: list[str]) -> None:
    began = time.time()
    subprocess.run(argv, capture_output=True, check=True)
    spans.append((began, time.time()))
    if len(spans) >= wanted:
        done.set()


def main(flight: int, url: str, argv: list[str]) -> int:
    scheduler = BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(url=url)},
        executors={"default": ThreadPoolExecutor(flight)},
        job_defaults={"misfire_grace_time": None},
        timezone="UTC",
    )
    due = int(time.time()) + LEAD_S + wanted // 250
    for number in range(wanted):
        run_date = datetime.fromtimestamp(due, UTC)
        scheduler.add_job(job, "date", run_date=run_date, args=[argv], id=str(number))
    scheduler.start()
    if time.time() > due or not done.wait(WAIT_S):
        return 1
    starts = sorted(began - due for began, _ in spans)
    end = max(ended for _, ended in spans) - due
    found = {"first": starts[0], "p50": starts[len(starts) // 2], "last": starts[-1], "end": end}
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[2]), sys.argv[3], sys.argv[4:]))
