"""An agent and a supervisor of neighbouring versions work together; others leave each other alone.

The version of this checkout is the older of the two. A newer agent is this process with another
range of versions and one more thing to say; a newer supervisor is a real one with the same.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cronherd import wiring
from cronherd.cli.host import Place
from cronherd.domain.errors import Unavailable
from cronherd.supervisor import client as client_module
from cronherd.supervisor import wire
from cronherd.supervisor.base import Start, SupervisorGone
from cronherd.supervisor.client import SOCKET_NAME, SupervisorClient, connect
from cronherd.supervisor.order import message_of
from tests.supervisor.host import Host, text_of, wait_for_death

VERSION = wire.VERSION
EXTRAS = 13
COLOUR = "COLOUR"  # in the environment of a start: a newer agent says it as a field as well
NEWER = """
import sys; sys.path.insert(0, sys.argv.pop(1))
from cronherd.supervisor import order, outbox, server, wire
class Newer(order.Order): pass  # it has room for more
wire.VERSION, wire.MIN_VERSION = wire.VERSION + 1, wire.VERSION
server.__version__, server.Order, order.EXTRAS['colour'] = '999', Newer, ''
ended = outbox.ended
outbox.ended = lambda child: (*ended(child), 'a field of tomorrow')
from cronherd.supervise import main; sys.exit(main(sys.argv[1:]))
"""


def speak(monkeypatch: pytest.MonkeyPatch, newest: int, oldest: int) -> None:
    """From now on this agent is of another version."""
    monkeypatch.setattr(wire, "VERSION", newest)
    monkeypatch.setattr(wire, "MIN_VERSION", oldest)
    monkeypatch.setattr(client_module, "__version__", f"{newest}.0.0")
    monkeypatch.setattr(client_module, "message_of", _message_of)


def _message_of(start: Start) -> list[Any]:
    message = message_of(start)
    if COLOUR in start.env:
        message[EXTRAS]["colour"] = start.env[COLOUR]
    return message


def gate(host: Host) -> tuple[Path, int]:
    """A run that says up, and then what it is told; its process."""
    fifo = host.state.parent / "fifo"
    os.mkfifo(fifo)
    host.supervisor.start([host.order("/bin/sh", "-c", f"echo up; cat {fifo}")])
    return fifo, host.until_written(b"up")


def colourful(host: Host, run_id: str) -> Start:
    return host.order("/bin/true", run_id=run_id, env={"PATH": "/bin", COLOUR: "red"})


def test_a_newer_agent_goes_on_with_the_runs_of_an_older_supervisor(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    fifo, _ = gate(host)
    life = host.supervisor.incarnation
    speak(monkeypatch, VERSION + 1, VERSION)
    monkeypatch.setattr(client_module, "_BOOT", NEWER)
    host.reconnect()
    assert host.supervisor.incarnation == life
    assert host.supervisor.live == {("r1", 1, "t-r1")}
    # What it knows it starts; what it does not know it refuses, by its name.
    known = host.order("/bin/true", run_id="r2")
    host.supervisor.start([known, colourful(host, "r3")])
    told = {end.run_id: end for end in host.until_ended(2)[0]}
    assert (told["r2"].exit_code, told["r3"].error) == (0, "spawn_failed")
    assert "does not know 'colour'" in told["r3"].error_text
    fifo.write_text("and on")
    (end,), output = host.until_ended(1, ack=True)
    assert (end.run_id, end.exit_code, end.killed_by) == ("r1", 0, "")
    assert text_of(output) == b"and on"
    # Nothing depends on it any more: the next launch has one of its own version.
    host.reconnect()
    assert host.supervisor.incarnation != life
    host.supervisor.start([colourful(host, "r4")])
    newest = host.wait(lambda all_: any(r.run_id == "r4" for r in all_))[-1]
    assert (newest.run_id, getattr(newest, "exit_code", None)) == ("r4", 0)


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    """A supervisor of the next version; its agent is of that version too, for the moment."""
    with monkeypatch.context() as patch:
        speak(patch, VERSION + 1, VERSION)
        patch.setattr(client_module, "_BOOT", NEWER)
        patch.setattr(client_module, "__version__", "999")
        made = Host(tmp_path)
    yield made
    made.leave()


def test_an_older_agent_goes_on_with_the_runs_of_a_newer_supervisor(newer: Host) -> None:
    fifo, _ = gate(newer)
    life = newer.supervisor.incarnation
    newer.reconnect()
    assert (newer.supervisor.incarnation, newer.supervisor.version) == (life, "999")
    assert newer.supervisor.live == {("r1", 1, "t-r1")}
    newer.supervisor.start([newer.order("/bin/true", run_id="r2")])
    assert newer.until_ended(1)[0][0].exit_code == 0
    fifo.write_text("and on")
    (end,), output = newer.until_ended(1)
    assert (end.run_id, end.exit_code, text_of(output)) == ("r1", 0, b"and on")
    assert end.pid > 0


@pytest.mark.parametrize("way", [2, -2], ids=["newer", "older"])
def test_versions_further_apart_leave_the_runs_alone(
    host: Host, monkeypatch: pytest.MonkeyPatch, way: int
) -> None:
    fifo, pid = gate(host)
    life = host.supervisor.incarnation
    host.supervisor.close()
    with monkeypatch.context() as patch:
        speak(patch, VERSION + way, VERSION + way - 1)
        place = Place(host.state, host.sockets, host.sockets / "api.sock")
        with pytest.raises(Unavailable, match=f"{VERSION + way - 1} to {VERSION + way}") as raised:
            wiring._launch(place)
    assert raised.value.code == "supervisor_version"
    assert "start the version before" in raised.value.hint
    os.kill(pid, 0)  # it lives
    host.reconnect()
    assert host.supervisor.incarnation == life
    fifo.write_text("and on")
    (end,), _ = host.until_ended(1)
    assert (end.exit_code, end.killed_by) == (0, "")
    wait_for_death(pid)


def test_a_version_further_apart_takes_the_place_of_one_that_has_no_runs(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = host.supervisor.pid
    host.supervisor.close()
    boot = NEWER.replace("wire.VERSION + 1, wire.VERSION", f"{VERSION + 2}, {VERSION + 1}")
    speak(monkeypatch, VERSION + 2, VERSION + 1)
    monkeypatch.setattr(client_module, "_BOOT", boot)
    host.supervisor = client_module.launch(host.state, host.sockets, host.clock)
    wait_for_death(before)
    assert host.supervisor.version == "999"


def test_a_refusal_for_its_version_has_a_code(host: Host) -> None:
    with connect(host.sockets / SOCKET_NAME) as link:
        link.settimeout(5)
        link.sendall(wire.pack([["hello", {"wire": VERSION + 9, "min_wire": VERSION + 9}]]))
        ((messages, _),) = wire.Reader().feed(link.recv(65536))
    assert messages[0][:2] == ["refused", "wire_version"]


@pytest.mark.parametrize("report", [["ended", "r1"], ["started", "r1", 1], ["spool", 1]])
def test_a_report_that_is_not_understood_is_never_acked(report: list[object]) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(wire.greeting(pid=os.getpid()))
        client = SupervisorClient(ours)
        theirs.sendall(wire.pack([["spool", 77, 0], report]))
        for _ in range(2):
            with pytest.raises(SupervisorGone, match="does not understand"):
                client.reports(1.0)
        assert client._position == 0
        client.close()
