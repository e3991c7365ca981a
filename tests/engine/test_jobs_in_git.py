"""examples/jobs-in-git: the very commands of its workflow, against a real node over its port."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cronherd.definition.document import read_document
from tests.engine.host import Host

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "jobs-in-git"
PATIENCE_S = 30.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Pipeline:
    """The steps of the workflow, run in a checkout as its runner would."""

    def __init__(self, checkout: Path, home: Path, secrets: dict[str, str]) -> None:
        said = read_document(checkout / ".github" / "workflows" / "jobs.yaml").value
        assert isinstance(said, dict)
        self._jobs, self._env = said["jobs"], said["env"]
        self._checkout, self._home, self._secrets = checkout, home, secrets

    def run(self, name: str) -> tuple[int, str, str]:
        """One job's own command; what is installed is what is tested."""
        job = self._jobs[name]
        (command,) = [
            step["run"] for step in job["steps"] if step.get("run", "").startswith("cronherd")
        ]
        given = {key: self._secrets[key] for key in job.get("env", ())}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-e", "-c", command],
            cwd=self._checkout,
            env={"PATH": path, "HOME": str(self._home), **self._env, **given},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLE, tmp_path / "checkout")
    return tmp_path / "checkout"


@pytest.fixture
def pipeline(host: Host, checkout: Path, tmp_path: Path) -> Pipeline:
    port = free_port()
    host.write_config(f"web: {{listen: 127.0.0.1:{port}}}\n")
    host.up()
    token = host.client.create_token("pipeline", "editor", "me")["token"]
    secrets = {"CRONHERD_URL": f"http://127.0.0.1:{port}", "CRONHERD_TOKEN": token}
    return Pipeline(checkout, tmp_path, secrets)


def test_the_workflow_checks_applies_and_finds_drift(
    pipeline: Pipeline, host: Host, checkout: Path
):
    by_hand = {"name": "by-hand", "command": "true", "timezone": "UTC"}
    host.client.create_job(by_hand, "me")
    # A pull request needs no fleet.
    assert pipeline.run("check") == (0, "", "3 jobs: no fault was found\n")
    # It is merged, and at night nothing differs.
    code, out, _ = pipeline.run("apply")
    assert (code, out) == (0, "+ backup-db\n+ backup-check\n+ weekly-report\n")
    code, out, err = pipeline.run("drift")
    assert (code, out, err.splitlines()[-1]) == (0, "", "nothing differs")
    # Somebody edits a job elsewhere: the fleet marks it, and the night tells.
    shown = host.client.show_job("backup-db")
    host.client.edit_job("backup-db", {**shown["definition"], "timeout": "2h"}, None, "me")
    assert [job["name"] for job in host.client.list_jobs(q="drift:yes")["items"]] == ["backup-db"]
    code, out, _ = pipeline.run("drift")
    assert (code, out.splitlines()) == (
        3,
        ["~ backup-db  (was edited since it was applied)", "  - timeout: 2h", "  + timeout: 1h"],
    )
    # The repository renames a job, drops another, and takes the edit back.
    team = checkout / "jobs" / "backup.yaml"
    team.write_text(team.read_text().replace("backup-check", "backup-readable"))
    (checkout / "jobs" / "reports" / "weekly.yaml").unlink()
    old_id = host.client.show_job("backup-check")["id"]
    code, out, _ = pipeline.run("apply")
    assert code == 0
    assert "~ backup-readable  (renamed from backup-check)" in out
    assert "- weekly-report  (its runs stay)" in out
    assert host.client.show_job("backup-readable")["id"] == old_id
    # A checkout that went wrong deletes nothing.
    shutil.rmtree(checkout / "jobs" / "reports")
    team.unlink()
    code, _, err = pipeline.run("apply")
    assert (code, "has no *.yaml file" in err) == (1, True)
    names = [job["name"] for job in host.client.list_jobs()["items"]]
    assert names == ["backup-db", "backup-readable", "by-hand"]
