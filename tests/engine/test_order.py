"""What a supervisor is told to start for a claim."""

import json
import os
import pwd
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.job import build_job
from cronherd.domain.param import Value
from cronherd.domain.policy import CLAIM_TO_EXEC_US
from cronherd.domain.run import Cause
from cronherd.domain.spec import STOP_SIGNALS
from cronherd.engine.accounts import Account, own_account
from cronherd.engine.order import start_of
from cronherd.store.base import Claim
from cronherd.supervisor.base import Start

ME = Account(user="me", home="/home/me", group="mine")
ROOT = Account(user="root", home="/root", group="root", root=True)
SLOT_US = 1_800_000_000_000_000


def _order(
    spec: Mapping[str, object] | None = None,
    slot_us: int | None = SLOT_US,
    account: Account = ME,
    params: Mapping[str, Value] = MappingProxyType({}),
) -> Start:
    job = build_job({"name": "job", "command": "true", **(spec or {})})
    claim = Claim(
        run_id="r" * 32,
        job_id="j" * 32,
        job=job,
        version=1,
        attempt=2,
        token="t",
        fence=7,
        cause=Cause.SCHEDULE,
        slot_us=slot_us,
        params=params,
    )
    return start_of(claim, "alpha", account, 1_000)


def test_it_tells_the_command_who_it_is() -> None:
    assert _order().env == {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": "/home/me",
        "LOGNAME": "me",
        "USER": "me",
        "SHELL": "/bin/sh",
        "CRONHERD_RUN_ID": "r" * 32,
        "CRONHERD_JOB_NAME": "job",
        "CRONHERD_SCHEDULED_AT": "2027-01-15T08:00:00Z",
        "CRONHERD_ATTEMPT": "2",
        "CRONHERD_NODE": "alpha",
        "CRONHERD_CAUSE": "schedule",
        "CRONHERD_FENCE": "7",
    }


def test_a_run_without_a_slot_has_an_empty_instant() -> None:
    assert _order(slot_us=None).env["CRONHERD_SCHEDULED_AT"] == ""


def test_a_job_may_set_anything_but_who_the_run_is() -> None:
    env = _order({"env": {"PATH": "/opt", "HOME": "/srv", "CRONHERD_RUN_ID": "another"}}).env
    assert (env["PATH"], env["HOME"]) == ("/opt", "/srv")
    assert env["CRONHERD_RUN_ID"] == "r" * 32


@pytest.mark.parametrize(
    ("spec", "directory"),
    [
        ({}, "/home/me"),
        ({"cwd": "~"}, "/home/me"),
        ({"cwd": "~/bin"}, "/home/me/bin"),
        ({"cwd": "/srv"}, "/srv"),
        ({"cwd": "~", "env": {"HOME": "/srv"}}, "/srv"),
    ],
)
def test_it_starts_in_the_directory_of_the_job_or_at_home(
    spec: dict[str, object], directory: str
) -> None:
    assert _order(spec).cwd == directory


def test_a_string_goes_to_the_shell_of_the_job_and_a_list_is_run_as_it_is() -> None:
    assert _order({"command": "a | b", "shell": "/bin/bash"}).argv == ("/bin/bash", "-c", "a | b")
    assert _order({"command": ["a", "| b"]}).argv == ("a", "| b")


def test_a_claim_is_void_five_seconds_after_it_was_asked_for() -> None:
    assert _order().valid_until_boot_us == 1_000 + CLAIM_TO_EXEC_US


def test_what_may_be_taken_over_is_fenced_before() -> None:
    assert _order().fence_us == 898_000_000
    assert _order({"takeover_after": "1m"}).fence_us == 58_000_000
    assert _order({"takeover_after": "never"}).fence_us is None
    assert _order({"overlap": "allow"}).fence_us is None


def test_another_user_is_refused_where_the_agent_is_not_root() -> None:
    with pytest.raises(Invalid) as caught:
        _order({"user": "root"})
    assert caught.value.code == "not_executable"
    assert caught.value.text == (
        "the job wants user 'root', this agent runs as 'me' and cannot change it"
    )
    with pytest.raises(Invalid, match="wants group 'daemon', this agent runs as 'me'"):
        _order({"group": "daemon"})
    with pytest.raises(Invalid, match="wants group 'daemon'"):
        _order({"user": "me", "group": "daemon"})


def test_its_own_user_and_group_need_no_change() -> None:
    for said in ({}, {"user": "me"}, {"group": "mine"}, {"user": "me", "group": "mine"}):
        order = _order(said)
        assert (order.user, order.group) == ("", "")


def test_root_becomes_another_user_with_that_users_home(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody")
    order = _order({"user": "nobody", "cwd": "~"}, account=ROOT)
    home = nobody.pw_dir if os.access(nobody.pw_dir, os.X_OK) else "/"
    assert (order.user, order.group, order.cwd) == ("nobody", "", home)
    names = ("HOME", "USER", "LOGNAME", "SHELL")
    assert [order.env[name] for name in names] == [home, "nobody", "nobody", "/bin/sh"]
    monkeypatch.setattr("cronherd.engine.accounts._home", lambda _: "/srv/nobody")
    order = _order({"user": "nobody", "output_file": "~/out"}, account=ROOT)
    assert (order.env["HOME"], order.copy) == ("/srv/nobody", "/srv/nobody/out")


def test_root_may_change_the_group_alone() -> None:
    order = _order({"group": "daemon"}, account=ROOT)
    assert (order.user, order.group, order.env["USER"]) == ("", "daemon", "root")
    order = _order({"user": "nobody", "group": "root"}, account=ROOT)
    assert (order.user, order.group) == ("nobody", "root")


@pytest.mark.parametrize("what", ["user", "group"])
def test_who_is_not_known_here_cannot_run_here(what: str) -> None:
    with pytest.raises(Invalid, match=f"wants {what} 'no-such', and this host has none") as caught:
        _order({what: "no-such"}, account=ROOT)
    assert caught.value.code == "not_executable"


def test_the_own_account_knows_whether_it_is_root() -> None:
    mine = own_account()
    assert mine.user == pwd.getpwuid(os.geteuid()).pw_name
    assert mine.root is (os.geteuid() == 0)
    assert os.access(mine.home, os.X_OK)


def test_it_says_how_the_command_is_to_be_kept() -> None:
    plain = _order()
    assert (plain.stop_signal, plain.nice, plain.limits) == (signal.SIGTERM, 0, {})
    assert (plain.copy, plain.copy_bytes) == ("", 0)
    order = _order(
        {
            "stop_signal": "INT",
            "nice": 5,
            "limits": {"memory": 512_000_000, "processes": 9, "open_files": 64, "cpu": "90s"},
            "output_file": "/var/log/out",
        }
    )
    assert (order.stop_signal, order.nice) == (signal.SIGINT, 5)
    assert order.limits == {"memory": 512_000_000, "processes": 9, "open_files": 64, "cpu": 90}
    assert (order.copy, order.copy_bytes) == ("/var/log/out", 100_000_000)
    order = _order({"output_file": "~/out", "output_file_size": 0})
    assert (order.copy, order.copy_bytes) == ("/home/me/out", 0)


@pytest.mark.parametrize("word", STOP_SIGNALS)
def test_each_signal_has_the_number_of_this_system(word: str) -> None:
    assert _order({"stop_signal": word}).stop_signal == signal.Signals[f"SIG{word}"]


def test_env_wins_over_env_file_and_both_over_what_is_there_anyway(tmp_path: Path) -> None:
    path = tmp_path / "a.env"
    path.write_text("PATH=/opt\nA=file\nB=file\nCRONHERD_RUN_ID=x\nPARAM_N=file\n")
    said = {"env_file": str(path), "env": {"B": "job"}, "params": {"n": {"default": "param"}}}
    env = _order(said).env
    assert [env[name] for name in ("PATH", "A", "B")] == ["/opt", "file", "job"]
    assert (env["CRONHERD_RUN_ID"], env["PARAM_N"]) == ("r" * 32, "param")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root reads for somebody else")
def test_a_link_of_the_user_of_a_run_opens_no_file_of_root_for_it(tmp_path: Path) -> None:
    (tmp_path / "root.env").write_text("A=1\n")
    link = tmp_path / "link.env"
    link.symlink_to(tmp_path / "root.env")
    nobody = pwd.getpwnam("nobody")
    os.lchown(link, nobody.pw_uid, nobody.pw_gid)
    with pytest.raises(Invalid) as caught:
        _order({"env_file": str(link), "user": "nobody"}, account=ROOT)
    assert caught.value.code == "bad_env_file"


def test_a_run_whose_env_file_is_missing_is_not_started() -> None:
    with pytest.raises(Invalid, match="does not exist on this host") as caught:
        _order({"env_file": "/no/such.env"})
    assert caught.value.code == "bad_env_file"


# ---------------------------------------------------------------- parameters

PARAMS: dict[str, object] = {
    "copies": {"type": "integer", "default": 3},
    "dry-run": {"type": "boolean", "default": False, "as": "argument"},
    "to": {"type": "string", "as": "argument"},
    "note": {"type": "string"},
}


def test_defaults_are_given_and_what_has_none_is_left_out() -> None:
    order = _order({"command": ["send", "-v"], "params": PARAMS})
    assert order.argv == ("send", "-v", "--dry-run=false")
    assert {name for name in order.env if name.startswith("PARAM_")} == {"PARAM_COPIES"}
    assert order.env["PARAM_COPIES"] == "3"


def test_what_was_asked_for_goes_into_arguments_and_variables() -> None:
    given: dict[str, Value] = {"copies": 5, "dry-run": True, "to": "a b; rm", "note": "$HOME"}
    order = _order({"command": ["send"], "params": PARAMS}, params=given)
    assert order.argv == ("send", "--dry-run=true", "--to=a b; rm")
    assert (order.env["PARAM_COPIES"], order.env["PARAM_NOTE"]) == ("5", "$HOME")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"gone": 1}, "params.gone: is not a parameter of the job"),
        ({"copies": "many"}, 'params.copies: must be a whole number, not "many"'),
    ],
)
def test_what_no_longer_fits_the_job_is_not_started(given: dict[str, Value], sentence: str) -> None:
    with pytest.raises(Invalid) as caught:
        _order({"params": {"copies": {"type": "integer"}}}, params=given)
    assert str(caught.value).startswith(sentence)
    assert caught.value.code in {"unknown_param", "bad_param"}


# ------------------------------------------------------------------ locks

WAY = "how the fleet is reached, with a password"


def _locked(account: Account = ME, **spec: object) -> Start:
    job = build_job({"name": "job", "command": ["true", "x"], **spec})
    claim = Claim(
        run_id="r" * 32,
        job_id="j" * 32,
        job=job,
        version=1,
        attempt=2,
        token="t",
        fence=7,
        cause=Cause.SCHEDULE,
        slot_us=SLOT_US,
    )
    return start_of(claim, "alpha", replace(account, way=WAY), 1_000)


def test_the_holder_of_a_lock_stands_before_the_command() -> None:
    order = _locked(lock={"url": "redis://host/x", "wait": "10m", "shared": True})
    assert order.lock
    assert order.argv[:3] == (sys.executable, "-I", "-c")
    assert order.argv[-3:] == ("3", "true", "x")
    assert json.loads(order.env["CRONHERD_LOCK"]) == {
        "where": "redis://host/x",
        "wait_us": 600_000_000,
        "expiry_us": 3_600_000_000,
        "shared": True,
        "away": "wait",
        "log": "none",
    }
    assert order.files == {}


def test_nothing_shows_the_way_to_the_fleet() -> None:
    account = replace(ME, way=WAY)
    assert WAY not in repr(account)
    assert WAY not in repr(_locked(lock="report"))


def test_a_job_without_a_lock_is_as_it_was() -> None:
    order = _locked()
    assert (order.lock, order.argv, order.files) == (False, ("true", "x"), {})
    assert "CRONHERD_LOCK" not in order.env


def test_a_job_cannot_say_another_order_to_the_holder() -> None:
    order = _locked(lock="report", env={"CRONHERD_LOCK": "{}"})
    assert json.loads(order.env["CRONHERD_LOCK"])["where"] == "report"


def test_the_way_to_the_fleet_is_a_file_of_runs_that_need_it() -> None:
    assert _locked(lock="report").files == {"CRONHERD_LOCK_FLEET": WAY}
    assert _locked(lock="/run/lock/x").files == {}


def test_another_user_is_not_given_the_way_to_the_fleet() -> None:
    user = pwd.getpwnam("nobody").pw_name
    with pytest.raises(Invalid, match=r"is for the agent's own user") as refused:
        _locked(ROOT, lock="report", user=user)
    assert refused.value.code == "lock_not_for_user"
    assert _locked(ROOT, lock="redis://host/x", user=user).lock


def test_the_pipe_of_a_task_comes_before_the_one_of_its_lock() -> None:
    assert "4" in _locked(task="shop.reports:nightly", lock="report").argv[:6]
