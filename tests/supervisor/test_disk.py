"""A spool that cannot be written. A file size limit on the supervisor stands for a full disk."""

import resource
from pathlib import Path

from cronherd.supervisor.outbox import HELD_BYTES, Outbox
from cronherd.supervisor.spool import REPORTS, Spool
from tests.supervisor.host import Host, text_of


def fill_disk(host: Host, room: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    used = max(path.stat().st_size for path in (host.state / "spool").iterdir())
    resource.prlimit(host.supervisor.pid, resource.RLIMIT_FSIZE, (used + room, hard))


def free_disk(host: Host) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.prlimit(host.supervisor.pid, resource.RLIMIT_FSIZE, (hard, hard))


def test_it_starts_nothing_on_a_full_disk_and_says_so(host: Host) -> None:
    fill_disk(host, 10)
    end, _ = host.sh("exit 0")
    assert (end.error, end.started_us) == ("spawn_failed", None)
    assert end.error_text == "the spool's disk is full"
    free_disk(host)
    reports = host.wait(lambda got: bool(got))  # told again, once it was spooled
    assert [report.run_id for report in reports] == ["r1"]
    assert host.sh("exit 3", run_id="r2")[0].exit_code == 3


def test_it_lets_a_run_end_on_a_full_disk_and_spools_its_end_later(host: Host) -> None:
    script = "echo up; read line < $0; echo down; exit 6"
    pipe = host.state / "go"
    host.sh(f"mkfifo {pipe}", run_id="r0")
    host.supervisor.start([host.order("/bin/sh", "-c", script, str(pipe))])
    host.until_written(b"up")
    fill_disk(host, 10)
    with pipe.open("w") as writer:
        writer.write("go\n")
    (end,), output = host.until_ended(1)
    assert (end.exit_code, text_of(output)) == (6, b"down\n")
    free_disk(host)
    host.until_ended(1)
    host.launch()
    ends, output = host.until_ended(2)
    assert [end.exit_code for end in ends] == [0, 6]
    assert text_of(output) == b"up\ndown\n"


def test_an_end_that_no_replay_has_yet_is_told_to_the_next_agent(host: Host) -> None:
    """Else that agent would take the run for one which was never started."""
    pipe = host.state / "go"
    host.sh(f"mkfifo {pipe}", run_id="r0")
    host.supervisor.start([host.order("/bin/sh", "-c", "echo up; read line < $0", str(pipe))])
    host.until_written(b"up")
    fill_disk(host, 10)
    with pipe.open("w") as writer:
        writer.write("go\n")
    host.until_ended(1)
    host.reconnect()
    assert host.supervisor.live == {("r1", 1, "t-r1")}
    free_disk(host)
    host.until_ended(2)
    host.reconnect()
    assert host.supervisor.live == set()


def test_an_end_is_untold_until_it_is_spooled(tmp_path: Path) -> None:
    outbox = Outbox(Spool(str(tmp_path)))
    outbox.post_end(("gone", "r1", 1, "t"))
    assert outbox.untold() == [("r1", 1, "t")]
    outbox.flush(None)
    assert outbox.untold() == []


class DeafSink:
    """An agent that takes nothing."""

    def send(self, frame: bytes) -> None:
        raise AssertionError

    def has_room(self) -> bool:
        return False


def test_it_knows_when_memory_is_full_too(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    spool._append = lambda kind, frame: False  # type: ignore[method-assign]
    outbox = Outbox(spool)
    while not outbox.overfull:
        outbox.post_output(("output", "r", 1, "t", 0, 1, 0, 0, 1 << 20), bytes(1 << 20))
        outbox.flush(DeafSink())
    assert outbox.blocked
    assert outbox._held_bytes < HELD_BYTES + (2 << 20)


def test_it_gives_a_slow_agent_everything_from_the_spool(host: Host) -> None:
    """Far more than the socket and the memory for it take, before anything is read."""
    count = 40
    script = "head -c 300000 /dev/zero"
    orders = [host.order("/bin/sh", "-c", script, run_id=f"n{number}") for number in range(count)]
    host.supervisor.start([*orders, host.order("/usr/bin/touch", str(host.state / "all"))])
    ends, output = host.until_ended(count + 1)
    assert sum(len(piece.chunk) for piece in output) == count * 300_000
    assert {end.exit_code for end in ends} == {0}


def test_it_goes_on_in_new_segments_and_remembers_what_is_open(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    spool.append_starts([("long", 1, "token")])
    frame = b"\0\0\0\2\0\x30\0\0[]" + bytes(0x300000)
    for _ in range(12):
        assert spool.append_reports(frame, [])
        spool.ack(spool.end)
    assert spool.start > 0
    assert spool.size() < 8 << 20
    again = Spool(str(tmp_path))
    assert again.open == {("long", 1): "token"}
    assert (again.start, again.end) == (spool.start, spool.end)


def test_it_reads_back_what_it_wrote_across_segments(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path))
    frames = [b"\0\0\0\2\0\x30\0\0[]" + bytes([number]) * 0x300000 for number in range(9)]
    for frame in frames:
        assert spool.append_reports(frame, [])
    assert len(list(tmp_path.iterdir())) > 1
    position, got = spool.start, []
    while record := spool.read(position):
        kind, frame, position = record
        if kind == REPORTS:
            got.append(frame)
    assert got == frames
    assert position == spool.end
