"""A job server whose functions have names that a terminal would obey, and unique ids of anybody."""

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from cronherd.cli.main import answer
from cronherd.cli.session import Session
from cronherd.domain.receipt import read_unique
from tests.access.harmless import CONTROL
from tests.access.hostile import STRINGS
from tests.cli.fakes import FakeFleet, FakeHost

NAMES = [text for text in STRINGS if text.strip() and not {"\t", "\n", "\ud800"} & set(text)]


@pytest.fixture
def evil_server() -> Iterator[str]:
    """A server that answers each of two questions once for each connection."""
    rows = "".join(f"{name}\t1\t0\t0\n" for name in NAMES) + ".\n"
    answers = (b"OK 1.1\x1b[31m\n", rows.encode())

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with line, line.makefile("rb") as asked:
                for told in answers:
                    asked.readline()
                    line.sendall(told)
                asked.readline()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=[listener], daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


def test_no_name_of_a_job_server_reaches_a_terminal_as_it_is(
    evil_server: str, capfd: pytest.CaptureFixture[str]
):
    session = Session(load_host=lambda: FakeHost(FakeFleet()), now_us=lambda: 0, environ={})
    for form in ("table", "wide", "name", "json", "yaml"):
        assert answer(["gearman", "status", evil_server, "-o", form], session) == 0
        out, err = capfd.readouterr()
        assert not CONTROL.search(out + err), form
        if form == "name":
            assert len(out.splitlines()) == len(NAMES)
        if form == "json":
            functions = json.loads(out)["items"][0]["functions"]
            assert [one["function"] for one in functions] == sorted(NAMES)


@pytest.mark.parametrize("text", STRINGS, ids=range(len(STRINGS)))
def test_a_unique_id_of_anybody_is_no_run(text: str):
    assert read_unique(text) is None
    assert read_unique("0" * 32 + ":" + text) is None
