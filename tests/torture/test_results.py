"""A hundred commands end while the database stands still or is dead: all they said arrives."""

import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Record, needing_server
from tests.torture.fleet import Fleet, make_fleet
from tests.torture.node import wait_until

SOME, MANY = 40, 100
SHORT_S, LONG_S = 12.0, 60.0
COMMAND = (
    'echo "$CRONHERD_RUN_ID" >> {folder}/ran; echo "begin $CRONHERD_JOB_NAME"; '
    'until test -e {folder}/go; do sleep 0.5; done; echo "end $CRONHERD_JOB_NAME"; exit {code}'
)
ENDED = "SELECT count(*) FROM run_history"
FOUND = """
SELECT j.name, h.exit_code, h.attempt, o.bytes FROM run_history h JOIN job j ON j.id = h.job_id
LEFT JOIN output o ON o.run_id = h.id ORDER BY j.name, o.seq
"""


def _begin(fleet: Fleet, folder: Path, count: int) -> None:
    """All of them run, on both nodes."""
    jobs = [
        {
            "name": f"job-{number}",
            "command": COMMAND.format(folder=folder, code=number % 7),
            "cwd": "/",
            "takeover_after": "never",
        }
        for number in range(count)
    ]
    spec = folder / "jobs.json"
    spec.write_text(json.dumps({"jobs": jobs}))
    for node in fleet.nodes:
        node.start()
    for node in fleet.nodes:
        node.wait_up()
    fleet.people.insist("apply", "--yes", "-f", str(spec))
    for number in range(count):
        fleet.people.say("job", "run", f"job-{number}")
    assert wait_until(lambda: len(_ran(folder)) == count, 60, 0.2), "they never ran"


def _ran(folder: Path) -> list[str]:
    path = folder / "ran"
    return path.read_text().splitlines() if path.exists() else []


def _outage(
    kind: str, how: str, seconds: float, count: int, folder: Path, record_property: Record
) -> None:
    with (
        needing_server(kind, record_property),
        make_fleet(kind, [], nodes=2, seed=1) as fleet,
    ):
        folder.chmod(0o777)
        _begin(fleet, folder, count)
        fleet.ground.freeze() if how == "freeze" else fleet.ground.kill()
        (folder / "go").touch()
        threading.Event().wait(seconds)
        fleet.ground.thaw() if how == "freeze" else fleet.ground.restart()

        def ended() -> bool:
            return bool(fleet.ground.query(ENDED)[0][0] == count)

        assert wait_until(ended, 60, 0.3), "not all of them were recorded"
        texts: dict[str, str] = {f"job-{number}": "" for number in range(count)}
        for name, code, attempt, chunk in fleet.ground.query(FOUND):
            assert (code, attempt) == (int(name.split("-")[1]) % 7, 1), name
            texts[name] += bytes.fromhex(chunk or "").decode()
        assert texts == {name: f"begin {name}\nend {name}\n" for name in texts}
        assert max(Counter(_ran(folder)).values()) == 1
        assert len(_ran(folder)) == count


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kind", [pytest.param("postgresql", marks=pytest.mark.full), "mariadb"])
def test_results_and_output_arrive_after_a_short_outage(
    kind: str, tmp_path: Path, record_property: Record
):
    _outage(kind, "freeze", SHORT_S, SOME, tmp_path, record_property)


@pytest.mark.full
@pytest.mark.timeout(300)
@pytest.mark.parametrize("how", ["freeze", "kill"])
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_results_and_output_arrive_after_a_minute(
    kind: str, how: str, tmp_path: Path, record_property: Record
):
    _outage(kind, how, LONG_S, MANY, tmp_path, record_property)
