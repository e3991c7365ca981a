"""Packets by tables, and what hostile peers may send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.gearman.packet import (
    COUNTS,
    LARGEST,
    REQUEST,
    RESPONSE,
    Broken,
    Decoder,
    Kind,
    Packet,
    encode,
)

# From the protocol's own description, byte by byte.
WRITTEN = [
    (Kind.CAN_DO, (b"reverse",), "00524551 00000001 00000007 72657665727365"),
    (Kind.PRE_SLEEP, (), "00524551 00000004 00000000"),
    (Kind.GRAB_JOB_UNIQ, (), "00524551 0000001e 00000000"),
    (Kind.SUBMIT_JOB, (b"rev", b"", b"test"), "00524551 00000007 00000009 726576 00 00 74657374"),
    (Kind.WORK_COMPLETE, (b"H:1", b"tset"), "00524551 0000000d 00000008 483a31 00 74736574"),
    (Kind.WORK_STATUS, (b"h", b"1", b"2"), "00524551 0000000c 00000005 68 00 31 00 32"),
    (Kind.WORK_DATA, (b"h", b"\0\0"), "00524551 0000001c 00000004 68 00 0000"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "arguments", "written"), WRITTEN)
def test_a_packet_is_written_and_read_as_described(
    kind: Kind, arguments: tuple[bytes, ...], written: str
):
    packet = encode(kind, *arguments)
    assert packet == bytes.fromhex(written)
    assert Decoder(REQUEST).feed(packet) == [Packet(kind, arguments)]


def test_each_kind_has_its_number_of_arguments():
    assert set(COUNTS) == set(Kind)
    assert [int(kind) for kind in Kind] == sorted({*range(1, 37)} - {5})


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (Kind.CAN_DO, ()),
        (Kind.PRE_SLEEP, (b"x",)),
        (Kind.SUBMIT_JOB, (b"f", b"u")),
        (Kind.SUBMIT_JOB, (b"f\0", b"u", b"x")),
        (Kind.SUBMIT_JOB, (b"f", b"u\0", b"x")),
    ],
)
def test_what_would_be_read_as_something_else_is_not_written(
    kind: Kind, arguments: tuple[bytes, ...]
):
    with pytest.raises(Invalid):
        encode(kind, *arguments)


def test_what_is_too_large_is_not_written():
    with pytest.raises(Invalid):
        encode(Kind.ECHO_REQ, bytes(LARGEST + 1))


@given(
    st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40)), max_size=6),
    st.integers(1, 50),
)
def test_packets_come_out_as_they_went_in_however_they_are_cut(
    pairs: list[tuple[bytes, bytes]], size: int
):
    wanted = [
        Packet(Kind.WORK_DATA, (handle.replace(b"\0", b"0"), piece)) for handle, piece in pairs
    ]
    stream = b"".join(encode(kind, *arguments, magic=RESPONSE) for kind, arguments in wanted)
    decoder, found = Decoder(), []
    for at in range(0, len(stream), size):
        found += decoder.feed(stream[at : at + size])
    assert found == wanted


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\0REQ" + bytes(8),  # what only a client says
        b"\0RES" + b"\0\0\0\x08" + b"\xff" * 4,
        b"\0RES" + b"\0\0\0\x06" + b"\0\0\0\x01x",  # NOOP has no arguments
        b"\0RES" + b"\0\0\0\x1f" + b"\0\0\0\x02hf",  # JOB_ASSIGN_UNIQ has four
        b"\0RES" + b"\0\0\0\x14" + b"\0\0\0\x00",  # STATUS_RES of nothing
    ],
)
def test_what_is_no_packet_is_refused(sent: bytes):
    with pytest.raises(Broken):
        Decoder().feed(sent)


def test_a_kind_of_the_future_is_passed_on():
    assert Decoder().feed(b"\0RES" + b"\0\0\0\x63" + b"\0\0\0\x02a\0") == [Packet(99, (b"a\0",))]


@given(noise=st.binary(max_size=200), plausible=st.booleans())
def test_no_bytes_break_the_reader(noise: bytes, *, plausible: bool):
    """It gives packets or refuses; it never raises anything else, nor holds what it gave."""
    decoder = Decoder()
    sent = (b"\0RES\0\0\0" + noise) if plausible else noise
    try:
        for packet in decoder.feed(sent):
            assert len(packet.arguments) == COUNTS.get(packet.kind, 1)
    except Broken:
        return
    assert len(decoder._held) <= len(sent)
