"""Our client and our worker beside each other, the `gearman` command and pygearman, at gearmand."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cronherd.domain.errors import Unavailable
from cronherd.domain.jobserver import Server
from cronherd.engine.clock import SystemClock
from cronherd.gearman.admin import Admin
from cronherd.gearman.client import Client, Fate, Priority, Request, Ticket
from cronherd.gearman.packet import Kind
from cronherd.gearman.worker import Job
from tests.gearman.conftest import PATIENCE_S, PATIENCE_US, Helper, JobServer, command
from tests.tools.conftest import until

CLOCK = SystemClock()
NewClient = Callable[..., Client]
Offer = Callable[..., Helper]


def ended(client: Client, *tickets: Ticket) -> list[Fate | None]:
    assert client.wait(tickets, CLOCK.boot_us() + PATIENCE_US)
    return [ticket.fate for ticket in tickets]


def reverse(job: Job) -> bytes:
    return job.payload[::-1]


# ------------------------------------------------------------------ ours and ours


def test_a_job_goes_there_and_its_result_comes_back(
    job_server: JobServer, client: NewClient, offer: Offer
):
    """D4.7: our client, our worker."""
    offer([job_server], reverse=reverse)
    asked = client(job_server)
    ticket = asked.submit(Request(function=b"reverse", payload=b"a\0bc"))
    assert ended(asked, ticket) == [Fate.DONE]
    assert (ticket.result, ticket.server) == (b"cb\0a", job_server.server)


def test_what_a_worker_says_meanwhile_is_heard(
    job_server: JobServer, client: NewClient, offer: Offer
):
    def talk(job: Job) -> str:
        job.output(b"one\n")
        job.progress(1, 3)
        job.warn(b"careful")
        job.output(b"two\n")
        return "exit code 3"

    offer([job_server], talk=talk)
    heard: list[tuple[int, bytes]] = []
    asked = client(job_server, news=lambda _, kind, piece: heard.append((kind, piece)))
    ticket = asked.submit(Request(function=b"talk"))
    assert ended(asked, ticket) == [Fate.FAILED]
    assert heard == [
        (Kind.WORK_DATA, b"one\n"),
        (Kind.WORK_STATUS, b"1"),
        (Kind.WORK_WARNING, b"careful"),
        (Kind.WORK_DATA, b"two\n"),
        (Kind.WORK_WARNING, b"exit code 3"),
        (Kind.WORK_FAIL, b""),
    ]
    assert (ticket.done, ticket.total, ticket.why) == (1, 3, b"exit code 3")


def test_priorities_go_before(job_server: JobServer, client: NewClient, offer: Offer):
    asked = client(job_server)
    order = [Priority.LOW, Priority.NORMAL, Priority.HIGH]
    requests = [Request(function=b"f", payload=p.encode(), priority=p) for p in order]
    requests += [
        Request(function=b"f", payload=b"bg " + p.encode(), priority=p, background=True)
        for p in order
    ]
    tickets = [asked.submit(request) for request in requests]
    while not all(ticket.handle for ticket in tickets):
        asked.turn(CLOCK.boot_us() + PATIENCE_US)
    worker = offer([job_server], f=reverse)
    assert ended(asked, *tickets) == [Fate.DONE] * 6
    until(lambda: len(worker.took) == 6)
    found = [payload.removeprefix(b"bg ").decode() for payload in worker.took]
    assert found == ["high", "high", "normal", "normal", "low", "low"]


def test_one_unique_id_is_one_job_for_both_who_wait(
    job_server: JobServer, client: NewClient, offer: Offer
):
    first, second = client(job_server), client(job_server)
    request = Request(function=b"f", payload=b"abc", unique=b"same")
    tickets = [asked.submit(request) for asked in (first, second)]
    for asked, ticket in zip((first, second), tickets, strict=True):
        while not ticket.handle:
            asked.turn(CLOCK.boot_us() + PATIENCE_US)
    worker = offer([job_server], f=reverse)
    assert ended(first, tickets[0]) + ended(second, tickets[1]) == [Fate.DONE] * 2
    assert (worker.took, tickets[0].result, tickets[1].result) == ([b"abc"], b"cba", b"cba")


def test_a_server_tells_how_far_a_job_is(job_server: JobServer, client: NewClient, offer: Offer):
    go_on = threading.Event()
    asked = client(job_server)
    ticket = asked.submit(Request(function=b"f"))
    while not ticket.handle:
        asked.turn(CLOCK.boot_us() + PATIENCE_US)
    asked.ask_status(ticket)
    while ticket.known is None:
        asked.turn(CLOCK.boot_us() + PATIENCE_US)
    assert (ticket.known, ticket.running) == (True, False)

    def wait(_job: Job) -> bytes:
        assert go_on.wait(PATIENCE_S)
        return b""

    offer([job_server], f=wait)
    while not ticket.running:
        asked.ask_status(ticket)
        asked.turn(CLOCK.boot_us() + 10_000)
    go_on.set()
    assert ended(asked, ticket) == [Fate.DONE]


def test_the_text_protocol_tells_functions_workers_and_the_version(
    job_server: JobServer, client: NewClient, offer: Offer
):
    asked = client(job_server)
    ticket = asked.submit(Request(function=b"left alone"))
    while not ticket.handle:
        asked.turn(CLOCK.boot_us() + PATIENCE_US)
    offer([job_server], f=reverse, g=reverse)
    admin = Admin(job_server.server)
    until(lambda: len(admin.status()) == 3)
    rows = {row.function: (row.queued, row.running, row.workers) for row in admin.status()}
    assert rows == {"left alone": (1, 0, 0), "f": (0, 0, 1), "g": (0, 0, 1)}
    (found,) = [row for row in admin.workers() if row.name == "test"]
    assert sorted(found.functions) == ["f", "g"]
    assert admin.version().startswith("1.")
    assert admin.cancel(ticket.handle.decode())
    assert not admin.cancel("H:nobody:1")
    admin.close()


def test_what_is_no_job_server_is_said_to_be_none(tmp_path: Path):
    with pytest.raises(Unavailable, match="does not answer"):
        Admin(Server("127.0.0.1", 1))


# ------------------------------------------------------------------ servers that come and go


def test_the_next_server_is_asked_while_the_first_is_away(
    two: tuple[JobServer, JobServer], client: NewClient, offer: Offer
):
    one, other = two
    one.private.kill()
    said: list[str] = []
    asked = client(one, other, say=said.append)
    offer([one, other], f=reverse)
    ticket = asked.submit(Request(function=b"f", payload=b"ab"))
    assert ended(asked, ticket) == [Fate.DONE]
    assert ticket.server == other.server
    assert [line.split(":")[0] for line in said] == ["the job server 127.0.0.1"]


@pytest.mark.parametrize("again", [False, True])
def test_what_a_lost_server_had_is_lost_or_handed_in_again(
    two: tuple[JobServer, JobServer], client: NewClient, offer: Offer, *, again: bool
):
    one, other = two
    asked = client(one, other, again=again)
    ticket = asked.submit(Request(function=b"f", payload=b"ab"))
    while not ticket.handle:
        asked.turn(CLOCK.boot_us() + PATIENCE_US)
    one.private.kill()
    offer([other], f=reverse)
    assert ended(asked, ticket) == [Fate.DONE if again else Fate.LOST]
    assert ticket.handed_in == 1 + again
    assert (ticket.result == b"ba") is again


def test_a_worker_goes_on_with_the_others_and_comes_back(
    two: tuple[JobServer, JobServer], client: NewClient, offer: Offer
):
    one, other = two
    offer([one, other], f=reverse)
    for asked in (client(one), client(other)):
        assert ended(asked, asked.submit(Request(function=b"f"))) == [Fate.DONE]
    one.private.kill()
    asked = client(other)
    tickets = [asked.submit(Request(function=b"f")) for _ in range(100)]
    assert ended(asked, *tickets) == [Fate.DONE] * 100
    one.private.restart()
    back = client(one)
    assert ended(back, back.submit(Request(function=b"f"))) == [Fate.DONE]


def test_a_worker_that_dies_leaves_its_job_to_the_next(
    job_server: JobServer, client: NewClient, offer: Offer
):
    asked = client(job_server)
    killed = threading.Event()

    def die(job: Job) -> bytes:
        killed.set()
        job.side.link.lose("")
        return b""

    first = offer([job_server], f=die)
    ticket = asked.submit(Request(function=b"f", payload=b"ab"))
    while not killed.is_set():
        asked.turn(CLOCK.boot_us() + 10_000)
    first.close()
    offer([job_server], f=reverse)
    assert ended(asked, ticket) == [Fate.DONE]
    assert ticket.result in {b"", b"ba"}


# ------------------------------------------------------------------ others


def test_the_gearman_command_hands_in_at_our_worker(job_server: JobServer, offer: Offer):
    """D4.7: its client, our worker."""
    offer([job_server], f=reverse, bad=lambda _: "exit code 3")
    done = command(job_server, "-f", "f", given="abc")
    assert (done.returncode, done.stdout) == (0, "cba")
    failed = command(job_server, "-f", "bad", "-s")
    assert failed.returncode != 0


@pytest.fixture
def others() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """A process of somebody else's, ended at the end."""
    with ExitStack() as living:

        def start(*argv: str) -> subprocess.Popen[bytes]:
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            living.callback(process.wait)
            living.callback(process.kill)
            return process

        yield start


def test_the_gearman_command_works_for_our_client(
    job_server: JobServer, client: NewClient, others: Callable[..., subprocess.Popen[bytes]]
):
    """D4.7: our client, its worker."""
    others(
        "gearman", "-h", "127.0.0.1", "-p", str(job_server.port), "-w", "-f", "wc", "--", "wc", "-c"
    )
    asked = client(job_server)
    ticket = asked.submit(Request(function=b"wc", payload=b"12345"))
    assert ended(asked, ticket) == [Fate.DONE]
    assert ticket.result.strip() == b"5"


def test_a_worker_of_pygearman_works_for_our_client(
    job_server: JobServer, client: NewClient, others: Callable[..., subprocess.Popen[bytes]]
):
    """D4.7: our client, a Python worker of somebody else."""
    program = Path(__file__).parent / "pyworker.py"
    others(sys.executable, str(program), str(job_server.port), "reverse")
    asked = client(job_server)
    good, bad = (
        asked.submit(Request(function=b"reverse", payload=text)) for text in (b"abc", b"raise")
    )
    assert ended(asked, good, bad) == [Fate.DONE, Fate.FAILED]
    assert good.result == b"cba"


def test_a_client_of_pygearman_hands_in_at_our_worker(job_server: JobServer, offer: Offer):
    """D4.7: a Python client of somebody else, our worker."""
    import gearman  # noqa: PLC0415 - only here

    offer([job_server], f=reverse, bad=lambda _: "exit code 3")
    theirs = gearman.GearmanClient([str(job_server)])
    good = theirs.submit_job(b"f", b"abc", wait_until_complete=True, poll_timeout=PATIENCE_S)
    bad = theirs.submit_job(b"bad", b"abc", wait_until_complete=True, poll_timeout=PATIENCE_S)
    assert (good.state, good.result, bad.state) == ("COMPLETE", b"cba", "FAILED")
    theirs.shutdown()


def test_a_server_that_is_frozen_is_given_up_by_a_worker_in_time(job_server: JobServer):
    """The link asks whether anybody is there, and then looks for another connection."""
    from cronherd.gearman import link as links  # noqa: PLC0415 - its clock is a fake one here

    class Hand:
        now_us = 1_000_000

        def boot_us(self) -> int:
            return self.now_us

    hand, said = Hand(), list[str]()
    link = links.Link(job_server.server, hand, said.append)
    until(lambda: link.turn() == [] and link.up)
    job_server.private.freeze()
    tasks = Path(f"/proc/{job_server.private.pid}/task")
    until(lambda: all(_state(task) == "T" for task in tasks.iterdir()))
    hand.now_us += links.SILENT_US
    assert link.turn() == []
    link.flush()
    assert [link.up] == [True]
    hand.now_us += links.ANSWER_US
    assert link.turn() == []
    assert [link.up] == [False]
    assert said == [
        f"the job server {job_server} is lost: it says nothing any more; it is tried again"
    ]
    job_server.private.thaw()
    link.close()


def _state(task: Path) -> str:
    return (task / "stat").read_text().rpartition(")")[2].split()[0]
