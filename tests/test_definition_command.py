"""What a job says of its command: codes, signals, files, users, limits, parameters, secrets."""

from typing import Any

import pytest

from cronherd.definition.faults import Faulty
from cronherd.definition.jobs import read_defaults, read_job
from cronherd.domain.errors import Invalid, InvalidInput
from cronherd.domain.job import Job, SecretUse, build_job
from cronherd.domain.param import Param, ParamAs, ParamType


def job(**settings: object) -> Job:
    return read_job({"name": "nightly", "command": "true", **settings}, timezone="UTC")


def spec(**settings: object) -> dict[str, object]:
    """What is left of these settings when they are canonical; they are read to the same again."""
    made = job(**settings)
    assert read_job(made.spec, timezone="Asia/Tokyo") == made
    return {key: made.spec[key] for key in made.spec if key in settings}


def refused(**settings: object) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        job(**settings)
    return [str(error) for error in caught.value.errors]


def test_a_job_that_says_nothing_has_the_defaults():
    made = job()
    assert (made.retry_on, made.pause_after_failures) == (None, 0)
    assert made.success_codes == {0}
    assert (made.stop_signal, made.env_files, made.nice, made.limits) == (15, (), 0, {})
    assert (made.group, made.params, made.secrets, made.task) == (None, (), (), None)
    assert (made.output_file, made.output_file_bytes) == (None, 100_000_000)


SAME: list[tuple[str, object, object]] = [
    ("retry_on", 75, [75]),
    ("retry_on", [75, 1, 75], [1, 75]),
    ("success_codes", [24, 0], [0, 24]),
    ("success_codes", 3, [3]),
    ("stop_signal", "sigint", "INT"),
    ("stop_signal", "usr1", "USR1"),
    ("env_file", ["/etc/a.env"], "/etc/a.env"),
    ("env_file", ["/a", "-/b", "/a", "~/c"], ["/a", "-/b", "~/c"]),
    ("limits", {"memory": "512MB", "cpu": 600}, {"memory": 512_000_000, "cpu": "10m"}),
    ("limits", {"memory": "1GiB", "processes": 5}, {"memory": 1 << 30, "processes": 5}),
    ("output_file_size", "1GB", 1_000_000_000),
    ("secrets", ["a", {"name": "b", "env": "B"}], ["a", "b"]),
    ("secrets", [{"name": "b", "env": "DB"}], [{"name": "b", "env": "DB"}]),
    ("secrets", [{"name": "b", "file": "DB"}], [{"name": "b", "file": "DB"}]),
    ("pause_after_failures", 5, 5),
    ("nice", -20, -20),
    ("group", "www-data", "www-data"),
    ("output_file", "/var/log/x", "/var/log/x"),
]


@pytest.mark.parametrize(("name", "said", "canonical"), SAME)
def test_each_setting_has_one_spelling(name: str, said: object, canonical: object):
    assert spec(**{name: said}) == {name: canonical}
    assert spec(**{name: canonical}) == {name: canonical}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("success_codes", 0),
        ("stop_signal", "SIGTERM"),
        ("output_file_size", "100MB"),
        ("pause_after_failures", 0),
        ("nice", 0),
        ("limits", {}),
        ("params", {}),
        ("secrets", []),
        ("env_file", []),
    ],
)
def test_what_is_the_default_anyway_is_not_kept(name: str, said: object):
    assert spec(**{name: said}) == {}


def test_they_become_what_the_engine_works_with():
    made = job(
        retry_on=[75],
        success_codes=[0, 24],
        pause_after_failures=3,
        stop_signal="QUIT",
        env_file=["/etc/a.env", "-~/b.env"],
        nice=10,
        limits={"memory": "64KiB", "processes": 9, "open_files": 100, "cpu": "90s"},
        group="ops",
        secrets=["db-password", {"name": "key", "file": "KEY_FILE"}],
        output_file="~/out.log",
        output_file_size=0,
    )
    assert (made.retry_on, made.success_codes) == ((75,), frozenset({0, 24}))
    assert (made.pause_after_failures, made.stop_signal, made.nice) == (3, 3, 10)
    assert made.env_files == ("/etc/a.env", "-~/b.env")
    assert made.limits == {"memory": 65_536, "processes": 9, "open_files": 100, "cpu": 90}
    assert (made.group, made.output_file, made.output_file_bytes) == ("ops", "~/out.log", 0)
    assert made.secrets == (
        SecretUse("db-password", env="DB_PASSWORD"),
        SecretUse("key", file="KEY_FILE"),
    )


TWICE = "the variable A has more than one value (env, params and secrets share the environment)"
FUNCTION = "does not name a function (write package.module:function)"
REFUSED: list[tuple[dict[str, object], list[str]]] = [
    ({"retry_on": []}, ["retry_on: must be a list of exit codes (write [75] or [1, 2])"]),
    (
        {"retry_on": [0, 256, "a"]},
        [
            "retry_on.0: must be a whole number from 1 to 255, not the number 0",
            "retry_on.1: must be a whole number from 1 to 255, not the number 256",
            "retry_on.2: must be a whole number from 1 to 255, not 'a'",
        ],
    ),
    (
        {"success_codes": -1},
        ["success_codes: must be a whole number from 0 to 255, not the number -1"],
    ),
    (
        {"success_codes": [3], "retry_on": [3]},
        ["retry_on: 3 means success, so it is never tried again"],
    ),
    (
        {"pause_after_failures": -1},
        ["pause_after_failures: must be a whole number from 0 to 10000, not the number -1"],
    ),
    (
        {"stop_signal": "STOP"},
        ["stop_signal: must be one of HUP, INT, QUIT, KILL, USR1, USR2, TERM, not 'STOP'"],
    ),
    (
        {"env_file": "a.env"},
        ["env_file: 'a.env' is not an absolute path (write /etc/shop.env, or -/etc/shop.env)"],
    ),
    (
        {"env_file": "/etc/"},
        ["env_file: '/etc/' is a directory and no file (write /etc/shop.env, or -/etc/shop.env)"],
    ),
    (
        {"output_file": "/var/log/."},
        ["output_file: '/var/log/.' is a directory and no file (write /srv/shop/report.txt)"],
    ),
    (
        {"env": {"CRONHERD_TASK": "x"}},
        ["env.CRONHERD_TASK: names that begin with CRONHERD_ are set by cronherd"],
    ),
    ({"env_file": ["/a"] * 21}, ["env_file: has more than 20 files"]),
    ({"nice": 20}, ["nice: must be a whole number from -20 to 19, not the number 20"]),
    (
        {"limits": {"memory": 0, "cpu": "1ms", "processes": 0, "disk": 1}},
        [
            "limits.memory: must be a size from 1 to 1048576GiB (write 65536, 64KiB or 1MiB)",
            "limits.processes: must be a whole number from 1 to 4194304, not the number 0",
            "limits.cpu: must be at least 1s (the kernel counts seconds)",
            "limits.disk: unknown setting",
        ],
    ),
    ({"group": "a b"}, ["group: 'a b' is not the name of a group"]),
    (
        {"output_file": "out.log"},
        ["output_file: 'out.log' is not an absolute path (write /srv/shop/report.txt)"],
    ),
    (
        {"output_file_size": "1PB"},
        ["output_file_size: '1PB' is not a size (write 65536, 64KiB or 1MiB)"],
    ),
    ({"secrets": "a"}, ["secrets: must be a list of secrets, not 'a' (write [db_password])"]),
    (
        {"secrets": [{"env": "A"}, "a b", {"name": "x", "env": "A", "file": "B"}]},
        [
            "secrets.0.name: is missing",
            "secrets.1: 'a b' cannot be the name of a secret (1 to 64 letters, digits and _ . -)",
            "secrets.2: has both env and file (name the secret twice for both)",
        ],
    ),
    (
        {"secrets": [{"name": "x", "env": "CRONHERD_X"}]},
        ["secrets.0.env: names that begin with CRONHERD_ are set by cronherd"],
    ),
    (
        {"secrets": ["2fa"]},
        ["secrets.0: '2FA' cannot be a variable's name (write {name: 2fa, env: NAME})"],
    ),
    (
        {"secrets": ["a", "A"]},
        [TWICE],
    ),
    (
        {"secrets": ["a"], "env": {"A": "1"}},
        [TWICE],
    ),
    (
        {"params": {"a": 1}, "env": {"PARAM_A": "1"}},
        [
            TWICE.replace("A", "PARAM_A", 1),
        ],
    ),
]


@pytest.mark.parametrize(("settings", "sentences"), REFUSED)
def test_what_is_wrong_is_told_where_it_stands(settings: dict[str, Any], sentences: list[str]):
    assert refused(**settings) == sentences


# ---------------------------------------------------------------- tasks


def test_a_task_takes_the_place_of_a_command():
    raw = {"name": "a", "task": "shop.jobs:report", "args": {"day": 1, "to": [None, {"x": 0.5}]}}
    made = read_job(raw, timezone="UTC")
    assert (made.task, made.command) == ("shop.jobs:report", "")
    assert made.args == {"day": 1, "to": [None, {"x": 0.5}]}
    assert made.spec == {**raw, "timezone": "UTC"}
    assert read_job(made.spec, timezone="UTC") == made


@pytest.mark.parametrize(
    ("raw", "sentences"),
    [
        ({}, ["command: is missing"]),
        (
            {"args": [1]},
            [
                "command: is missing",
                "args: belongs to a task (write the command as a list with its arguments)",
            ],
        ),
        (
            {"command": "x", "task": "a:b"},
            ["task: is instead of a command, and there is one (leave one of them out)"],
        ),
        (
            {"command": "x", "args": [1]},
            ["args: belongs to a task (write the command as a list with its arguments)"],
        ),
        ({"task": "a.b"}, [f"task: 'a.b' {FUNCTION}"]),
        ({"task": "a-b:c"}, [f"task: 'a-b:c' {FUNCTION}"]),
        ({"task": "a:class"}, [f"task: 'a:class' {FUNCTION}"]),
        (
            {"task": "a:b", "args": 5},
            [
                "args: must be a list or a mapping of arguments, not the number 5 "  # noqa: ISC004
                "(write [1, two] or {name: value})",
            ],
        ),
        ({"task": "a:b", "args": {"a b": 1}}, ["args: 'a b' is not the name of an argument"]),
        (
            {"task": "a:b", "args": [float("inf")]},
            ["args: the number inf is not a value that JSON knows"],
        ),
        ({"task": "a:b", "args": [{1: 2}]}, ["args: has keys that are not text"]),
        (
            {"task": "a:b", "args": ["x" * 60_000, "y" * 60_000]},
            ["args: is longer than 100,000 bytes"],
        ),
    ],
)
def test_exactly_one_thing_runs(raw: dict[str, object], sentences: list[str]):
    with pytest.raises(InvalidInput) as caught:
        read_job({"name": "a", **raw}, timezone="UTC")
    assert [str(error) for error in caught.value.errors] == sentences


def test_arguments_are_nested_only_so_deep():
    deep: object = 1
    for _ in range(30):
        deep = [deep]
    with pytest.raises(InvalidInput, match="is nested more than 20 levels deep"):
        read_job({"name": "a", "task": "a:b", "args": deep}, timezone="UTC")


@pytest.mark.parametrize("own", ["task", "args", "command"])
def test_what_runs_has_no_default(own: str):
    with pytest.raises(Faulty) as caught:
        read_defaults({own: "a:b"})
    assert [fault.text for fault in caught.value.faults] == ["belongs to a job, it has no default"]


# ---------------------------------------------------------------- parameters


def test_the_short_form_says_the_default_and_so_the_type():
    made = job(params={"a": "x", "b": 5, "c": 0.5, "d": True, "e": None})
    assert made.spec["params"] == {
        "a": {"type": "string", "default": "x"},
        "b": {"type": "integer", "default": 5},
        "c": {"type": "number", "default": 0.5},
        "d": {"type": "boolean", "default": True},
        "e": {"type": "string"},
    }
    assert made.params[:2] == (
        Param(name="a", default="x"),
        Param(name="b", type=ParamType.INTEGER, default=5),
    )
    assert made.params[4] == Param(name="e")


def test_the_long_form_says_all():
    made = job(
        command=["send"],
        params={
            "to": {"required": True, "description": "who gets it", "as": "argument"},
            "size": {"choices": ["small", 1.5], "default": "small"},
            "share": {"type": "number", "default": 1},
            "text": {"type": "string", "default": 5, "as": "env", "required": False},
        },
    )
    assert made.spec["params"] == {
        "to": {
            "type": "string",
            "required": True,
            "description": "who gets it",
            "as": "argument",
        },
        "size": {"type": "choice", "default": "small", "choices": ["small", "1.5"]},
        "share": {"type": "number", "default": 1},
        "text": {"type": "string", "default": "5"},
    }
    to, size = made.params[3], made.params[1]
    assert [param.name for param in made.params] == ["share", "size", "text", "to"]
    assert (to.required, to.description, to.as_) == (True, "who gets it", ParamAs.ARGUMENT)
    assert (size.type, size.choices) == (ParamType.CHOICE, ("small", "1.5"))
    assert read_job(made.spec, timezone="UTC") == made


WRONG: list[tuple[object, list[str]]] = [
    ([1], ["params: must be a mapping of parameters, not a list (write {name: default})"]),
    (
        {"1": 5, "a b": 1, 7: 1},
        [
            f"params.{name}: is not a parameter's name (a letter, then letters, digits, _ and -)"
            for name in ("1", "a b", "7")
        ],
    ),
    ({"b-c": 1, "B_C": 1}, ["params.B_C: travels in PARAM_B_C, as b-c does"]),
    (
        {"a": {"type": "integer", "default": "x"}},
        ['params.a.default: must be a whole number, not "x"'],
    ),
    (
        {"a": {"choices": ["x"], "default": "y"}},
        ['params.a.default: must be one of x, not "y"'],
    ),
    ({"a": {"type": "choice"}}, ["params.a: has no choices (write choices: [small, large])"]),
    (
        {"a": {"type": "integer", "choices": [1]}},
        ["params.a: only the type choice has choices (write choices: [small, large])"],
    ),
    (
        {"a": {"choices": []}},
        ["params.a.choices: must be a list of 1 to 1000 values (write [small, large])"],
    ),
    (
        {"a": {"default": 1, "required": True}},
        ["params.a.required: has a default, so it is never missing"],
    ),
    (
        {"a": {"as": "arg", "typ": "x"}},
        [
            "params.a.as: must be one of env, argument, not 'arg'",
            "params.a.typ: unknown setting (did you mean 'type'?)",
        ],
    ),
    ({"a": [1]}, ["params.a: must be text, a number or true or false, not a list"]),
    ({f"p{n}": 1 for n in range(101)}, ["params: has more than 100 parameters"]),
]


@pytest.mark.parametrize(("params", "sentences"), WRONG)
def test_a_wrong_parameter_is_told(params: object, sentences: list[str]):
    assert refused(params=params) == sentences


def test_nothing_is_pasted_into_a_shell():
    params = {"a": {"default": 1, "as": "argument"}}
    (sentence,) = refused(params=params)
    assert sentence == (
        "params.a.as: cannot be an argument: a parameter is never pasted into a command for the "
        'shell (write the command as a list, or leave `as` out and use "$PARAM_NAME")'
    )
    assert job(command=["x"], params=params).params[0].as_ is ParamAs.ARGUMENT
    assert read_job({"name": "a", "task": "a:b", "params": params}, timezone="UTC").params


def test_a_job_with_a_schedule_has_a_value_for_each():
    params = {"a": {"required": True}}
    (sentence,) = refused(params=params, schedule="@daily")
    assert sentence == (
        "params.a: is required, and nobody can say it when the schedule starts the job "
        "(give it a default)"
    )
    assert job(params=params).params[0].required


def test_the_same_rules_hold_for_what_was_stored():
    with pytest.raises(Invalid, match="never pasted into a command"):
        build_job(
            {"name": "a", "command": "x", "params": {"a": {"type": "string", "as": "argument"}}}
        )
    with pytest.raises(KeyError):
        build_job({"name": "a"})


def test_the_interpreter_of_a_task_is_the_one_name_of_ours_that_env_may_have():
    env = {"CRONHERD_PYTHON": "/srv/venv/bin/python"}
    assert read_job({"name": "x", "task": "a:b", "env": env}, timezone="UTC").env == env
