"""The two C programs of the torture, compiled when they are needed."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Programs:
    witness: Path
    clock_shim: Path


def compiler() -> str | None:
    return shutil.which("gcc") or shutil.which("cc")


def compile_programs(folder: Path) -> Programs:
    """Into this folder. Raises CalledProcessError, FileNotFoundError where there is no compiler."""
    tool = compiler()
    if tool is None:
        raise FileNotFoundError("the torture needs gcc")
    made = Programs(folder / "witness", folder / "clock_shim.so")
    plain = [tool, "-O2", "-Wall", "-Wextra"]
    _compile([*plain, "-o", str(made.witness), str(HERE / "witness.c")])
    _compile([*plain, "-shared", "-fPIC", "-o", str(made.clock_shim), str(HERE / "clock_shim.c")])
    return made


def _compile(argv: list[str]) -> None:
    subprocess.run(argv, check=True, capture_output=True)
