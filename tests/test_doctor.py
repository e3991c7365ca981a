"""doctor: what it says of control groups and limits on this host."""

import fcntl
import os
from pathlib import Path

import pytest

from cronherd import doctor
from cronherd.cli.host import Finding
from cronherd.config.load import load_config
from cronherd.domain.instant import zone_rules
from cronherd.domain.node import Node
from cronherd.engine.clock import FakeClock
from cronherd.supervisor import cgroup
from cronherd.supervisor.guard import LOCK_NAME
from cronherd.supervisor.launch import RESOURCES
from tests.alerts.sinks import MailSink
from tests.store.backends import SqliteBackend


def refuse() -> str:
    raise PermissionError(13, "Permission denied", "/sys/fs/cgroup/x")


def test_the_groups_of_the_supervisor_that_runs_are_named(tmp_path: Path) -> None:
    tree = tmp_path / "cronherd-1-2"
    tree.mkdir()
    (tmp_path / "cgroup").write_text(str(tree))
    found = doctor._groups(tmp_path)
    assert (found.level, found.what) == ("ok", "control groups")
    assert f"below {tree}:" in found.text
    assert "ends all that the run has started" in found.text


def test_without_a_supervisor_it_tries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A note whose directory is gone is of an earlier life."""
    (tmp_path / "cgroup").write_text(str(tmp_path / "gone"))
    monkeypatch.setattr(cgroup, "attempt", lambda: "/somewhere")
    found = doctor._groups(tmp_path)
    assert (found.level, "will get one below /somewhere" in found.text) == ("ok", True)
    monkeypatch.setattr(cgroup, "attempt", refuse)
    found = doctor._groups(tmp_path)
    assert found.level == "warning"
    assert "Permission denied (/sys/fs/cgroup/x)" in found.text
    assert "what left all three goes on" in found.text


def test_a_supervisor_that_has_none_is_believed_more_than_a_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cgroup, "attempt", lambda: "/somewhere")
    with (tmp_path / LOCK_NAME).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = doctor._groups(tmp_path)
    assert found.level == "warning"
    assert "the supervisor that runs here could make none" in found.text
    assert doctor._groups(tmp_path).level == "ok"


def test_a_try_leaves_nothing_behind() -> None:
    try:
        home = cgroup.attempt()
    except OSError as error:
        assert error.strerror  # noqa: PT017 - it says why, and made nothing
        return
    assert not list(Path(home).glob(f"cronherd-look-{os.getpid()}"))


def test_it_says_of_each_limit_what_enforces_it_and_what_was_tried() -> None:
    rows = {found.what: found for found in doctor._limits({"memory"}, root=False)}
    assert set(rows) == {f"limits.{name}" for name in RESOURCES}
    assert rows["limits.memory"].text.endswith("(rlimit); tried here")
    assert rows["limits.cpu"].text.endswith("(rlimit); not tried here")
    assert rows["limits.open_files"].level == "warning"
    assert "does not obey it" in rows["limits.open_files"].text
    rows = {found.what: found for found in doctor._limits(None, root=True)}
    assert rows["limits.processes"].text.startswith("nothing enforces it for commands of root")
    assert rows["limits.memory"].text.endswith("not tried here")


def test_this_kernel_is_tried() -> None:
    obeyed = doctor.obeyed_limits()
    assert obeyed is not None
    assert {"memory", "open_files"} <= obeyed
    assert ("processes" in obeyed) == (os.geteuid() != 0)


def test_a_relay_is_asked_only_where_one_is_named(tmp_path: Path) -> None:
    def look(text: str) -> list[Finding]:
        (tmp_path / "cronherd.yaml").write_text(text)
        config = load_config(config=None, environ={}, overrides={}, cwd=tmp_path, home=None)
        return doctor._relay(config)

    assert look("{}") == []
    sink = MailSink()
    try:
        (found,) = look(f"alerts: {{relay: '127.0.0.1:{sink.port}'}}")
    finally:
        sink.close()
    assert (found.level, found.what) == ("ok", "mail relay")
    (found,) = look(f"alerts: {{relay: '127.0.0.1:{sink.port}'}}")
    assert found.level == "warning"
    assert found.text.startswith("no connection to 127.0.0.1 port")
    assert found.text.endswith("mail waits until it answers")


def test_nodes_with_other_zone_rules_are_named(tmp_path: Path) -> None:
    clock = FakeClock()
    backend = SqliteBackend()
    store = backend.open(tmp_path, clock)
    try:
        for name, rules in (("same", zone_rules()), ("gone", "2019.1"), ("late", "2020.1")):
            node = Node(
                id=store._events.new_id(), name=name, incarnation="life-1", boot_id="boot-1",
                capacity=8, tzdata=rules,
            )  # fmt: skip
            store.register_node(node, 15_000_000)
            if name == "gone":
                store.release_node(node.id, node.incarnation)
                assert doctor._zone_rules(store.db) == []
        (found,) = doctor._zone_rules(store.db)
    finally:
        backend.close(store)
    assert (found.level, found.what) == ("warning", "zone rules")
    assert f"zone rules {zone_rules()} here, others elsewhere (late: 2020.1)" in found.text
