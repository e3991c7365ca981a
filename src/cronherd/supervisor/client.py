"""The agent's side: launch a supervisor and talk to it. Safe to use from several threads."""

import os
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cronherd import __version__
from cronherd.supervisor import wire
from cronherd.supervisor.base import (
    Clock,
    Ended,
    Gone,
    Output,
    Report,
    Start,
    Started,
    SupervisorGone,
    SupervisorRefused,
)
from cronherd.supervisor.door import RECEIVE_BYTES, owner, reach
from cronherd.supervisor.guard import LOCK_NAME, home_of
from cronherd.supervisor.order import message_of

SOCKET_NAME = "supervisor.sock"
BIRTH_S = 40.0
"""Two waits of 15 s for locks of a predecessor that is dying, and room."""
SEND_S = 10
"""A supervisor that takes nothing for so long is stopped or stuck: the connection is lost."""
EXIT_S = 15.0
"""After `shutdown`: the supervisor gives itself 12 s."""
REFUSED_US = 3_000_000
"""For so long one that speaks none of our versions is asked again: without runs it has left."""
REFUSED_PAUSE_S = 0.2
FRAME_BYTES = 4 << 20
"""Starts are cut into frames of about this size; one larger start has a frame of its own."""

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from cronherd.supervise import main; sys.exit(main(sys.argv[1:]))"
)


_ENDED = Ended.__slots__
"""The fields in the order of the wire."""

_left: "list[subprocess.Popen[bytes]]" = []
"""Supervisors of ours that live on without us; somebody must reap them when they end."""


def launch(state: Path, socket_dir: Path, clock: Clock) -> "SupervisorClient":
    """Connect to the supervisor of `state`, or start one. Raises SupervisorGone if none can live.

    One that was left by an earlier agent is taken over with its runs. When it has none and is of
    another version it is replaced: so an upgrade reaches it as soon as nothing depends on it.
    Raises SupervisorRefused for one that has runs and speaks none of our versions.
    """
    _left[:] = [process for process in _left if process.poll() is None]
    path = socket_dir / SOCKET_NAME
    found = _find_fitting(state, path, clock)
    if found is None:
        return _launch(state, path, clock)
    if found.live or found.version == __version__:
        return found
    found.shutdown()
    found.close()
    return _launch(state, path, clock)


def _find_fitting(state: Path, path: Path, clock: Clock) -> "SupervisorClient | None":
    """As `_find`; one that refuses us may be without runs, and then it leaves by itself."""
    give_up_us = clock.boot_us() + REFUSED_US
    while True:
        try:
            return _find(state, path)
        except SupervisorRefused:
            if clock.boot_us() >= give_up_us:
                raise
            select.poll().poll(REFUSED_PAUSE_S * 1000)


def _find(state: Path, path: Path) -> "SupervisorClient | None":
    """The supervisor of this very directory that listens there. Raises SupervisorRefused."""
    try:
        found = SupervisorClient(connect(path))
    except SupervisorRefused:
        raise
    except SupervisorGone:  # Nobody listens, or it is leaving: its lock says when it has left.
        return None
    if found.home == home_of(str(state / LOCK_NAME)):
        return found
    found.close()
    return None


def _launch(state: Path, path: Path, clock: Clock) -> "SupervisorClient":
    """A new process, in a session of its own: a Ctrl-C in the terminal does not reach it."""
    ready, ready_end = os.pipe2(os.O_CLOEXEC)
    try:
        process = subprocess.Popen(
            [*_python(), "--state", str(state.absolute()), "--socket", str(path.absolute()),
             "--ready-fd", str(ready_end)],
            stdin=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
            pass_fds=(ready_end,),
        )  # fmt: skip
        os.close(ready_end)
        line = _read_line(ready, clock, BIRTH_S)
    finally:
        os.close(ready)
    if not line.startswith("ready"):
        process.kill()
        process.wait()
        reason = line.removeprefix("error ").strip() or "it died at birth"
        raise SupervisorGone(f"no supervisor for {state}: {reason}")
    return SupervisorClient(connect(path), process)


def connect(path: Path) -> socket.socket:
    """A socket to the supervisor at `path`, of any length. Raises SupervisorGone."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with reach(str(path.parent)) as short:
            link.connect(f"{short}/{path.name}")
        trusted = owner(link) in (os.geteuid(), 0)
    except OSError as error:
        link.close()
        raise SupervisorGone(f"no supervisor answers at {path}: {error}") from None
    if not trusted:
        link.close()
        raise SupervisorGone(f"{path} belongs to somebody else")
    link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_S, 0))
    return link


class SupervisorClient:
    """base.Supervisor over a socket."""

    def __init__(
        self, link: socket.socket, process: "subprocess.Popen[bytes] | None" = None
    ) -> None:
        """Say hello over `link`. Raises SupervisorGone when we are refused."""
        self._link = link
        self._process = process
        self._life: int | None = None
        self._sending = threading.Lock()
        self._reader = wire.Reader()
        self._frames: list[wire.Frame] = []
        self._position = 0
        self._spool_bytes = 0
        self._lost = ""
        self._poll = select.poll()
        self._poll.register(link, select.POLLIN)
        self._try_to_send(wire.greeting())  # Refused at the door, it fails; the reason is readable.
        facts = self._greet()
        self.incarnation = str(facts.get("incarnation", ""))
        self.pid = int(facts.get("pid", 0))
        self.home = str(facts.get("home", ""))
        self.version = str(facts.get("version", ""))
        self.replay_until = int(facts.get("replay_until", 0))
        self.live = frozenset((str(r), int(n), str(t)) for r, n, t in facts.get("live", ()))
        self.unfenced = bool(facts.get("unfenced"))
        with suppress(OSError):  # Gone already: the connection will tell.
            self._life = os.pidfd_open(self.pid)

    def _greet(self) -> dict[str, Any]:
        while not self._frames and not self._lost:
            self._receive(SEND_S)
            if not self._frames and not self._lost:
                self._lost = "the supervisor says nothing"
        try:
            return wire.greeted(self._frames.pop(0)[0] if self._frames else [])
        except wire.Refused as error:
            self.close()
            text = f"the supervisor here has runs and refuses this version: {error}"
            raise SupervisorRefused(text) from None
        except wire.WireError as error:
            self.close()
            raise SupervisorGone(self._lost or str(error)) from None

    def start(self, starts: Sequence[Start]) -> None:
        """See base.Supervisor."""
        messages: list[wire.Message] = []
        blobs: list[bytes] = []
        size = 0
        frames: list[bytes] = []
        for start in starts:
            messages.append(message_of(start))
            blobs.append(start.stdin)
            size += len(start.stdin) + sum(map(len, start.argv)) + 64 * len(start.env)
            if size > FRAME_BYTES:
                frames.append(_packed(messages, blobs))
                messages, blobs, size = [], [], 0
        if messages:
            frames.append(_packed(messages, blobs))
        self._send(b"".join(frames))

    def cancel(self, run_id: str, attempt: int) -> None:
        """See base.Supervisor. A lost connection is not reported here but by `reports`."""
        self._try_to_send(wire.pack([["cancel", run_id, attempt]]))

    def renewed(self, boot_us: int | None) -> None:
        """See base.Supervisor. A lost connection is not reported here but by `reports`."""
        self._try_to_send(wire.pack([["renewed", boot_us]]))

    def ack(self, position: int) -> None:
        """See base.Supervisor. A lost connection is not reported here but by `reports`."""
        self._try_to_send(wire.pack([["ack", position]]))

    def reports(self, timeout_s: float) -> tuple[list[Report], int]:
        """See base.Supervisor. From one thread only."""
        if not self._frames and not self._lost:
            self._receive(timeout_s)
        frames, self._frames = self._frames, []
        if not frames and self._lost:
            raise SupervisorGone(self._lost)
        batch: list[Report] = []
        before = self._position
        try:
            for messages, blob in frames:
                self._read(messages, blob, batch)
        except (IndexError, TypeError, ValueError) as error:
            # Nothing of it may be acked: it stays in the spool for somebody who understands it.
            self._position = before
            self._lost = f"the supervisor reports what this version does not understand: {error}"
            self._shut()
            raise SupervisorGone(self._lost) from None
        return batch, self._position

    def spool_bytes(self) -> int:
        """See base.Supervisor."""
        return self._spool_bytes

    def shutdown(self) -> None:
        """See base.Supervisor. Reports may still be read and acked meanwhile."""
        self._try_to_send(wire.pack([["shutdown"]]))
        if self._life is None:
            return
        poll = select.poll()
        poll.register(self._life, select.POLLIN)
        if not poll.poll(EXIT_S * 1000):
            signal.pidfd_send_signal(self._life, signal.SIGKILL)  # Its guardian does the rest.
            poll.poll(EXIT_S * 1000)
        if self._process is not None:
            self._process.wait()

    def close(self) -> None:
        """See base.Supervisor: as the death of this process would."""
        self._link.close()
        if self._process is not None and self._process.poll() is None:
            _left.append(self._process)
            self._process = None
        if self._life is not None:
            os.close(self._life)
            self._life = None

    def _send(self, frames: bytes) -> None:
        if self._lost:
            raise SupervisorGone(self._lost)
        try:
            with self._sending:
                self._link.sendall(frames)
        except OSError as error:
            # Part of a frame may be out: nothing more can be said on this connection.
            self._shut()
            raise SupervisorGone(f"the supervisor does not listen: {error}") from None

    def _try_to_send(self, frame: bytes) -> None:
        with suppress(SupervisorGone):
            self._send(frame)

    def _receive(self, timeout_s: float) -> None:
        """Wait for bytes and cut them into frames; or learn that nobody is there any more."""
        if not self._poll.poll(timeout_s * 1000):
            return
        try:
            received = self._link.recv(RECEIVE_BYTES)
            self._frames += self._reader.feed(received)
        except (OSError, wire.WireError) as error:
            self._lost = f"the connection to the supervisor broke: {error}"
            return
        if not received:
            self._lost = "the supervisor is gone"

    def _shut(self) -> None:
        with suppress(OSError):
            self._link.shutdown(socket.SHUT_RDWR)

    def _read(self, messages: list[Any], blob: bytes, batch: list[Report]) -> None:
        """Append what one frame reports to `batch`."""
        at = 0
        for message in messages:
            kind = message[0]
            if kind == "output":
                size = message[-1]
                batch.append(_output(message, blob[at : at + size]))
                at += size
            elif kind == "ended":
                batch.append(_ended(message))
            elif kind == "started":
                _, run_id, attempt, token, pid, at_us = message
                batch.append(
                    Started(run_id=run_id, attempt=attempt, token=token, pid=pid, at_us=at_us)
                )
            elif kind == "spool":
                _, self._position, self._spool_bytes = message
            elif kind == "gone":
                batch.append(Gone(run_id=message[1], attempt=message[2], token=message[3]))
            elif kind == "refused":
                self._lost = f"the supervisor refused: {message[-1]}"


def _packed(messages: list[wire.Message], blobs: list[bytes]) -> bytes:
    try:
        return wire.pack(messages, blobs)
    except wire.WireError as error:
        raise ValueError(str(error)) from None


def _output(message: list[Any], chunk: bytes) -> Output:
    _, run_id, attempt, token, seq, stream, at_us, dropped, _ = message
    return Output(
        run_id=run_id, attempt=attempt, token=token, seq=seq, stream=stream, at_us=at_us,
        dropped=dropped, chunk=chunk,
    )  # fmt: skip


def _ended(message: list[Any]) -> Ended:
    """By the order of its fields: a newer supervisor says more, an older one less."""
    return Ended(**dict(zip(_ENDED, message[1:], strict=False)))


def _python() -> list[str]:
    """The same Python without site-packages, with nothing but this project on its path."""
    source = str(Path(__file__).resolve().parents[2])
    return [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, source]


def _read_line(descriptor: int, clock: Clock, wait_s: float) -> str:
    """What the new process says at its birth, until it closes the pipe; "" when it is silent."""
    line = b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    give_up_us = clock.boot_us() + round(wait_s * 1_000_000)
    while (left_us := give_up_us - clock.boot_us()) > 0 and poll.poll(left_us / 1000):
        received = os.read(descriptor, 4096)
        if not received:
            break
        line += received
    return line.decode("utf-8", "replace")
