"""Records the instant each witness ended, also of those that had no last word.

    python -m tests.torture.coroner FOLDER

A process of its own, so that nothing in the torture delays it: it reads what witnesses wrote,
opens a pidfd of each, and is woken by the kernel when one ends. Lives until its input ends.
"""

import os
import select
import sys
from contextlib import suppress
from pathlib import Path

from tests.torture.evidence import DEATHS, WITNESS, boot_ns

LOOK_MS = 10


class Coroner:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._alive: dict[int, str] = {}
        self._poll = select.epoll()
        self._deaths = os.open(
            folder / DEATHS, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )

    def serve(self, life: int) -> None:
        """Until `life`, a descriptor, can be read: its other end was closed."""
        self._poll.register(life, select.EPOLLIN | select.EPOLLHUP)
        while True:
            for descriptor, _ in self._poll.poll(LOOK_MS / 1000):
                if descriptor == life:
                    self._look()
                    return
                self._note(self._alive.pop(descriptor))
                os.close(descriptor)  # takes it out of the poll as well
            self._look()

    def _look(self) -> None:
        for path in self._folder.glob(f"{WITNESS}*"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                new = file.read()
            whole = new[: new.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            for line in whole.decode().splitlines():
                if line.startswith("S "):
                    self._watch(line.split(" "))

    def _watch(self, words: list[str]) -> None:
        run, attempt, pid = words[1], words[4], words[7]
        try:
            descriptor = os.pidfd_open(int(pid))
        except ProcessLookupError:  # it ended within this look
            self._note(f"{run} {attempt} {pid}")
            return
        self._alive[descriptor] = f"{run} {attempt} {pid}"
        self._poll.register(descriptor, select.EPOLLIN)

    def _note(self, who: str) -> None:
        os.write(self._deaths, f"{who} {boot_ns()}\n".encode())


def main(folder: str) -> None:
    with suppress(PermissionError):
        os.nice(-10)
    Coroner(Path(folder)).serve(sys.stdin.fileno())


if __name__ == "__main__":
    main(*sys.argv[1:])
