"""What is kept of a command's output."""

import pytest

from cronherd.supervisor.capture import FRESH_CHUNKS, RING_CHUNKS, TASK, TASK_BYTES, Capture
from tests.supervisor.host import Host, text_of


def kept(capture: Capture) -> bytes:
    return b"".join(piece[-1] for piece in capture.fresh() + capture.rest())


def test_it_keeps_all_that_fits_in_the_head() -> None:
    capture = Capture(10, 10)
    assert capture.take(1, b"hello", 1)
    assert capture.take(2, b"world", 2)
    assert capture.fresh() == [(0, 1, 1, 0, b"hello"), (1, 2, 2, 0, b"world")]
    assert (capture.rest(), capture.dropped) == ([], 0)


def test_it_joins_what_one_stream_wrote_in_a_row() -> None:
    capture = Capture(10, 10)
    for letter in b"abc":
        capture.take(1, bytes([letter]), letter)
    assert capture.fresh() == [(0, 1, ord("a"), 0, b"abc")]


def test_it_cuts_a_chunk_at_the_end_of_the_head() -> None:
    capture = Capture(3, 4)
    capture.take(1, b"abcdefghijkl", 1)
    assert capture.fresh() == [(0, 1, 1, 0, b"abc")]
    assert capture.rest() == [(1, 1, 1, 5, b"ijkl")]
    assert capture.dropped == 5


def test_it_says_the_gap_before_the_first_chunk_of_the_tail() -> None:
    capture = Capture(0, 4)
    for number in range(10):
        capture.take(1 + number % 2, str(number).encode(), number)
    assert [piece[3] for piece in capture.rest()] == [6, 0, 0, 0]


@pytest.mark.parametrize(("head", "tail"), [(0, 0), (5, 0), (0, 5), (7, 7), (100, 100)])
def test_it_accounts_for_every_byte(head: int, tail: int) -> None:
    capture = Capture(head, tail)
    written = bytes(range(90))
    at = 0
    for size in (1, 30, 2, 17, 40):
        capture.take(1 + size % 2, written[at : at + size], size)
        at += size
    output = kept(capture)
    assert len(output) + capture.dropped == len(written)
    assert output[:head] == written[:head]
    assert output.endswith(written[len(written) - min(tail, len(written) - head) :])


def test_it_bounds_the_number_of_chunks_too() -> None:
    capture = Capture(0, 1 << 20)
    for number in range(3 * RING_CHUNKS):
        capture.take(1 + number % 2, b"x", number)
    assert len(capture.rest()) == RING_CHUNKS
    assert capture.dropped == 2 * RING_CHUNKS


def test_it_merges_streams_that_alternate_all_the_time_each_in_order() -> None:
    capture = Capture(1000, 10)
    for number in range(500):
        capture.take(1 + number % 2, bytes([number % 251]), number)
    pieces = capture.fresh()
    assert len(pieces) == FRESH_CHUNKS
    for stream in (1, 2):
        wrote = bytes(number % 251 for number in range(500) if 1 + number % 2 == stream)
        assert b"".join(piece[-1] for piece in pieces if piece[1] == stream) == wrote


def test_it_counts_what_it_discards() -> None:
    capture = Capture(4, 4)
    capture.take(1, b"0123456789", 1)
    capture.discard()
    assert (kept(capture), capture.dropped) == (b"", 10)


def test_what_it_discards_of_a_task_is_no_output() -> None:
    capture = Capture(4, 4)
    capture.take(1, b"012345", 1)
    capture.take(TASK, b"x" * (TASK_BYTES + 5), 1)
    capture.discard()
    assert (kept(capture), capture.dropped, capture.task_dropped) == (b"", 6, TASK_BYTES + 5)


def test_it_keeps_stdout_and_stderr_apart_and_in_order(host: Host) -> None:
    _, output = host.sh("for i in 1 2 3; do echo o$i; sleep 0.02; echo e$i >&2; sleep 0.02; done")
    assert text_of(output, 1) == b"o1\no2\no3\n"
    assert text_of(output, 2) == b"e1\ne2\ne3\n"
    assert text_of(output) == b"o1\ne1\no2\ne2\no3\ne3\n"
    assert [piece.seq for piece in output] == list(range(len(output)))


def test_it_keeps_nul_and_bad_utf8(host: Host) -> None:
    _, output = host.sh(r"printf 'a\000b\377\303\n'")
    assert text_of(output) == b"a\0b\xff\xc3\n"


def test_it_sends_short_output_as_one_chunk(host: Host) -> None:
    _, output = host.sh("echo one; echo two; echo three")
    assert [piece.chunk for piece in output] == [b"one\ntwo\nthree\n"]


def test_it_sends_the_first_output_while_the_command_runs(host: Host) -> None:
    host.supervisor.start([host.order("/bin/sh", "-c", "echo first; exec sleep 30")])
    host.until_written(b"first\n")
    host.supervisor.cancel("r1", 1)
    host.until_ended(1)


def test_it_bounds_a_flood_and_says_exactly_what_was_dropped(host: Host) -> None:
    size = 50_000_000
    end, output = host.python(
        "import os\nleft = 50_000_000\nblock = b'x' * 99_999 + b'\\n'\n"
        "while left: left -= os.write(1, block[:left])"
    )
    kept_bytes = sum(len(piece.chunk) for piece in output)
    assert kept_bytes == 2 * 262_144
    assert end.dropped == size - kept_bytes
    assert sum(piece.dropped for piece in output) == end.dropped
    assert max(len(piece.chunk) for piece in output) <= 262_144
    assert [piece.seq for piece in output] == list(range(len(output)))


def test_it_keeps_the_true_head_and_the_true_tail(host: Host) -> None:
    end, output = host.sh("seq 1 200000", head_bytes=1000, tail_bytes=500)
    whole = b"".join(b"%d\n" % number for number in range(1, 200_001))
    assert text_of(output) == whole[:1000] + whole[-500:]
    assert end.dropped == len(whole) - 1500


def test_it_is_not_held_by_a_grandchild_that_keeps_the_pipe(host: Host) -> None:
    before = host.clock.boot_us()
    end, output = host.sh("echo hi; (sleep 30; echo late) & exit 3")
    assert (end.exit_code, text_of(output)) == (3, b"hi\n")
    assert host.clock.boot_us() - before < 2_000_000


def test_it_is_not_held_by_a_grandchild_that_floods_the_pipe(host: Host) -> None:
    end, output = host.sh("yes & exit 4")
    assert end.exit_code == 4
    assert sum(len(piece.chunk) for piece in output) <= 2 * 262_144


def test_it_takes_what_a_short_lived_grandchild_still_writes(host: Host) -> None:
    _, output = host.sh("(sleep 0.05; echo late) & echo early")
    assert text_of(output) == b"early\nlate\n"


def test_it_lives_with_a_command_that_closes_its_output(host: Host) -> None:
    end, _ = host.sh("exec >&- 2>&-; sleep 0.05; exit 7")
    assert end.exit_code == 7
