"""`publish`: what is read or what a command writes becomes a file, whole or not at all."""

import os
import select
import signal
from collections.abc import Callable, Mapping, Sequence

from cronherd.supervisor.spawn import SpawnError
from cronherd.tools.command import GRACE_US
from cronherd.tools.crew import Clock, Crew, Rung
from cronherd.tools.publication import PIECE, Publication, Unpublished

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STDIN = 0
LAST_READS = 16
"""1 MiB: the largest pipe that an unprivileged process can make."""


class Stopped(Exception):
    """A signal asked us to end."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def publish_input(publication: Publication) -> int:
    """Standard input to its end becomes the file: the exit code. Raises Unpublished."""
    return _guarded(publication, lambda: _copy(STDIN, publication))


def publish_file(publication: Publication, source: str) -> int:
    """A finished file becomes the file: the exit code. Raises Unpublished."""
    return _guarded(publication, lambda: publication.take(source))


def publish_output(
    publication: Publication, argv: Sequence[str], environ: Mapping[str, str], clock: Clock
) -> int:
    """What a command writes becomes the file if it exits with 0: its exit code.

    Raises Unpublished, and SpawnError: nothing was executed.
    """
    publication.open()
    try:
        code = _run(publication, argv, environ, clock)
        if code == 0:
            publication.commit()
    finally:
        publication.close()
    return code


def _run(
    publication: Publication, argv: Sequence[str], environ: Mapping[str, str], clock: Clock
) -> int:
    """By a pipe: what the command leaves behind cannot write into what is published."""
    with Crew(clock, STOPPING, environ) as crew:
        ours, theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(ours, False)
        try:
            command = crew.start(argv, (0, theirs, 2))
        except SpawnError:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        crew.listen(ours, select.POLLIN)
        is_open, stopped = True, 0
        try:
            while not command.done:
                turn = crew.wait(None)
                if ours in turn.ready and not _drain(ours, publication):
                    crew.leave(ours)
                    is_open = False
                for number in turn.signals:
                    again, stopped = bool(stopped), number
                    if again:
                        crew.kill(command, "stop")
                    else:
                        crew.end(command, "stop", [Rung(number, GRACE_US)])
            if is_open:
                _take_the_rest(ours, publication)
        except Unpublished:
            crew.kill(command, "unpublished")
            while not command.done:
                crew.wait(None)
            raise
        finally:
            os.close(ours)
    return 128 + stopped if stopped else command.code


def _drain(source: int, publication: Publication) -> bool:
    """One piece. False: its end."""
    try:
        piece = os.read(source, PIECE)
    except BlockingIOError:
        return True
    publication.write(piece)
    return bool(piece)


def _take_the_rest(source: int, publication: Publication) -> None:
    """What is in the pipe. Somebody left behind may go on writing for ever, and is not heard."""
    look = select.poll()
    look.register(source, select.POLLIN)
    for _ in range(LAST_READS):
        if not look.poll(0) or not _drain(source, publication):
            return


def _copy(source: int, publication: Publication) -> None:
    publication.open()
    while piece := os.read(source, PIECE):
        publication.write(piece)


def _guarded(publication: Publication, fill: Callable[[], None]) -> int:
    """A signal on the way leaves no temporary file."""
    before = {number: signal.signal(number, _stop) for number in STOPPING}
    try:
        fill()
        publication.commit()
    except Stopped as stopped:
        return 128 + stopped.number
    finally:
        publication.close()
        for number, was in before.items():
            signal.signal(number, was)
    return 0


def _stop(number: int, _frame: object) -> None:
    raise Stopped(number)
