"""Processes that measure: each reads questions as lines of JSON and answers each with one."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.report import BenchError

ROOT = Path(__file__).resolve().parents[1]
LEAD_S = 0.3  # from a question to the instant at which all begin

Json = dict[str, Any]


class Worker:
    """One process of `python -m MODULE`; it says hello when it is ready."""

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.hello = self.answer()

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, question: Mapping[str, object]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Json:
        """Raises BenchError when it died; its words are on the terminal already."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise BenchError(f"{self._module} ended with {self._process.wait()}")
        found: Json = json.loads(line)
        return found

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def workers(module: str, arguments: Sequence[Sequence[str]]) -> Iterator[list[Worker]]:
    """One for each list of arguments, all ready."""
    made: list[Worker] = []
    try:
        for each in arguments:
            made.append(Worker(module, each))  # noqa: PERF401 (those made are closed anyway)
        yield made
    finally:
        for worker in made:
            worker.close()


def ask_all(made: Sequence[Worker], question: Mapping[str, object]) -> list[Json]:
    """The same question to all, to be worked on from one instant on."""
    at_s = time.time() + LEAD_S
    for worker in made:
        worker.ask({**question, "at_s": at_s})
    return [worker.answer() for worker in made]


def serve(hello: Mapping[str, object], answer: Callable[[Json], Mapping[str, object]]) -> None:
    """The other side: until the questions end."""
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        time.sleep(max(0.0, question.get("at_s", 0) - time.time()))
        print(json.dumps(answer(question)), flush=True)
