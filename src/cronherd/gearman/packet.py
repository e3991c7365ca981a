"""Gearman's binary packets: made, and read from whatever a peer sends. Pure.

A packet is a magic word, a number and a length of four bytes each, big endian, and arguments that
a zero byte separates. The last argument may contain zero bytes: it is the rest.
"""

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from cronherd.domain.errors import Invalid, Unavailable

REQUEST = b"\0REQ"
RESPONSE = b"\0RES"
LARGEST = 64 << 20
"""Bytes of arguments. Whoever announces more is not believed."""

# Made from words, as the protocol spells them.
Kind = IntEnum(
    "Kind",
    {
        "CAN_DO": 1, "CANT_DO": 2, "RESET_ABILITIES": 3, "PRE_SLEEP": 4, "NOOP": 6,
        "SUBMIT_JOB": 7, "JOB_CREATED": 8, "GRAB_JOB": 9, "NO_JOB": 10, "JOB_ASSIGN": 11,
        "WORK_STATUS": 12, "WORK_COMPLETE": 13, "WORK_FAIL": 14, "GET_STATUS": 15,
        "ECHO_REQ": 16, "ECHO_RES": 17, "SUBMIT_JOB_BG": 18, "ERROR": 19, "STATUS_RES": 20,
        "SUBMIT_JOB_HIGH": 21, "SET_CLIENT_ID": 22, "CAN_DO_TIMEOUT": 23, "ALL_YOURS": 24,
        "WORK_EXCEPTION": 25, "OPTION_REQ": 26, "OPTION_RES": 27, "WORK_DATA": 28,
        "WORK_WARNING": 29, "GRAB_JOB_UNIQ": 30, "JOB_ASSIGN_UNIQ": 31, "SUBMIT_JOB_HIGH_BG": 32,
        "SUBMIT_JOB_LOW": 33, "SUBMIT_JOB_LOW_BG": 34, "SUBMIT_JOB_SCHED": 35,
        "SUBMIT_JOB_EPOCH": 36,
    },
)  # fmt: skip

_THREE = {
    Kind.SUBMIT_JOB, Kind.SUBMIT_JOB_BG, Kind.SUBMIT_JOB_HIGH, Kind.SUBMIT_JOB_HIGH_BG,
    Kind.SUBMIT_JOB_LOW, Kind.SUBMIT_JOB_LOW_BG, Kind.WORK_STATUS, Kind.JOB_ASSIGN,
}  # fmt: skip
_TWO = {
    Kind.CAN_DO_TIMEOUT, Kind.WORK_COMPLETE, Kind.WORK_EXCEPTION, Kind.WORK_DATA,
    Kind.WORK_WARNING, Kind.ERROR,
}  # fmt: skip
_NONE = {
    Kind.RESET_ABILITIES, Kind.PRE_SLEEP, Kind.NOOP, Kind.GRAB_JOB, Kind.NO_JOB, Kind.ALL_YOURS,
    Kind.GRAB_JOB_UNIQ,
}  # fmt: skip
COUNTS: dict[int, int] = {
    **dict.fromkeys(Kind, 1),
    **dict.fromkeys(_THREE, 3),
    **dict.fromkeys(_TWO, 2),
    **dict.fromkeys(_NONE, 0),
    Kind.JOB_ASSIGN_UNIQ: 4,
    Kind.STATUS_RES: 5,
    Kind.SUBMIT_JOB_EPOCH: 4,
    Kind.SUBMIT_JOB_SCHED: 8,
}
"""How many arguments a packet of each kind has."""

_HEAD = Struct(">4sII")


class Broken(Unavailable):
    """The peer sent what is no Gearman packet: nothing behind it can be understood."""

    default_code = "gearman_protocol"


class Packet(NamedTuple):
    """`kind` is a Kind, or the number of one that nobody here knows; then there is one argument."""

    kind: int
    arguments: tuple[bytes, ...]


def encode(kind: int, *arguments: bytes, magic: bytes = REQUEST) -> bytes:
    """One packet. Raises Invalid for arguments that would be read as others."""
    body = b"\0".join(arguments)
    if len(arguments) != COUNTS[kind]:
        raise Invalid(f"{Kind(kind).name} has {COUNTS[kind]} arguments, not {len(arguments)}")
    if len(arguments) > 1 and body.count(b"\0", 0, len(body) - len(arguments[-1])) >= len(
        arguments
    ):
        raise Invalid(
            "a name, a handle or a unique id must not contain a zero byte", code="bad_gearman_name"
        )
    if len(body) > LARGEST:
        raise Invalid(f"more than {LARGEST >> 20} MiB is no Gearman packet", code="too_long")
    return _HEAD.pack(magic, kind, len(body)) + body


class Decoder:
    """Takes bytes as they come, gives packets as they are complete."""

    __slots__ = ("_held", "_magic")

    def __init__(self, magic: bytes = RESPONSE) -> None:
        self._magic = magic
        self._held = bytearray()

    def feed(self, piece: bytes) -> list[Packet]:
        """The packets that are whole now, in order. Raises Broken; nothing can be read then."""
        held = self._held
        held += piece
        found: list[Packet] = []
        at, end = 0, len(held)
        while end - at >= _HEAD.size:
            magic, kind, length = _HEAD.unpack_from(held, at)
            if magic != self._magic:
                raise Broken("what a job server sent is not Gearman: is this its port?")
            if length > LARGEST:
                raise Broken(f"a packet of {length} bytes is not believed")
            if end - at - _HEAD.size < length:
                break
            begin = at + _HEAD.size
            at = begin + length
            found.append(Packet(kind, _split(kind, bytes(held[begin:at]))))
        del held[:at]
        return found


def _split(kind: int, body: bytes) -> tuple[bytes, ...]:
    count = COUNTS.get(kind, 1)
    if count == 0:
        if body:
            raise Broken(f"{Kind(kind).name} came with {len(body)} bytes that it never has")
        return ()
    parts = body.split(b"\0", count - 1)
    if len(parts) != count:
        raise Broken(f"{Kind(kind).name} came with {len(parts)} arguments instead of {count}")
    return tuple(parts)
