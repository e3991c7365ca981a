"""Texts that never leave the supervisor, and the third pipe, where a task speaks."""

import random
from ast import literal_eval
from pathlib import Path
from typing import Any

import pytest

from cronherd.supervisor.capture import FRESH_CHUNKS, TASK, TASK_BYTES, TASK_TAIL_BYTES, Capture
from cronherd.supervisor.mask import Sieve, hide, masks_of
from tests.supervisor.host import Host, text_of

SECRET = "hunter2-of-the-day"


def sieved(text: bytes, masks: list[str], sizes: list[int]) -> bytes:
    """`text` through a sieve in pieces of these sizes, the last one repeated."""
    longest = max(len(mask.encode()) for mask in masks)
    sieve = Sieve(masks_of(masks))
    out = b""
    at = 0
    while at < len(text):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        out += sieve.feed(text[at : at + size])
        at += size
        assert len(sieve._held) < longest
    return out + sieve.rest()


def starred(text: bytes, masks: list[str]) -> bytes:
    """What is to come out, worked out byte by byte: every byte of every secret goes."""
    hidden = [False] * len(text)
    joined = [False] * len(text)  # the byte continues the secret that the one before belongs to
    for mask in masks:
        secret = mask.encode()
        for at in range(len(text) - len(secret) + 1):
            if text[at : at + len(secret)] == secret:
                for place in range(at, at + len(secret)):
                    hidden[place] = True
                    joined[place] = joined[place] or place > at
    out = b""
    for place, byte in enumerate(text):
        if not hidden[place]:
            out += bytes([byte])
        elif not joined[place]:
            out += b"***"
    return out


@pytest.mark.parametrize("size", range(1, 30))
def test_it_finds_a_secret_however_it_is_cut(size: int) -> None:
    text = b"user root, password " + SECRET.encode() + b", and again " + SECRET.encode()
    out = sieved(text, [SECRET], [size])
    assert out == b"user root, password ***, and again ***"


def test_it_finds_what_a_reference_finds_in_hostile_texts() -> None:
    chance = random.Random(7)
    for _ in range(3000):
        masks = ["".join(chance.choices("ab", k=chance.randint(1, 5))) for _ in range(3)]
        text = "".join(chance.choices("abc", k=chance.randint(0, 40))).encode()
        sizes = [chance.randint(1, 6) for _ in range(50)]
        assert sieved(text, masks, sizes) == starred(text, masks), (text, masks)


def test_it_hides_every_byte_of_secrets_that_overlap() -> None:
    assert sieved(b"-abcde-", ["abc", "cde"], [4]) == b"-***-"
    assert sieved(b"-aaa-", ["aa"], [2]) == b"-***-"


def test_it_hides_a_short_secret_in_the_unfinished_beginning_of_a_long_one() -> None:
    assert sieved(b"xx-abc", ["abc", "xx-abc-and-more"], [3]) == b"xx-***"


def test_it_holds_back_nothing_that_cannot_be_the_beginning_of_a_secret() -> None:
    sieve = Sieve(masks_of([SECRET]))
    assert sieve.feed(b"a prompt: ") == b"a prompt: "
    assert sieve.feed(b"hunter") == b""
    assert sieve.feed(b"s meet") == b"hunters meet"


def test_it_hides_nothing_for_an_empty_secret() -> None:
    assert masks_of([""]) == []
    assert hide("as it is", [""]) == "as it is"


def test_it_hides_secrets_in_sentences_that_quote_them() -> None:
    for secret in ("pass'word", 'pa"ss', "pa'ss\"", "line\nbreak", "back\\slash", "bell\x07", "ü"):
        for frame in ("{}", "x'{}", 'x"{}', "'\"{}"):
            sentence = f"cannot enter {frame.format(secret)!r}: {secret}"
            quoted = hide(sentence, [secret]).removeprefix("cannot enter ").removesuffix(": ***")
            assert literal_eval(quoted) == frame.format("***")


def test_it_masks_every_stream_of_a_run(host: Host) -> None:
    script = "echo o $S; echo e $S >&2; echo t $S >&3"
    env = {"PATH": "/bin", "S": SECRET}
    _, output = host.sh(script, env=env, masks=(SECRET,), task=True)
    texts = [text_of(output, stream) for stream in (1, 2, 3)]
    assert texts == [b"o ***\n", b"e ***\n", b"t ***\n"]


def test_it_masks_a_secret_that_was_written_in_two_halves(host: Host) -> None:
    script = "printf 'hunter2-of'; sleep 0.3; echo '-the-day.'"
    _, output = host.sh(script, masks=(SECRET,))
    assert text_of(output) == b"***.\n"


def test_it_masks_a_secret_that_lies_over_head_and_tail(host: Host) -> None:
    for head in range(1, 24):
        _, output = host.sh(f"printf ab{SECRET}cd", masks=(SECRET,), head_bytes=head)
        assert text_of(output) == b"ab***cd"


def test_it_holds_back_each_stream_by_itself(host: Host) -> None:
    script = "printf 'hunter2-of'; sleep 0.2; printf 'e' >&2; sleep 0.2; printf '!'"
    _, output = host.sh(script, masks=(SECRET,))
    assert (text_of(output, 1), text_of(output, 2)) == (b"hunter2-of!", b"e")


def test_it_gives_the_unfinished_beginning_of_a_secret_at_the_end(host: Host) -> None:
    _, output = host.sh("printf 'hunter2-of-the'; exec sleep 0.3", masks=(SECRET,))
    assert text_of(output) == b"hunter2-of-the"


def test_it_masks_a_secret_across_reads_of_a_flood(host: Host) -> None:
    """The pieces that are read are 64 KiB; the secret comes at every place of them."""
    script = (
        "import os\nline = b'%s.' % os.environb[b'S']\n"
        "for _ in range(60): os.write(1, line * 5000 + b'x')"
    )
    env = {"PATH": "/bin", "S": SECRET}
    end, output = host.python(script, env=env, masks=(SECRET,), head_bytes=1 << 20, tail_bytes=0)
    assert end.exit_code == 0
    assert set(text_of(output).replace(b"***.", b"").replace(b"x", b"")) == set()
    assert end.dropped == 60 * (5000 * len("***.") + 1) - (1 << 20)


def test_it_says_no_secret_in_the_reason_why_nothing_was_started(host: Host) -> None:
    odd = "it's a\nsecret"
    orders: list[tuple[str, dict[str, Any]]] = [
        ("/bin/true", {"cwd": f"/nowhere/{odd}"}),
        (f"/bin/{odd}", {}),
        (odd, {"env": {"PATH": f"/{odd}"}}),
        ("/bin/true", {"cwd": f"/nowhere/{odd}", "nice": 1}),
        (f"/bin/{odd}", {"nice": 1}),
        (odd, {"env": {"PATH": f"/{odd}"}, "nice": 1}),
        ("/bin/true", {"user": odd}),
    ]
    for name, more in orders:
        end, _ = host.run(name, masks=(odd,), **more)
        assert end.error
        assert "***" in end.error_text
        assert "secret" not in end.error_text


def test_it_writes_no_secret_to_the_disk_of_the_supervisor(host: Host) -> None:
    env = {"PATH": "/bin", "S": SECRET}
    host.sh("echo $S $F; cat $F", env=env, masks=(SECRET,), files={"F": SECRET}, stdin=b"x")
    for path in (*host.state.rglob("*"), *host.sockets.rglob("*")):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes()


# Stream 3


def test_it_gives_a_task_a_third_pipe(host: Host) -> None:
    end, output = host.sh("echo said >&3; echo printed; echo wrong >&2", task=True)
    assert end.exit_code == 0
    assert [text_of(output, stream) for stream in (1, 2, 3)] == [
        b"printed\n", b"wrong\n", b"said\n"
    ]  # fmt: skip


def test_it_gives_a_task_nothing_but_its_third_pipe(host: Host) -> None:
    script = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
    assert text_of(host.python(script, task=True)[1]) == b"[0, 1, 2, 3, 4]\n"
    assert text_of(host.python(script, task=True, nice=1, run_id="r2")[1]) == b"[0, 1, 2, 3, 4]\n"


def test_it_sends_what_a_task_says_while_it_runs(host: Host) -> None:
    host.supervisor.start([host.order("/bin/sh", "-c", "echo 10% >&3; exec sleep 30", task=True)])
    host.until_written(b"10%\n")
    host.supervisor.cancel("r1", 1)
    host.until_ended(1)


def test_it_keeps_what_a_task_says_apart_from_a_flood_of_what_it_prints(host: Host) -> None:
    script = "head -c 3000000 /dev/zero; echo done >&3"
    end, output = host.sh(script, task=True, head_bytes=1000, tail_bytes=1000)
    assert text_of(output, 3) == b"done\n"
    assert end.dropped == 3_000_000 - 2000


def test_it_caps_what_a_task_says_and_keeps_its_end(host: Host) -> None:
    script = "head -c 3000000 /dev/zero >&3; echo printed; echo result >&3"
    end, output = host.sh(script, task=True)
    said = text_of(output, 3)
    assert len(said) == TASK_BYTES + TASK_TAIL_BYTES
    assert said.endswith(b"\0result\n")
    assert text_of(output, 1) == b"printed\n"
    gaps = [(piece.stream, piece.dropped) for piece in output if piece.dropped]
    assert gaps == [(3, 3_000_007 - TASK_BYTES - TASK_TAIL_BYTES)]
    assert end.dropped == 0  # it is no output
    assert [piece.seq for piece in output] == list(range(len(output)))


def test_it_waits_for_no_grandchild_that_keeps_the_third_pipe(host: Host) -> None:
    before = host.clock.boot_us()
    end, output = host.sh("echo hi >&3; sleep 30 >/dev/null 2>&1 & exit 3", task=True)
    assert (end.exit_code, text_of(output, 3)) == (3, b"hi\n")
    assert host.clock.boot_us() - before < 5_000_000


def test_it_merges_three_streams_each_in_order() -> None:
    capture = Capture(100_000, 10)
    chance = random.Random(3)
    wrote = {1: b"", 2: b"", 3: b""}
    for number in range(1000):
        stream = chance.choice((1, 2, TASK))
        wrote[stream] += bytes([number % 251])
        capture.take(stream, bytes([number % 251]), number)
    pieces = capture.fresh()
    assert len(pieces) <= FRESH_CHUNKS + 2
    for stream, text in wrote.items():
        assert b"".join(piece[-1] for piece in pieces if piece[1] == stream) == text


def test_it_keeps_the_order_of_a_stream_when_its_newest_chunk_is_full() -> None:
    capture = Capture(16 << 20, 10)
    for number in range(FRESH_CHUNKS):
        capture.take(1 + number % 2, b"x", number)
    wrote = [200_000, 100_000, 160_000, 62_000]
    for letter, size in zip(b"abcd", wrote, strict=True):
        capture.take(1, bytes([letter]) * size, 1)
    text = b"".join(piece[-1] for piece in capture.fresh() if piece[1] == 1)
    assert text.lstrip(b"x") == b"".join(
        bytes([letter]) * size for letter, size in zip(b"abcd", wrote, strict=True)
    )


def test_it_leaves_no_descriptor_behind(host: Host) -> None:
    host.sh("true", task=True, nice=1, masks=(SECRET,), files={"F": "x"})
    descriptors = Path(f"/proc/{host.supervisor.pid}/fd")
    before = len(list(descriptors.iterdir()))
    more = {"task": True, "nice": 1, "masks": (SECRET,), "files": {"F": "x"}}
    good = [host.order("/bin/true", run_id=f"n{number}", **more) for number in range(20)]
    bad = [host.order("nothing", run_id=f"m{number}", **more) for number in range(20)]
    host.supervisor.start([*good, *bad])
    ends, _ = host.until_ended(40, ack=True)
    assert sorted({end.error for end in ends}) == ["", "not_found"]
    assert len(list(descriptors.iterdir())) == before
    assert list(host.sockets.glob("*.files/*")) == []
