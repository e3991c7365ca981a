"""A fleet in memory, and the command line over it: in this process and as a real one."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from cronherd.cli.main import answer
from cronherd.cli.session import Session
from tests.cli.fakes import NOW_US, FakeFleet, FakeHost

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str


Shell = Callable[..., Said]
Process = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def fleet() -> FakeFleet:
    return FakeFleet()


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "TZ": "UTC"}


@pytest.fixture
def cronherd(
    fleet: FakeFleet,
    environ: dict[str, str],
    tmp_path: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    """Say a command; its standard input is `given`."""
    monkeypatch.chdir(tmp_path)

    def shell(*args: str, given: bytes = b"", host: FakeHost | None = None) -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8"))
        session = Session(
            load_host=lambda: host or FakeHost(fleet), now_us=lambda: NOW_US, environ=environ
        )
        capfdbinary.readouterr()
        state = () if "--state" in args else ("--state", str(tmp_path / "state"))
        code = answer([*state, *args], session)
        sys.stdout.flush()
        found = capfdbinary.readouterr()
        return Said(code, found.out.decode("latin-1"), found.err.decode("latin-1"))

    return shell


@pytest.fixture
def process(tmp_path: Path) -> Process:
    """The same as a process of its own, over a fleet with one job and one run."""

    def start(
        *args: str, environ: dict[str, str] | None = None, **more: object
    ) -> "subprocess.CompletedProcess[bytes]":
        told = {
            "HOME": str(tmp_path),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
            **(environ or {}),
        }
        command = [sys.executable, "-m", "tests.cli.fakes", "--state", str(tmp_path / "s"), *args]
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            command, env=told, cwd=tmp_path, check=False, timeout=30,
            **{"stdin": subprocess.DEVNULL, "capture_output": True, **more},
        )  # fmt: skip

    return start
