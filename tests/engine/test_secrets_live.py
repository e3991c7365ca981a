"""Secrets on a real node, from the command line to the process and its output, and nowhere else."""

import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.engine.host import Host, wait_until

VALUE = "correct-horse-battery-staple"
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nshort\n-----END KEY-----\n"


def _set(host: Host, name: str, value: str, *more: str) -> str:
    done = host.say("secret", "set", name, *more, stdin=value)
    assert done.returncode == 0, done.stderr
    return done.stderr


def _run(host: Host, name: str, command: str, **more: Any) -> dict[str, Any]:
    host.client.create_job({"name": name, "command": command, "cwd": "/", **more}, "local")
    return _run_again(host, name)


def _run_again(host: Host, name: str) -> dict[str, Any]:
    run_id = host.client.run_job(name, "local")["run"]["id"]
    wait_until(lambda: host.client.show_run(run_id)["outcome"] is not None, "it never ended")
    return host.client.show_run(run_id)


def _output(host: Host, run: dict[str, Any]) -> str:
    pieces = host.client.run_output(run["id"])["items"]
    return "".join(piece["bytes"] for piece in pieces)


def _places_with(folder: Path, *values: str) -> list[str]:
    """Every file of the host that holds one of these."""
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and any(value.encode() in path.read_bytes() for value in values)
    ]


def test_a_command_gets_its_secret_and_its_output_does_not_show_it(host: Host) -> None:
    host.up()
    told = _set(host, "token", VALUE)
    key_file = host.state / "secret.key"
    assert f"its key was made: {key_file}" in told
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    proof = host.evidence
    half = len(VALUE) // 2
    command = (
        f'printf %s "$TOKEN" | wc -c > {proof}; '
        f'printf "at first %.{half}s" "$TOKEN"; sleep 0.3; '
        f'printf "%s and then\\n" "${{TOKEN#{VALUE[:half]}}}"; echo "once more: $TOKEN" >&2'
    ).replace(VALUE[:half], "?" * half)
    run = _run(host, "leaky", command, secrets=["token"])
    assert (run["outcome"], run["exit_code"]) == ("succeeded", 0)
    assert proof.read_text().strip() == str(len(VALUE))
    text = _output(host, run)
    assert VALUE not in text
    assert "at first *** and then" in text
    assert "once more: ***" in text
    for words in (("job", "show", "leaky"), ("run", "show", run["id"]), ("logs", "leaky")):
        for form in ("table", "json"):
            shown = host.say(*words, "-o", form)
            assert VALUE not in shown.stdout + shown.stderr
    host.stop()
    assert _places_with(host.state.parent, VALUE) == []


def test_while_a_run_goes_on_its_value_is_in_no_file_and_no_list_of_processes(host: Host) -> None:
    host.up()
    _set(host, "token", VALUE)
    gate = host.evidence
    command = f'echo "is $TOKEN"; while [ ! -e {gate} ]; do sleep 0.05; done'
    job = {"name": "long", "command": command, "cwd": "/", "secrets": ["token"]}
    host.client.create_job(job, "local")
    run_id = host.client.run_job("long", "local")["run"]["id"]
    wait_until(lambda: _output(host, {"id": run_id}) == "is ***\n", "it says nothing")
    assert _places_with(host.state.parent, VALUE) == []
    lines = [_line(path) for path in Path("/proc").glob("[0-9]*/cmdline")]
    assert any(str(gate).encode() in line for line in lines)
    assert not any(VALUE.encode() in line for line in lines)
    gate.touch()
    wait_until(lambda: host.client.show_run(run_id)["outcome"] == "succeeded", "it never ended")


def _line(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it ended in between
        return b""


def test_a_secret_in_a_file_is_the_commands_alone_and_goes_with_its_run(host: Host) -> None:
    host.up()
    (host.state.parent / "key.pem").write_text(KEY)
    _set(host, "key", "", "--from-file", str(host.state.parent / "key.pem"))
    (host.state.parent / "key.pem").unlink()
    proof = host.evidence
    command = f'stat -c %a "$KEY_FILE"; cksum < "$KEY_FILE" > {proof}; echo "$KEY_FILE" >> {proof}'
    use = {"name": "key", "file": "KEY_FILE"}
    run = _run(host, "pem", f'{command}; sed "s/^/> /" "$KEY_FILE"', secrets=[use])
    assert run["outcome"] == "succeeded"
    text = _output(host, run)
    assert text.splitlines() == ["600", "> ***", "> ***", "> short", "> ***"]
    checked, place = proof.read_text().splitlines()
    assert checked.split()[1] == str(len(KEY))
    assert not Path(place).exists()
    host.stop()
    assert _places_with(host.state.parent, KEY.splitlines()[1]) == []


def test_a_node_that_cannot_open_a_secret_does_not_start_the_run(host: Host) -> None:
    host.up()
    _set(host, "token", VALUE)
    proof = host.evidence
    job = {"secrets": ["token"], "retries": 0}
    assert _run(host, "careful", f"touch {proof}", **job)["outcome"] == "succeeded"
    proof.unlink()
    key_file = host.state / "secret.key"

    key_file.chmod(0o640)
    said = _refused(host, "careful", setting="chmod 600")
    assert "can be used by others" in said
    key_file.chmod(0o600)
    kept = key_file.read_text()
    key_file.write_text("A" * 43 + "=\n")
    assert "no key in" in _refused(host, "careful")
    key_file.unlink()
    assert "cannot read the key file" in _refused(host, "careful")
    again = host.say("secret", "set", "token", stdin="another")
    assert (again.returncode, "cannot read the key file" in again.stderr) == (1, True)
    key_file.write_text(kept)
    key_file.chmod(0o600)
    assert not proof.exists()
    assert _run_again(host, "careful")["outcome"] == "succeeded"

    assert host.say("secret", "rm", "token").returncode == 1
    assert host.say("secret", "rm", "token", "--force").returncode == 0
    assert "there is none of that name" in _refused(host, "careful", setting="secret set token")


def _refused(host: Host, name: str, setting: str = "secret_key_file") -> str:
    run = _run_again(host, name)
    assert (run["outcome"], run["started_at"]) == ("not_started", None)
    (attempt,) = run["attempts"]
    assert attempt["error"] == "no_secret"
    said = str(attempt["error_text"])
    assert "'token'" in said
    assert setting in said
    return said


def test_a_key_is_changed_without_stopping_anything(host: Host) -> None:
    host.up()
    _set(host, "token", VALUE)
    key_file = host.state / "secret.key"
    old, new = key_file.read_text(), "Zm9v" * 10 + "Zm8=\n"
    key_file.write_text(new + old)
    assert "1 secret sealed" in host.say("secret", "reseal").stderr
    key_file.write_text(new)
    run = _run(host, "job", 'test -n "$TOKEN"', secrets=["token"])
    assert run["outcome"] == "succeeded"


def test_a_command_without_an_agent_seals_for_the_agent_that_comes(host: Host) -> None:
    host.up()
    host.stop()
    _set(host, "token", VALUE)
    with closing(sqlite3.connect(host.state / "cronherd.db")) as book:
        ((sealed,),) = book.execute("SELECT sealed FROM secret").fetchall()
    assert VALUE.encode() not in sealed
    host.up()
    run = _run(
        host, "job", f'test "$TOKEN" = {VALUE[:7]}"${{TOKEN#{VALUE[:7]}}}"', secrets=["token"]
    )
    assert run["outcome"] == "succeeded"


def test_the_environment_of_a_run_is_its_users_alone(host: Host) -> None:
    """Nothing more than the kernel promises: whoever is that user, or root, may look."""
    host.up()
    _set(host, "token", VALUE)
    run = _run(host, "look", "stat -c '%a %u' /proc/self/environ", secrets=["token"])
    assert _output(host, run).split() == ["400", str(os.geteuid())]
