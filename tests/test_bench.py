"""The benchmarks still run. What they measure is nobody's business here."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.plenty import MARK, STRIDE, Segment, first_day_us
from bench.servers import changed
from bench.statements import short
from cronherd.definition.jobs import read_job
from tests.servers.engines import mariadb_program, postgresql_programs

RUN = Path(__file__).resolve().parents[1] / "bench" / "run.py"


def bench(
    results: Path, *arguments: str, patience_s: float = 50
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(RUN), "--results", str(results), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=patience_s,
    )


@pytest.mark.skipif(shutil.which("cc") is None, reason="the loop beside needs a C compiler")
@pytest.mark.full
def test_a_small_burst_is_measured_and_written_down(tmp_path: Path):
    done = bench(tmp_path, "burst", "--jobs", "20", "--rounds", "1", "--command", "direct: true")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "burst-sqlite.json").read_text())
    (row,) = document["tables"]["each round"]
    assert row["runs/s"] > 0
    assert row["loop/s"] > 0
    assert list(tmp_path.iterdir()) == [tmp_path / "burst-sqlite.json"]


def test_a_cancel_is_measured_by_the_death_of_its_process(tmp_path: Path):
    done = bench(tmp_path, "cancel", "--database", "sqlite", "--jobs", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "cancel-sqlite.json").read_text())
    ((row,),) = document["tables"].values()
    assert row["cancels"] == 2
    assert 0 <= row["p50"] <= row["max"]


@pytest.mark.skipif(
    not all(map(shutil.which, ("redis-server", "memcached", "openssl"))), reason="no lock servers"
)
@pytest.mark.full
def test_each_tool_is_measured_around_a_command(tmp_path: Path):
    done = bench(tmp_path, "tools", "--rounds", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "tools-sqlite.json").read_text())
    (rows,) = document["tables"].values()
    assert {row["command"].split()[0].strip(",") for row in rows} >= {
        "lock", "timeout", "publish", "timestart",
    }  # fmt: skip
    assert all(0 < row["min"] <= row["p50"] <= row["max"] for row in rows)


def test_next_slots_are_asked_for_and_written_down(tmp_path: Path):
    done = bench(tmp_path, "next", "--jobs", "3000")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "next-sqlite.json").read_text())
    ours, worst, beside = document["tables"].values()
    assert [row["questions"] for row in ours] == [3_000, 3_000, 3_000, 300]
    assert [row["what"] for row in beside][:2] == ["cronherd", "cronsim"]
    assert all(row["µs each"] > 0 for row in [*ours, *beside])
    assert all(row["ms"] > 0 for row in worst)


def test_an_unknown_name_is_refused(tmp_path: Path):
    done = bench(tmp_path, "brust")
    assert done.returncode == 2
    assert "burst" in done.stderr


# The user of a server cannot pass a folder of pytest.
DISK = ("--disk", tempfile.gettempdir())
HERE = {"postgresql": postgresql_programs, "mariadb": lambda: mariadb_program("mariadbd")}


@pytest.mark.full
@pytest.mark.timeout(120)
def test_a_folder_of_jobs_is_applied_first_again_and_changed(tmp_path: Path):
    done = bench(tmp_path, "apply", "--jobs", "200", patience_s=100)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "apply-sqlite.json").read_text())
    (rows,) = document["tables"].values()
    assert [row["changes"] for row in rows] == [200, 0, 2, 4]
    assert all(row["command s"] > 0 for row in rows)


@pytest.mark.full
@pytest.mark.timeout(240)
@pytest.mark.parametrize("database", HERE)
def test_every_ready_run_is_taken_once_by_one_of_many_nodes(tmp_path: Path, database: str):
    if not HERE[database]():
        pytest.skip(f"{database} is not installed")
    done = bench(tmp_path, "nodes", "--database", database, "--jobs", "700", *DISK, patience_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / f"nodes-{database}.json").read_text())
    (rows,) = document["tables"].values()
    assert [row["nodes"] for row in rows] == [1, 2, 4, 8]
    assert [row["wrong"] for row in rows] == [0, 0, 0, 0]
    assert document["database_settings"]["filesystem of its data"]


@pytest.mark.full
@pytest.mark.timeout(240)
@pytest.mark.parametrize("database", HERE)
def test_a_small_million_fires_every_due_job(tmp_path: Path, database: str):
    if not HERE[database]():
        pytest.skip(f"{database} is not installed")
    few = ("--jobs", "2000", "--rounds", "1", "--seconds", "2")
    done = bench(tmp_path, "million", "--database", database, *few, *DISK, patience_s=200)
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / f"million-{database}.json").read_text())
    assert len(document["tables"]["medians"]) == 6
    assert all(row["firings/s"] > 0 for row in document["tables"]["medians"])


def test_a_file_cannot_have_a_million_jobs(tmp_path: Path):
    done = bench(tmp_path, "million", "--database", "sqlite")
    assert done.returncode == 1
    assert "needs a server" in done.stdout


def test_an_unknown_database_is_refused(tmp_path: Path):
    done = bench(tmp_path, "burst", "--database", "oracle")
    assert done.returncode == 2
    assert "postgresql" in done.stderr


def test_a_filled_in_definition_is_what_the_validator_makes():
    segment = Segment(
        name="x", count=1, overlap="allow", schedule="7 3 * * *", due_us=first_day_us()
    )
    raw = {"name": "job-1", "command": "true", "schedule": "7 3 * * *", "overlap": "allow"}
    assert json.loads(segment.spec().replace(MARK, "1")) == read_job(raw, timezone="UTC").spec
    assert segment.spec().count(MARK) == 1


@pytest.mark.parametrize("total", [2_000, 50_000, 100_000, 1_000_000])
def test_scattering_gives_each_job_one_place(total: int):
    assert len({place * STRIDE % total for place in range(total)}) == total


def test_a_setting_takes_the_place_of_the_one_that_was_there():
    command = ["postgres", "-D", "pg", "--fsync=off", "--port=1"]
    assert changed(command, {"fsync": "on"}) == ["postgres", "-D", "pg", "--port=1", "--fsync=on"]


def test_statements_that_differ_in_numbers_only_are_one():
    assert short("SELECT 1\n FROM x WHERE at > 1790000000") == "SELECT 1 FROM x WHERE at > N"


@pytest.mark.full
def test_a_line_in_front_of_a_pool_is_measured(tmp_path: Path):
    done = bench(tmp_path, "waiting", "--jobs", "500", "--rounds", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    document = json.loads((tmp_path / "waiting-sqlite.json").read_text())
    rates, times = document["tables"].values()
    assert [row["line"] for row in rates] == [200, 500]
    assert {row["what"] for row in times} >= {"finish", "promote", "sweep", "fire"}
    assert all(row["p50"] > 0 for row in [*rates, *times])


def test_a_change_of_a_job_that_many_runs_wait_for_is_measured(tmp_path: Path):
    done = bench(tmp_path, "crowd", "--jobs", "40")
    assert done.returncode == 0, done.stdout + done.stderr
    (rows,) = json.loads((tmp_path / "crowd-sqlite.json").read_text())["tables"].values()
    assert [row["change"] for row in rows] == ["pause", "resume", "disable", "enable", "delete"]


@pytest.mark.full
@pytest.mark.timeout(240)
def test_each_page_is_measured(tmp_path: Path):
    done = bench(tmp_path, "pages", "--database", "sqlite", "--jobs", "300", "--seconds", "2",
                 patience_s=200)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    pages, views = json.loads((tmp_path / "pages-sqlite.json").read_text())["tables"].values()
    assert {row["page"] for row in pages} >= {"overview", "jobs", "runs", "timeline", "metrics"}
    assert all(row["p95 ms"] >= row["p50 ms"] > 0 for row in pages)
    assert [row["views"] for row in views] == [1, 200]
