"""Output: bytes as they were written, in the order they were written, once."""

from cronherd.domain.run import OutputPiece
from cronherd.store.base import Chunk
from tests.store.stage import Stage, chunk


def read(stage: Stage, run_id: str, attempt: int | None = None) -> list[bytes]:
    return [piece.chunk for piece in stage.store.output(run_id, attempt, -1, 1000)]


def test_both_streams_are_read_in_the_order_they_were_written(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    pieces = [chunk(claim, seq, b"%d" % seq, stream=1 + seq % 2) for seq in range(12)]
    stage.store.record([], pieces[6:], [])
    stage.store.record([], pieces[:8], [])
    assert read(stage, claim.run_id) == [b"%d" % seq for seq in range(12)]
    streams = [piece.stream for piece in stage.store.output(claim.run_id, 1, -1, 1000)]
    assert streams == [1, 2] * 6


def test_any_bytes_come_back_as_they_were(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    odd = [b"\x00", b"a\x00b", b"\xff\xfe\x80", "ü".encode()[:1], b"", bytes(range(256)) * 1024]
    stage.store.record([], [chunk(claim, seq, text) for seq, text in enumerate(odd)], [])
    assert read(stage, claim.run_id) == odd


def test_a_chunk_that_is_sent_again_is_stored_once(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    stage.store.record([], [chunk(claim, 0, b"first")], [])
    stage.store.record([], [chunk(claim, 0, b"other"), chunk(claim, 1, b"second")], [])
    assert read(stage, claim.run_id) == [b"first", b"second"]


def test_it_keeps_what_was_dropped_and_when(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    told = Chunk(
        run_id=claim.run_id,
        token=claim.token,
        attempt=1,
        seq=4,
        stream=2,
        at_us=77,
        dropped=1000,
        chunk=b"tail",
    )
    stage.store.record([], [told], [])
    assert stage.store.output(claim.run_id, None, -1, 9) == [
        OutputPiece(attempt=1, seq=4, stream=2, at_us=77, dropped=1000, chunk=b"tail")
    ]


def test_it_is_read_piece_by_piece_after_a_number(stage: Stage):
    stage.request(stage.job())
    claim = stage.one_claim()
    stage.store.record([], [chunk(claim, seq, b"%d" % seq) for seq in range(5)], [])
    assert [p.seq for p in stage.store.output(claim.run_id, 1, -1, 2)] == [0, 1]
    assert [p.seq for p in stage.store.output(claim.run_id, 1, 1, 2)] == [2, 3]
    assert stage.store.output(claim.run_id, 1, 4, 2) == []
    assert stage.store.output(stage.new_id(), None, -1, 2) == []


def test_each_attempt_has_its_own_output(stage: Stage):
    stage.request(stage.job(retries={"max": 1, "backoff": "1s"}))
    first = stage.one_claim()
    stage.store.record([], [chunk(first, 0, b"one")], [stage.ending(first, exit_code=1)])
    stage.advance(2)
    stage.settle()
    second = stage.one_claim()
    stage.store.record([], [chunk(second, 0, b"two")], [stage.ending(second)])
    assert read(stage, first.run_id) == [b"one", b"two"]
    assert read(stage, first.run_id, 1) == [b"one"]
    assert read(stage, first.run_id, 2) == [b"two"]
