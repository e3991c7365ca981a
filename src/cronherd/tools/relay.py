"""What a command writes, passed on to a descriptor of ours without waiting for its reader."""

import os
import select

from cronherd.tools.crew import Crew

PIECE = select.PIPE_BUF
"""A pipe that is ready takes so much at once, so a write does not wait."""

LAST_TURNS = 512
"""A read and a write for each piece of 1 MiB, the largest pipe that an unprivileged process makes.
Whoever was left behind may write on for ever, and is not waited for."""


class Relay:
    """From a pipe to `target`: holds one piece, so a slow reader slows the command, not us."""

    __slots__ = ("_crew", "_held", "_target", "ours", "theirs")

    def __init__(self, crew: Crew, target: int) -> None:
        self.ours, self.theirs = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self.ours, False)
        self._crew = crew
        self._target = target
        self._held = b""
        crew.listen(self.ours, select.POLLIN)

    def started(self) -> None:
        """The command has its end."""
        os.close(self.theirs)

    def waits_for(self) -> int:
        """The descriptor that is to be ready next; -1 when it is over."""
        return self._target if self._held else self.ours

    def turn(self) -> bool:
        """It is ready: True when the command has written something."""
        if self._held:
            self._write()
            return False
        try:
            piece = os.read(self.ours, PIECE)
        except BlockingIOError:
            return False
        if not piece:
            self.close()
            return False
        self._crew.leave(self.ours)
        self._crew.listen(self._target, select.POLLOUT)
        self._held = piece
        return True

    def drain(self, patience_ms: int) -> bool:
        """The command has ended: pass on what is in the pipe, and wait for nobody else's.

        False: for so long the reader took nothing; the rest is given up.
        """
        look = select.poll()
        look.register(self._target, select.POLLOUT)
        for _ in range(LAST_TURNS):
            if self.ours < 0:
                return True
            if self._held:
                if not look.poll(patience_ms):
                    self.close()
                    return False
                self._write()
                continue
            try:
                piece = os.read(self.ours, PIECE)
            except BlockingIOError:
                piece = b""
            if not piece:
                self.close()
                return True
            self._crew.leave(self.ours)
            self._crew.listen(self._target, select.POLLOUT)
            self._held = piece
        self.close()
        return True

    def close(self) -> None:
        """Whoever writes on is told by SIGPIPE."""
        if self.ours >= 0:
            self._crew.leave(self._target if self._held else self.ours)
            os.close(self.ours)
            self.ours = -1
            self._held = b""

    def _write(self) -> None:
        try:
            written = os.write(self._target, self._held)
        except OSError:  # nobody reads any more, or there is no room: the command is told
            self.close()
            return
        self._held = self._held[written:]
        if not self._held:
            self._crew.leave(self._target)
            self._crew.listen(self.ours, select.POLLIN)
