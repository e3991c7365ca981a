"""The output of runs on this terminal: bytes as they were, each stream to its own."""

import codecs
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING

from cronherd.cli.output import Json, is_terminal, say, talk, to_json
from cronherd.cli.session import Session
from cronherd.domain.errors import Unavailable

if TYPE_CHECKING:
    from cronherd.client import Fleet

CRONHERD_FAILED = 125
# A lone carriage return writes over what stood in the line: it is shown, not obeyed.
_HARMLESS = frozenset("\n\t")


class Playback:
    """Writes pieces; on a terminal control characters are shown instead of obeyed."""

    def __init__(self, session: Session, attempt: int | None = None) -> None:
        self._attempt = attempt
        self._as_json = session.settings.output == "json"
        self._decoders = {
            name: codecs.getincrementaldecoder("utf-8")("backslashreplace")
            for name in ("stdout", "stderr")
        }

    def piece(self, piece: Json) -> None:
        if self._attempt not in {None, piece["attempt"]}:
            return
        if self._as_json:
            say(to_json(piece))
            sys.stdout.flush()
            return
        stream = sys.stderr if piece["stream"] == "stderr" else sys.stdout
        if piece["dropped_bytes"]:
            talk(f"cronherd: {piece['dropped_bytes']} bytes of output were not kept here")
        if stream is not None:
            self._write(stream, piece["stream"], piece["bytes"].encode("latin-1"))

    def _write(self, stream: IO[str], name: str, raw: bytes) -> None:
        if is_terminal(stream):
            stream.write(harmless(self._decoders[name].decode(raw)))
        else:
            stream.flush()
            stream.buffer.write(raw)  # type: ignore[attr-defined] # text streams have one
        stream.flush()


def harmless(text: str) -> str:
    """Escapes for what could move the cursor, ring, or answer to the terminal."""
    return "".join(
        char if char in _HARMLESS or char.isprintable() else char.encode("unicode_escape").decode()
        for char in text.replace("\r\n", "\n")
    )


def kept_pieces(fleet: "Fleet", run: Json, attempt: int | None) -> Iterator[Json]:
    """What is kept of a run's output, attempt by attempt, page by page."""
    for number in [attempt] if attempt else range(1, max(1, run["attempt"]) + 1):
        after = -1
        while items := fleet.run_output(run["id"], number, after)["items"]:
            yield from items
            after = items[-1]["seq"]


def follow(fleet: "Fleet", run_id: str, playback: Playback | None) -> Json:
    """Until the run has ended, which is what is returned. Raises Unavailable."""
    for piece in fleet.follow_output(run_id):
        if "run" in piece:
            run: Json = piece["run"]
            if run["state"] == "finished":
                return run
            break
        if playback:
            playback.piece(piece)
    raise FollowingEnded(
        f"the run {run_id[:8]} has not ended, and nobody here can tell when it does",
        hint=f"does an agent run? look at `cronherd run show {run_id[:8]}` later",
    )


class FollowingEnded(Unavailable):
    """How the run ends is not known here."""

    exit_code = CRONHERD_FAILED


def exit_code_of(run: Json, attempts: list[Json]) -> int:
    """The command's own code, or one that cannot be mistaken for it by those who know timeout."""
    if run["outcome"] == "timed_out":
        return 124
    error = attempts[-1]["error"] if attempts else ""
    if error in {"not_executable", "not_found"}:
        return 126 if error == "not_executable" else 127
    if run["outcome"] not in {"succeeded", "failed"}:
        return CRONHERD_FAILED
    if run["signal"]:
        return 128 + int(run["signal"])
    return CRONHERD_FAILED if run["exit_code"] is None else int(run["exit_code"])
