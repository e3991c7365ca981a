"""Frames between the agent and its supervisor, also the records of the spool.

A frame is `!II` (length of the JSON, length of the blobs), one JSON array of messages, and the
raw bytes those messages refer to, in order, by the size in their last field.

To the supervisor:
    ["hello", {"wire", "min_wire"}]  ["cancel", run_id, attempt]  ["ack", position]  ["shutdown"]
    ["renewed", boot_us or null]
    ["start", run_id, attempt, token, argv, cwd, env, timeout_us, grace_us, head_bytes,
              tail_bytes, valid_until_boot_us, fence_us, extras, stdin size]
    extras is an object of what else base.Start says, by the names of its fields, without what has
    its default. A supervisor that does not know one of them refuses that start: so new ones need
    no new version.
From it:
    ["hello", {"wire", "min_wire", "incarnation", "pid", "version", "home",
               "replay_until", "live": [[run_id, attempt, token], ...], "unfenced"}]
    ["refused", code, sentence]
    ["spool", position, bytes]: the position after this frame's reports, and the spool's size
    ["started", run_id, attempt, token, pid, at_us]
    ["output", run_id, attempt, token, seq, stream, at_us, dropped, chunk size]
    ["ended", run_id, attempt, token, started_us, ended_us, exit_code, signal, killed_by, error,
              error_text, dropped, cpu_us, peak_rss_bytes, read_bytes, written_bytes, pid, how,
              leaked]
    ["gone", run_id, attempt, token]
    "ended" may grow at its end: whoever knows fewer fields leaves the rest out, and what an older
    supervisor does not say has its default in base.Ended. A kind that is not known is left out.
"""

import json
from collections.abc import Sequence
from struct import Struct
from typing import Any

VERSION = 3
MIN_VERSION = 3
"""The first version whose supervisor outlives its agent; from the next one on this is one less."""

HEADER = Struct("!II")
JSON_LIMIT = 16 << 20
"""One start may carry 2 MiB of arguments and environment (the kernel's own limit), escaped."""
BLOB_LIMIT = 32 << 20
"""The largest stdin (STDIN_LIMIT) plus room; reports are cut into frames of about 1 MiB."""
STDIN_LIMIT = 8 << 20
"""Held in memory on both sides until the command was spawned; larger input belongs in a file."""
KEPT_LIMIT = 16 << 20
"""The largest head_bytes or tail_bytes: both are held in the supervisor's memory."""
CHUNK_LIMIT = 256 << 10
"""The largest chunk of output: one row of the database."""

Message = Sequence[Any]
Frame = tuple[list[Any], bytes]

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode


class WireError(Exception):
    """The other side broke the protocol; the connection ends."""


class Refused(WireError):
    """The other side lives and does not want us, or speaks no version that we know."""


def code_of(error: WireError) -> str:
    """What a "refused" says for machines."""
    return "wire_version" if isinstance(error, Refused) else "protocol"


def pack(messages: Sequence[Message], blobs: Sequence[bytes | bytearray] = ()) -> bytes:
    """One frame. Raises WireError when it would be larger than the other side accepts."""
    text = _encode(messages).encode("ascii")
    blob = b"".join(blobs)
    if len(text) > JSON_LIMIT or len(blob) > BLOB_LIMIT:
        raise WireError(f"a frame of {len(text)} + {len(blob)} bytes is too large to send")
    return HEADER.pack(len(text), len(blob)) + text + blob


def with_position(frame: bytes, position: int, spool_bytes: int) -> bytes:
    """The spooled frame as it is sent: its JSON array gets one more message in front."""
    json_size, blob_size = HEADER.unpack_from(frame)
    comma = "," if json_size > 2 else ""
    front = f'[["spool",{position},{spool_bytes}]{comma}'.encode("ascii")
    return b"".join(
        (HEADER.pack(json_size + len(front) - 1, blob_size), front, frame[HEADER.size + 1 :])
    )


def unpack(frame: bytes) -> Frame:
    """The messages and the blobs of one whole frame. Raises WireError when malformed."""
    json_size, blob_size = HEADER.unpack_from(frame)
    start = HEADER.size + json_size
    return _messages(frame[HEADER.size : start]), frame[start : start + blob_size]


def _messages(text: bytes) -> list[Any]:
    try:
        messages = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WireError(f"a frame holds no JSON: {error}") from None
    if not isinstance(messages, list):
        raise WireError("a frame holds no array of messages")
    for message in messages:
        if not isinstance(message, list) or not message or not isinstance(message[0], str):
            raise WireError("a message is not an array that begins with its kind")
    return messages


class Reader:
    """Cuts a stream of bytes into frames."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, received: bytes) -> list[Frame]:
        """The frames completed by `received`. Raises WireError on the first malformed one."""
        pending = self._pending
        pending += received
        frames: list[Frame] = []
        at = 0
        while len(pending) - at >= HEADER.size:
            json_size, blob_size = HEADER.unpack_from(pending, at)
            if json_size > JSON_LIMIT or blob_size > BLOB_LIMIT:
                raise WireError(f"a frame of {json_size} + {blob_size} bytes is too large")
            end = at + HEADER.size + json_size + blob_size
            if len(pending) < end:
                break
            frames.append(unpack(bytes(pending[at:end])))
            at = end
        del pending[:at]
        return frames


def greeting(**facts: object) -> bytes:
    """The first frame of either side."""
    return pack([["hello", {"wire": VERSION, "min_wire": MIN_VERSION, **facts}]])


def greeted(messages: list[Any]) -> dict[str, Any]:
    """What the other side's hello says. Raises WireError when we cannot talk to each other."""
    first = messages[0] if messages else [""]
    if first[0] == "refused":
        raise Refused(str(first[-1]))
    if first[0] != "hello" or len(first) != 2 or not isinstance(first[1], dict):
        raise WireError("the first message is no hello")
    facts: dict[str, Any] = first[1]
    newest, oldest = facts.get("wire"), facts.get("min_wire", facts.get("wire"))
    if not isinstance(newest, int) or not isinstance(oldest, int):
        raise WireError("the hello names no wire version")
    if newest < MIN_VERSION or oldest > VERSION:
        raise Refused(
            f"the other side speaks wire versions {oldest} to {newest}, "
            f"this one {MIN_VERSION} to {VERSION}: upgrade the older of the two"
        )
    return facts
