"""The lock of a job on a real node, with real lock servers (rows D2.2, D2.4, D2.5)."""

import fcntl
import json
import os
import secrets
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cronherd.engine.clock import SystemClock
from cronherd.locks.address import open_lock
from cronherd.locks.base import Lock
from cronherd.locks.redis import RedisLock, say
from tests.conftest import Record, needing_server
from tests.engine.host import Host, wait_until
from tests.servers.databases import Databases
from tests.servers.handles import PrivateServer, Servers, is_alive

Address = Callable[[str], str]
KINDS = ("fleet", "file", "redis", "memcached")


@pytest.fixture
def address(servers: Servers, tmp_path: Path, record_property: Record) -> Address:
    """address("redis"): how a job says a lock that no other test has."""

    def make(kind: str) -> str:
        name = secrets.token_hex(8)
        if kind == "fleet":
            return name
        if kind == "file":
            return str(tmp_path / name)
        with needing_server(kind, record_property):
            return f"{servers.url(kind)}/{name}"

    return make


def create(host: Host, name: str, command: Any, lock: Any, **more: Any) -> None:
    spec = {"name": name, "command": command, "cwd": "/", "lock": lock, **more}
    host.client.create_job(spec, "local")


def start(host: Host, name: str) -> str:
    return str(host.client.run_job(name, "local")["run"]["id"])


def end_of(host: Host, run_id: str) -> dict[str, Any]:
    """The run, with the code and the sentence of its last attempt."""
    wait_until(lambda: host.client.show_run(run_id)["outcome"] is not None, "it never ended")
    told = host.client.show_run(run_id)
    last = told["attempts"][-1]
    return {**told, "error": last["error"], "error_text": last["error_text"]}


def run(host: Host, command: Any, lock: Any, **more: Any) -> dict[str, Any]:
    name = f"job-{secrets.token_hex(4)}"
    create(host, name, command, lock, **more)
    return end_of(host, start(host, name))


def output(host: Host, run_id: str) -> str:
    return "".join(piece["bytes"] for piece in host.client.run_output(run_id)["items"])


def taken(where: str, **more: Any) -> Lock:
    lock = open_lock(where, SystemClock(), {}, **more)
    assert lock.acquire() is not None
    return lock


def is_free(host: Host, where: str) -> bool:
    done = host.run("lock", "-n", where, "true")
    return done.returncode == 0


def spawned(host: Host, proof: Path, lock: Any, **more: Any) -> str:
    """A run whose command has begun, and goes on until the file `gate` is there."""
    waits = f"while [ ! -e {proof}.gate ]; do sleep 0.05; done"
    command = f"echo $$ > {proof}.new; mv {proof}.new {proof}; {waits}"
    name = f"long-{secrets.token_hex(4)}"
    create(host, name, command, lock, **more)
    run_id = start(host, name)
    wait_until(proof.exists, "its command never began")
    return run_id


def until_of(host: Host) -> str:
    (held,) = json.loads(host.say("locks", "list", "-o", "json").stdout)["items"]
    return str(held["until_at"])


def open_gate(proof: Path) -> None:
    proof.with_name(f"{proof.name}.gate").touch()


# ------------------------------------------------------------------ the command's own end


@pytest.mark.parametrize("kind", KINDS)
def test_one_run_at_a_time_and_the_other_is_not_started_d2_2(
    kind: str, standing: Host, tmp_path: Path, address: Address
):
    where, proof = address(kind), standing.evidence
    first = spawned(standing, proof, where)
    ran = tmp_path / "ran"
    second = run(standing, f"touch {ran}", where)
    assert (second["outcome"], second["error"]) == ("not_started", "locked")
    assert f"lock '{where.rpartition('/')[2] if '://' in where else where}'" in second["error_text"]
    assert not ran.exists()
    assert not is_free(standing, where)
    open_gate(proof)
    assert end_of(standing, first)["outcome"] == "succeeded"
    assert is_free(standing, where)
    third = run(standing, f"touch {ran}", where)
    assert (third["outcome"], third["error"], ran.exists()) == ("succeeded", "", True)


@pytest.mark.parametrize(
    ("command", "outcome", "code", "number"),
    [
        ("exit 0", "succeeded", 0, None),
        ("exit 1", "failed", 1, None),
        ("exit 125", "failed", 125, None),
        ("exit 255", "failed", 255, None),
        ("kill -TERM $$", "failed", None, 15),
        ("kill -KILL $$", "failed", None, 9),
        ("kill -SEGV $$", "failed", None, 11),
    ],
)
def test_it_ends_as_its_command_does(
    standing: Host,
    address: Address,
    command: str,
    outcome: str,
    code: int | None,
    number: int | None,
):
    done = run(standing, f"echo out; echo err >&2; {command}", address("file"))
    assert (done["outcome"], done["exit_code"], done["signal"]) == (outcome, code, number)
    assert done["error"] == ""
    assert sorted(output(standing, done["id"]).split()) == ["err", "out"]


@pytest.mark.parametrize(
    ("command", "error", "code"),
    [(["no-such-command"], "not_found", 127), (["/etc/passwd"], "not_executable", 126)],
)
def test_a_command_that_cannot_be_executed_leaves_its_lock_free_d2_2(
    standing: Host, address: Address, command: list[str], error: str, code: int
):
    """Laravel's defect: a lock that a filter took was kept though nothing ran under it."""
    where = address("fleet")
    done = run(standing, command, where)
    assert (done["outcome"], done["error"], done["exit_code"]) == ("not_started", error, code)
    assert is_free(standing, where)


def test_it_has_what_a_run_without_a_lock_has(standing: Host, tmp_path: Path, address: Address):
    script = tmp_path / "plain"
    script.write_text("pwd; cat; env | sort; ls -1 /proc/self/fd | tr '\\n' ' '\n")
    script.chmod(0o755)
    more = {"cwd": "/tmp", "stdin": "from stdin\n", "env": {"X": "y", "PYTHONHOME": "/none"}}
    plain, locked = (
        output(standing, run(standing, [str(script)], lock, **more)["id"])
        for lock in (None, address("file"))
    )

    def same(text: str) -> list[str]:
        return [line for line in text.splitlines() if not line.startswith("CRONHERD_")]

    assert same(locked) == same(plain)
    assert "from stdin" in locked
    assert "CRONHERD_LOCK" not in locked


def test_limits_and_niceness_are_kept_under_a_lock(standing: Host, address: Address):
    more = {"nice": 7, "limits": {"open_files": 77, "cpu": "100s"}}
    done = run(standing, "nice; ulimit -n; ulimit -t", address("fleet"), **more)
    assert (done["outcome"], output(standing, done["id"])) == ("succeeded", "7\n77\n100\n")
    refused = run(standing, "true", address("file"), limits={"memory": "1MB"})
    assert refused["outcome"] == "not_started"


def test_a_task_tells_and_returns_under_a_lock(standing: Host, tmp_path: Path, address: Address):
    name = f"job-{secrets.token_hex(4)}"
    folder = tmp_path
    (folder / "work.py").write_text("def go(n):\n    print('n is', n)\n    return {'n': n}\n")
    spec = {"task": "work:go", "args": {"n": 3}, "env": {"PYTHONPATH": str(folder)}}
    standing.client.create_job({"name": name, **spec, "lock": address("fleet")}, "local")
    done = end_of(standing, start(standing, name))
    assert (done["outcome"], output(standing, done["id"])) == ("succeeded", "n is 3\n")
    assert standing.client.show_run(done["id"])["result"] == {"n": 3}


def test_the_command_is_told_its_fence(standing: Host, address: Address):
    where = address("fleet")
    fences = [
        int(output(standing, run(standing, "echo $CRONHERD_LOCK_FENCE", where)["id"])) for _ in "ab"
    ]
    assert 0 < fences[0] < fences[1]


# ------------------------------------------------------------------ signals


@pytest.mark.parametrize("stop", ["TERM", "INT", "USR1"])
def test_a_cancel_reaches_the_command_once(standing: Host, address: Address, stop: str):
    name = f"job-{secrets.token_hex(4)}"
    proof = standing.evidence
    where = address("fleet")
    script = (
        "import pathlib, signal, sys; "
        f"wanted = {{signal.SIG{stop}}}; signal.pthread_sigmask(signal.SIG_BLOCK, wanted); "
        f"pathlib.Path({str(proof)!r}).touch(); "
        "count = int(signal.sigtimedwait(wanted, 20) is not None); "
        "count += int(signal.sigtimedwait(wanted, 1) is not None); "
        "print('got', count); sys.exit(7)"
    )
    command = [sys.executable, "-c", script]
    create(standing, name, command, where, stop_signal=stop)
    run_id = start(standing, name)
    wait_until(proof.exists, "its command never began")
    standing.client.cancel_run(run_id, "local")
    done = end_of(standing, run_id)
    assert (done["outcome"], done["exit_code"]) == ("cancelled", 7)
    assert output(standing, run_id) == "got 1\n"
    assert is_free(standing, where)


def test_its_time_limit_ends_it_and_frees_the_lock(standing: Host, address: Address):
    where = address("file")
    done = run(standing, "sleep 30", where, timeout="700ms", grace="5s")
    assert (done["outcome"], done["signal"]) == ("timed_out", 15)
    assert is_free(standing, where)


def test_a_run_that_waits_is_cancelled_and_never_executed(
    standing: Host, tmp_path: Path, address: Address
):
    name = f"job-{secrets.token_hex(4)}"
    where, ran = address("fleet"), standing.evidence
    first = spawned(standing, tmp_path / "first", where)
    create(standing, name, f"touch {ran}", {"name": where, "wait": "10m", "log": "verbose"})
    second = start(standing, name)
    wait_until(lambda: "is held by" in output(standing, second), "it never waited")
    standing.client.cancel_run(second, "local")
    done = end_of(standing, second)
    assert done["outcome"] == "cancelled"
    assert "its command was not executed" in done["error_text"]
    open_gate(tmp_path / "first")
    assert end_of(standing, first)["outcome"] == "succeeded"
    assert not ran.exists()
    assert is_free(standing, where)


# ------------------------------------------------------------------ waiting


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_waits_for_its_turn(kind: str, standing: Host, address: Address):
    name = f"job-{secrets.token_hex(4)}"
    where, proof = address(kind), standing.evidence
    first = spawned(standing, proof, where)
    form = {"fleet": "name", "file": "file"}.get(kind, "url")
    create(standing, name, "echo ran", {form: where, "wait": "1m", "log": "verbose"})
    second = start(standing, name)
    wait_until(lambda: "is held" in output(standing, second), "it never waited")
    assert standing.client.show_run(second)["state"] == "running"
    open_gate(proof)
    assert end_of(standing, first)["outcome"] == "succeeded"
    assert end_of(standing, second)["outcome"] == "succeeded"
    said = output(standing, second)
    assert said.count("ran\n") == 1
    steps = [said.index(word) for word in ("is asked for", "is held", "is ours", "is released")]
    assert steps == sorted(steps)


def test_a_wait_ends_and_says_who_has_it(standing: Host, address: Address):
    where, proof = address("fleet"), standing.evidence
    first = spawned(standing, proof, where)
    done = run(standing, "true", {"name": where, "wait": "500ms"})
    assert (done["outcome"], done["error"]) == ("not_started", "locked")
    assert f"{os.uname().nodename}:" in done["error_text"]
    assert "it waited 500ms" in done["error_text"]
    open_gate(proof)
    end_of(standing, first)


def test_a_refused_run_is_tried_again(standing: Host, address: Address):
    name = f"job-{secrets.token_hex(4)}"
    where, proof = address("file"), standing.evidence
    first = spawned(standing, proof, where)
    create(standing, name, "echo ran", where, retries={"max": 20, "backoff": "200ms", "factor": 1})
    second = start(standing, name)
    wait_until(lambda: standing.client.show_run(second)["attempt"] > 1, "it is not tried again")
    open_gate(proof)
    end_of(standing, first)
    assert end_of(standing, second)["outcome"] == "succeeded"
    assert output(standing, second) == "ran\n"


def test_runs_share_a_lock_that_is_said_to_be_shared(standing: Host, address: Address):
    where, proof = address("redis"), standing.evidence
    first = spawned(standing, proof, {"url": where, "shared": True})
    assert run(standing, "true", {"url": where, "shared": True})["outcome"] == "succeeded"
    assert run(standing, "true", where)["error"] == "locked"
    open_gate(proof)
    end_of(standing, first)


# ------------------------------------------------------------------ no server


@pytest.mark.parametrize("kind", ["redis", "memcached"])
@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({}, "cannot be asked"),
        ({"unavailable": "skip", "wait": "10m"}, "cannot be asked"),
        ({"wait": "600ms"}, "it waited 600ms"),
    ],
)
def test_while_its_server_is_away_nothing_runs(
    standing: Host, kind: str, said: dict[str, str], words: str
):
    ran = standing.evidence
    done = run(standing, f"touch {ran}", {"url": f"{kind}://127.0.0.1:1/x", **said})
    assert (done["outcome"], done["error"]) == ("not_started", "lock_unavailable")
    assert words in done["error_text"]
    assert not ran.exists()


def test_a_run_waits_for_a_server_that_comes_back(
    host: Host, own_server: Callable[[str], PrivateServer]
):
    server = own_server("redis")
    server.kill()
    host.up()
    create(host, "patient", "echo ran", {"url": f"{server.url}/x", "wait": "1m", "log": "verbose"})
    run_id = start(host, "patient")
    wait_until(lambda: "cannot be asked" in output(host, run_id), "it never asked")
    assert "ran\n" not in output(host, run_id)
    server.restart()
    assert end_of(host, run_id)["outcome"] == "succeeded"
    assert output(host, run_id).endswith("is released\n")


def test_a_lost_lock_ends_the_run_as_failed(host: Host, own_server: Callable[[str], PrivateServer]):
    server = own_server("redis")
    host.up()
    proof = host.evidence
    lock = {"url": f"{server.url}/x", "expires": "1s", "log": "verbose"}
    run_id = spawned(host, proof, lock, success_codes=[0, 125])
    server.kill()
    server.restart()
    done = end_of(host, run_id)
    assert (done["outcome"], done["error"], done["exit_code"]) == ("failed", "lock_lost", None)
    assert "was lost while it ran" in done["error_text"]
    assert "is lost" in output(host, run_id)


def test_a_lock_that_was_cleared_ends_the_run_at_its_next_renewal_d2_7(
    host: Host, address: Address
):
    host.up()
    where = address("fleet")
    run_id = spawned(host, host.evidence, {"name": where, "expires": "3s"})
    cleared = host.say("locks", "clear", where, "--yes")
    assert cleared.returncode == 0, cleared.stderr
    assert end_of(host, run_id)["error"] == "lock_lost"
    kinds = [event["kind"] for event in host.client.list_events(20)["items"]]
    assert "lock_cleared" in kinds


def test_a_lock_that_cannot_be_is_said(host: Host, tmp_path: Path):
    host.up()
    done = run(host, "true", {"file": str(tmp_path / "no" / "such" / "folder")})
    assert (done["outcome"], done["error"]) == ("not_started", "lock_unavailable")


# ------------------------------------------------------------------ it lives and dies with the run


@pytest.mark.parametrize("kind", ["fleet", "redis", "memcached"])
def test_a_run_that_is_longer_than_its_expiry_keeps_the_lock_d2_4(
    kind: str, host: Host, address: Address
):
    """Laravel's defect: nothing renewed the lock, so a long run overlapped itself."""
    where, proof = address(kind), host.evidence
    host.up()
    form = "name" if kind == "fleet" else "url"
    first = spawned(host, proof, {form: where, "expires": "2s"})
    done = run(host, "true", {form: where, "wait": "5s"})
    assert done["error"] == "locked"
    assert host.client.show_run(first)["state"] == "running"
    open_gate(proof)
    assert end_of(host, first)["outcome"] == "succeeded"


def test_the_lock_outlives_the_agent_and_ends_with_the_run_d2_4(host: Host, address: Address):
    """Laravel's defect: what ran in the background had released its lock at once."""
    where, proof = address("fleet"), host.evidence
    host.up()
    first = spawned(host, proof, {"name": where, "expires": "8s"})
    host.kill()
    host.up()
    assert run(host, "true", {"name": where, "wait": "6s"})["error"] == "locked"
    assert host.client.show_run(first)["state"] == "running"
    open_gate(proof)
    assert end_of(host, first)["outcome"] == "succeeded"
    assert is_free(host, where)


@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
def test_the_lock_is_renewed_in_the_database_while_no_agent_lives_d2_4(
    kind: str, host: Host, servers: Servers, record_property: Record
):
    with needing_server(kind, record_property):
        databases = Databases(kind, servers.url(kind))
    proof = host.evidence
    with closing(databases):
        url = databases.lend(lambda _: None).replace("mariadb:", "mysql:")
        host.write_config(f"database: {url}\n")
        host.up()
        first = spawned(host, proof, {"name": "report", "expires": "6s"})
        host.kill()
        for _ in range(3):
            until = until_of(host)
            wait_until(lambda until=until: until_of(host) > until, "it is not renewed")  # type: ignore[misc]
        host.up()
        assert host.client.show_run(first)["state"] == "running"
        open_gate(proof)
        assert end_of(host, first)["outcome"] == "succeeded"
        assert host.client.list_locks()["items"] == []
        host.stop()


def test_no_command_goes_on_when_the_holder_of_its_lock_is_killed(host: Host, address: Address):
    where, proof = address("file"), host.evidence
    host.up()
    pids = host.state.parent / "pids"
    command = f"setsid sleep 30 & echo $! > {pids}; echo $$ >> {pids}; touch {proof}; wait"
    create(host, "held", command, where)
    run_id = start(host, "held")
    wait_until(proof.exists, "its command never began")
    behind, shell = map(int, pids.read_text().split())
    os.kill(parent_of(shell), signal.SIGKILL)
    done = end_of(host, run_id)
    assert (done["outcome"], done["signal"]) == ("failed", 9)
    wait_until(lambda: not (is_alive(behind) or is_alive(shell)), "it goes on", 5)


def test_a_holder_that_is_killed_before_executed_nothing(host: Host, address: Address):
    where, ran = address("file"), host.evidence
    with Path(where).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        host.up()
        create(host, "waits", f"touch {ran}", {"file": where, "wait": "1m", "log": "verbose"})
        run_id = start(host, "waits")
        wait_until(lambda: "is held" in output(host, run_id), "it never waited")
        os.kill(holder_of(str(ran)), signal.SIGKILL)
        done = end_of(host, run_id)
    assert (done["outcome"], done["error"]) == ("not_started", "lock_unavailable")
    assert not ran.exists()


# ------------------------------------------------------------------ what is said, and what is not


def test_a_lock_that_looks_abandoned_is_told_by_whoever_finds_it_d2_5(host: Host, address: Address):
    where = address("redis")
    lock = taken(where)
    assert isinstance(lock, RedisLock)
    lock.ask("return redis.call('HINCRBY', KEYS[1], 'since', -601000000)")
    host.up()
    done = run(host, "true", {"url": where, "log": "abandoned"})
    assert done["error"] == "locked"
    said = output(host, done["id"])
    assert said.count("\n") == 1
    assert "looks abandoned" in said
    assert f":{os.getpid()} has held it for 10m" in said
    quiet = run(host, "true", {"url": where, "log": "none"})
    assert output(host, quiet["id"]) == ""
    lock.clear("me")
    lock.close()


def test_a_password_comes_as_a_secret_and_is_seen_nowhere(
    host: Host, own_server: Callable[[str], PrivateServer]
):
    server = own_server("redis")
    password = "correct-horse-battery"
    lock = open_lock(f"{server.url}/x", SystemClock(), {})
    assert isinstance(lock, RedisLock)
    lock._links.ask(lambda link: say(link, "CONFIG", "SET", "requirepass", password))
    lock.close()
    host.up()
    assert host.say("secret", "set", "cache", stdin=password).returncode == 0
    url = f"{server.url}/x"
    refused = run(host, "true", url)
    assert refused["error"] == "lock_unavailable"
    proof = host.evidence
    uses = [{"name": "cache", "env": "REDISCLI_AUTH"}]
    run_id = spawned(host, proof, {"url": url, "log": "verbose"}, secrets=uses)
    lines = [line_of(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert any(str(proof).encode() in line for line in lines)
    assert not any(password.encode() in line for line in lines)
    open_gate(proof)
    done = end_of(host, run_id)
    assert done["outcome"] == "succeeded"
    shown = [host.say("job", "show", done["job"], "-o", "json"), host.say("logs", done["job"])]
    assert all(password not in each.stdout + each.stderr for each in shown)
    with pytest.raises(Exception, match="holds no password"):
        create(host, "bad", "true", url.replace("://", f"://:{password}@"))


def holder_of(word: str) -> int:
    """The process that waits to start a command with this word."""
    found = [
        int(path.parent.name)
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if b"cronherd.lockrun" in (line := line_of(path)) and word.encode() in line
    ]
    assert len(found) == 1
    return found[0]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def line_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
