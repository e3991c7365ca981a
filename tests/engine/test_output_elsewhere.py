"""The output of a run is read through another node: while it runs, and when its host is gone."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.engine.host import Host, wait_until
from tests.engine.test_cancel_elsewhere import _host

# The target is 1 s; a busy machine may be slower.
BOUND_S = 5.0
# It writes what is no text, and goes on.
COMMAND = r"printf 'first\n\000\377' && touch {0} && exec sleep 30"


def _text(desk: Host, run_id: str) -> str:
    return "".join(piece["bytes"] for piece in desk.client.run_output(run_id)["items"])


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_output_is_seen_from_another_node_and_outlives_its_host(
    tmp_path: Path, kind: str, empty_database: Callable[[str], str]
) -> None:
    with ExitStack() as stack:
        url = empty_database(kind)
        desk, mill = (
            _host(tmp_path / name, stack, f"database: {url}\nnode: {{name: {name}}}\n")
            for name in ("desk", "mill")
        )
        written = tmp_path / "written"
        job = {"name": "long", "command": COMMAND.format(written), "run_on": {"node": "mill"}}
        desk.client.create_job({**job, "cwd": "/"}, "local")
        run_id = str(desk.client.run_job("long", "local")["run"]["id"])
        wait_until(written.exists, "it never started")
        kept = "first\n\0\xff"
        wait_until(lambda: _text(desk, run_id) == kept, "its output is not seen", BOUND_S)
        assert desk.client.show_run(run_id)["state"] == "running"
        mill.clear_away()
        wait_until(lambda: not mill.supervisors(), "its host lives on")
        assert _text(desk, run_id) == kept
