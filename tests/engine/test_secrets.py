"""Secrets on their way into a start: asked for once, given whole or not at all, shown nowhere."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.errors import CronherdError, Invalid, StatementRefused, Unavailable
from cronherd.domain.job import build_job
from cronherd.domain.run import Cause
from cronherd.engine.accounts import Account
from cronherd.engine.order import start_of
from cronherd.engine.secrets import Opened, given_to, names_of, no_secrets
from cronherd.engine.worker import Worker
from cronherd.store.base import Claim
from cronherd.supervisor.base import Start
from tests.engine.stand_in import Rig

VALUE = "correct horse battery staple"
ME = Account(user="me", home="/")


def claim_of(**spec: Any) -> Claim:
    job = build_job({"name": "job", "command": "true", **spec})
    return Claim(
        run_id="r" * 32, job_id="j" * 32, job=job, version=1, attempt=1, token="t", fence=1,
        cause=Cause.MANUAL, slot_us=None,
    )  # fmt: skip


def order(opened: Opened, **spec: Any) -> Start:
    return start_of(claim_of(**spec), "alpha", ME, 0, opened)


# ------------------------------------------------------------------ the order


def test_a_secret_comes_as_a_variable_or_as_a_file_and_is_masked():
    wanted = ["db-password", {"name": "key", "file": "KEY_FILE"}, {"name": "n", "env": "PIN"}]
    opened = {"db-password": VALUE, "key": "line one\nanother line\n", "n": "123"}
    start = order(opened, secrets=wanted)
    assert start.env["DB_PASSWORD"] == VALUE
    assert start.env["PIN"] == "123"
    assert "KEY_FILE" not in start.env
    assert start.files == {"KEY_FILE": "line one\nanother line\n"}
    assert {VALUE, "line one\nanother line", "another line"} <= set(start.masks)


def test_a_job_without_secrets_gets_none_and_nothing_is_masked():
    start = order({"db": VALUE})
    assert (start.files, start.masks) == ({}, ())
    assert VALUE not in start.env.values()


def test_a_secret_cannot_say_who_the_run_is():
    uses = [{"name": "id", "env": "CRONHERD_RUN_ID"}, {"name": "id", "file": "CRONHERD_NODE"}]
    start = order({"id": VALUE}, secrets=uses)
    assert start.env["CRONHERD_RUN_ID"] == "r" * 32
    assert start.files == {}


def test_a_secret_in_a_variable_that_means_something_is_in_no_other_field():
    start = order({"home": VALUE}, secrets=["home"], cwd="~/work")
    assert (start.env["HOME"], start.cwd) == (VALUE, "//work")
    assert VALUE not in repr(start)


def test_no_value_is_in_an_argument_or_in_what_is_shown_of_an_order():
    wanted = ["db", {"name": "key", "file": "KEY"}]
    start = order({"db": VALUE, "key": VALUE * 2}, secrets=wanted)
    assert VALUE not in " ".join(start.argv)
    assert VALUE not in f"{start!r} {start}"
    given = given_to(claim_of(secrets=wanted).job, {"db": VALUE, "key": VALUE})
    assert VALUE not in f"{given!r} {given}"


def test_one_that_is_closed_keeps_the_whole_run_from_starting():
    opened: Opened = {"a": VALUE, "b": Invalid("cannot open 'b'", code="no_secret")}
    with pytest.raises(Invalid, match="cannot open 'b'"):
        order(opened, secrets=["a", "b"])


def test_an_agent_without_a_way_to_open_them_starts_nothing_that_needs_one():
    with pytest.raises(Invalid) as caught:
        order(no_secrets(["db"]), secrets=["db"])
    assert caught.value.code == "no_secret"


def test_a_batch_asks_for_each_name_once():
    claims = [claim_of(secrets=["b", "a"]), claim_of(), claim_of(secrets=["b"])]
    assert names_of(claims) == ["a", "b"]


# ------------------------------------------------------------------ the worker

Reveal = Callable[[Sequence[str]], Opened]


class Teller:
    """Answers with what a test put there, and remembers what it was asked for."""

    def __init__(self, answer: Opened | CronherdError) -> None:
        self.answer = answer
        self.asked: list[list[str]] = []
        self.before: Callable[[], None] = lambda: None

    def __call__(self, names: Sequence[str]) -> Opened:
        self.before()
        self.asked.append(list(names))
        if isinstance(self.answer, CronherdError):
            raise self.answer
        return {name: self.answer[name] for name in names}


def rig_with(folder: Path, reveal: Reveal) -> Rig:
    rig = Rig(folder)
    rig.worker = Worker(
        rig.store, rig.clock, rig.node, rig.live, rig.supervisor, ME,
        new_id=rig.new_id, not_started=rig.finisher.end, reveal=reveal,
    )  # fmt: skip
    return rig


def test_a_batch_is_asked_for_once_and_what_needs_none_does_not_wait(tmp_path: Path):
    teller = Teller({"a": VALUE, "b": VALUE * 2})
    rig = rig_with(tmp_path, teller)
    plain = rig.request("plain")
    rig.request("one", secrets=["a"])
    rig.request("two", secrets=["a", "b"])
    started_before: list[str] = []
    teller.before = lambda: started_before.extend(s.run_id for s in rig.supervisor.started)
    rig.worker.tick()
    assert teller.asked == [["a", "b"]]
    assert started_before == [plain]
    by_name = {start.env["CRONHERD_JOB_NAME"]: start for start in rig.supervisor.started}
    assert by_name["one"].env["A"] == VALUE
    assert by_name["two"].env["B"] == VALUE * 2
    assert set(by_name) == {"plain", "one", "two"}


def test_nothing_is_asked_where_nothing_is_needed_and_nothing_is_remembered(tmp_path: Path):
    teller = Teller({"a": VALUE})
    rig = rig_with(tmp_path, teller)
    rig.request("plain")
    rig.worker.tick()
    assert teller.asked == []
    for name in ("one", "two"):
        rig.request(name, secrets=["a"])
        rig.worker.tick()
    assert teller.asked == [["a"], ["a"]]
    assert VALUE not in repr(vars(rig.worker))


def test_a_run_whose_secret_is_closed_ends_as_not_started_with_the_sentence(tmp_path: Path):
    text = "this node cannot open the secret 'a': no key opens it"
    teller = Teller({"a": Invalid(text, code="no_secret", hint="secret_key_file"), "b": VALUE})
    rig = rig_with(tmp_path, teller)
    closed = rig.request("closed", secrets=["a", "b"])
    fine = rig.request("fine", secrets=["b"])
    rig.worker.tick()
    rig.finisher.tick()
    assert [start.run_id for start in rig.supervisor.started] == [fine]
    assert rig.state(closed) == "not_started"
    (attempt,) = rig.store.attempts(closed)
    assert (attempt.error, attempt.started_us) == ("no_secret", None)
    assert "'a'" in attempt.error_text
    assert "secret_key_file" in attempt.error_text
    assert VALUE not in attempt.error_text
    assert {claim.run_id for claim in rig.live.all()} == {fine}


def test_such_a_run_is_tried_again_as_its_retries_say(tmp_path: Path):
    teller = Teller({"a": Invalid("closed", code="no_secret")})
    rig = rig_with(tmp_path, teller)
    run_id = rig.request("closed", secrets=["a"], retries={"max": 1, "backoff": "1s"})
    rig.worker.tick()
    rig.finisher.tick()
    assert rig.state(run_id) == "delayed"


def test_a_claim_is_given_back_when_the_database_cannot_be_asked(tmp_path: Path):
    teller = Teller(Unavailable("the database does not answer", code="database_lost"))
    rig = rig_with(tmp_path, teller)
    run_id = rig.request("job", secrets=["a"])
    plain = rig.request("plain")
    rig.worker.tick()
    rig.finisher.tick()
    assert [start.run_id for start in rig.supervisor.started] == [plain]
    assert rig.state(run_id) == "ready"
    assert rig.store.attempts(run_id) == []
    teller.answer = {"a": VALUE}
    rig.worker.tick()
    (start,) = (start for start in rig.supervisor.started if start.run_id == run_id)
    assert (start.env["A"], start.attempt) == (VALUE, 1)


def test_what_the_database_refuses_for_good_is_an_end(tmp_path: Path):
    rig = rig_with(tmp_path, Teller(StatementRefused("permission denied for table secret")))
    run_id = rig.request("job", secrets=["a"])
    rig.worker.tick()
    rig.finisher.tick()
    assert rig.state(run_id) == "not_started"
    assert "permission denied" in rig.store.attempts(run_id)[0].error_text


def test_an_order_that_no_supervisor_takes_is_refused_without_its_values(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG)
    rig = rig_with(tmp_path, Teller({"a": VALUE}))
    run_id = rig.supervisor.refuses = rig.request("job", secrets=["a"])
    rig.worker.tick()
    rig.finisher.tick()
    assert rig.state(run_id) == "not_started"
    assert VALUE not in rig.store.attempts(run_id)[0].error_text
    assert VALUE not in caplog.text
