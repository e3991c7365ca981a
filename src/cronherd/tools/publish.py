"""`publish`: what is read or what a command writes becomes a file, whole or not at all."""

import os
import select
import signal
from collections.abc import Mapping, Sequence

from cronherd.supervisor.spawn import SpawnError
from cronherd.tools.command import GRACE_US, Command
from cronherd.tools.crew import Clock, Crew, Rung
from cronherd.tools.publication import PIECE, Publication, Unpublished

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STDIN = 0
LAST_READS = 16
"""1 MiB: the largest pipe that an unprivileged process can make."""


def publish_input(publication: Publication, environ: Mapping[str, str], clock: Clock) -> int:
    """Standard input to its end becomes the file: the exit code. Raises Unpublished."""
    with Crew(clock, STOPPING, environ) as crew:
        crew.listen(STDIN, select.POLLIN)
        try:
            publication.open()
            while True:
                turn = crew.wait(None)
                if turn.signals:
                    return 128 + turn.signals[0]
                if STDIN in turn.ready and not _drain(STDIN, publication):
                    break
            publication.commit()
        finally:
            publication.close()
    return 0


def publish_file(
    publication: Publication, source: str, environ: Mapping[str, str], clock: Clock
) -> int:
    """A finished file becomes the file: the exit code. Raises Unpublished.

    A signal waits until that is done.
    """
    with Crew(clock, STOPPING, environ):
        try:
            publication.take(source)
            publication.commit()
        finally:
            publication.close()
    return 0


def publish_output(
    publication: Publication, argv: Sequence[str], environ: Mapping[str, str], clock: Clock
) -> int:
    """What a command writes becomes the file if it exits with 0: its exit code.

    Raises Unpublished, and SpawnError: nothing was executed.
    """
    with Crew(clock, STOPPING, environ) as crew:  # so a signal never meets a temporary file alone
        try:
            publication.open()
            code = _run(publication, argv, crew)
            if code == 0:
                publication.commit()
        finally:
            publication.close()
    return code


def _run(publication: Publication, argv: Sequence[str], crew: Crew) -> int:
    """By a pipe: what the command leaves behind cannot write into what is published."""
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(ours, False)
    try:
        command = crew.start(argv, (0, theirs, 2))
    except SpawnError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    try:
        return _listen(publication, command, ours, crew)
    except Unpublished:
        crew.kill(command, "unpublished")
        while not command.done:
            crew.wait(None)
        raise
    finally:
        os.close(ours)


def _listen(publication: Publication, command: Command, ours: int, crew: Crew) -> int:
    """Until the command has ended: its exit code, or that of the signal that asked us to end."""
    crew.listen(ours, select.POLLIN)
    is_open, stopped = True, 0
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
