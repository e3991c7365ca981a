"""The one validator of jobs: what it accepts, what comes out, and each sentence of refusal."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.definition.document import load_document
from cronherd.definition.faults import MAX_FAULTS, bounded
from cronherd.definition.jobs import JobDefinition, job_schema, read_job, read_jobs
from cronherd.domain.errors import CronherdError, Invalid, InvalidInput
from cronherd.domain.job import Job
from cronherd.domain.policy import CatchupMode, Delivery, Overlap, Retention, Retry

SECOND = 1_000_000


def nowhere(_path: object) -> str:
    return ""


def job(**settings: object) -> Job:
    return read_job({"name": "nightly", "command": "true", **settings}, timezone="UTC")


def refused(**settings: object) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        job(**settings)
    return [str(error) for error in caught.value.errors]


def refused_file(text: str) -> list[str]:
    document = load_document(text, "jobs.yaml")
    with pytest.raises(InvalidInput) as caught:
        read_jobs(document.value, document.place, timezone="UTC")
    return str(caught.value).split("\n")


def test_it_reads_the_job_of_the_manual():
    made = job(
        command="pg_dump shop | gzip > /backup/shop.gz",
        schedule="30  2 * * *",
        timezone="Europe/Berlin",
        window="23:00 - 3:00",
        overlap="queue",
        catchup="all",
        catchup_window="90m",
        timeout=3600,
        retries={"max": 3, "backoff": "30s", "factor": 2, "max_delay": "10m", "jitter": "20%"},
        run_on={"zone": "eu", "gpu": True, "rack": 7},
        delivery="at_least_once",
        takeover_after="never",
        retention={"age": "5d"},
        output_head="64KiB",
    )
    assert made.spec == {
        "name": "nightly",
        "command": "pg_dump shop | gzip > /backup/shop.gz",
        "timezone": "Europe/Berlin",
        "window": "23:00-03:00",
        "schedule": "30 2 * * *",
        "overlap": "queue",
        "catchup": "all",
        "catchup_window": "1h30m",
        "timeout": "1h",
        "retries": {"max": 3, "max_delay": "10m"},
        "delivery": "at_least_once",
        "takeover_after": "never",
        "run_on": {"zone": "eu", "gpu": "true", "rack": "7"},
        "retention": {"age": "5d"},
        "output_head": 65536,
    }
    assert made.overlap is Overlap.QUEUE
    assert made.catchup.mode is CatchupMode.ALL
    assert made.timeout_us == 3600 * SECOND
    assert made.retry == Retry(most=3, max_delay_us=600 * SECOND)
    assert made.delivery is Delivery.AT_LEAST_ONCE
    assert made.takeover_after_us is None
    assert made.retention == Retention(age_us=5 * 86_400 * SECOND)
    assert made.head_bytes == 65536


def test_it_writes_the_fleets_zone_into_a_job_that_names_none():
    made = read_job({"name": "a", "command": "b"}, timezone="Europe/Berlin")
    assert made.timezone == made.spec["timezone"] == "Europe/Berlin"
    assert made.schedule is None


def test_it_reads_its_own_spec_again_to_the_same_job():
    made = job(schedule=["@daily", {"every": "2h"}], retries=2, env={"A": 1.5}, tags=["x", "x"])
    assert read_job(made.spec, timezone="Asia/Tokyo") == made


def test_it_leaves_out_what_is_the_default_anyway():
    plain = {
        name: field.default
        for name, field in JobDefinition.model_fields.items()
        if name not in {"name", "command", "enabled"}
    }
    made = job(**plain | {"retries": {"max": 0, "backoff": "5s"}, "retention": {"runs": 200}})
    assert made.spec == {"name": "nightly", "command": "true", "timezone": "UTC"}


def test_it_keeps_enabled_description_tags_and_mailto():
    words = {"enabled": True, "description": "", "tags": ["a"], "mailto": ""}
    assert words.items() <= dict(job(**words).spec).items()


def test_it_takes_a_setting_with_nothing_behind_it_as_left_out():
    defaults = {"timeout": "1h"}
    raw = {"name": "a", "command": "b", "timeout": None, "schedule": None}
    assert read_job(raw, timezone="UTC", defaults=defaults).timeout_us is None


def test_it_fills_in_the_defaults_and_lets_the_job_win():
    made = read_job(
        {"name": "a", "command": "b", "env": {"A": "job"}, "retries": 3, "grace": "5s"},
        timezone="UTC",
        defaults={
            "env": {"A": "x", "B": "y"},
            "retries": {"max": 1, "backoff": "1m"},
            "grace": "1m",
            "overlap": "allow",
        },
    )
    assert made.env == {"A": "job", "B": "y"}
    assert made.retry == Retry(most=3, backoff_us=60 * SECOND)
    assert made.grace_us == 5 * SECOND
    assert made.overlap is Overlap.ALLOW


def test_it_keeps_commands_as_they_are():
    text = "cat <<'X'\r\nä\t$HOME  %\r\nX\n"
    assert job(command=text).command == text
    assert job(command=["/bin/x", "", " a "]).command == ("/bin/x", "", " a ")


def test_it_keeps_the_spelling_of_numbers_in_the_environment():
    document = load_document("{name: a, command: b, env: {V: 1.10, N: 5, T: true}}", "f")
    made = read_job(document.value, timezone="UTC")
    assert made.env == {"V": "1.10", "N": "5", "T": "true"}


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("tiemout", "5s", "tiemout: unknown setting (did you mean 'timeout'?)"),
        ("max-running", 5, "max-running: unknown setting (did you mean 'max_running'?)"),
        ("zzz", 5, "zzz: unknown setting"),
        ("name", "", "name: is empty"),
        ("name", 5, "name: must be text, not the number 5 (put it in quotes: '5')"),
        ("name", True, "name: must be text, not true (put it in quotes: 'true')"),
        ("command", "", "command: is empty"),
        ("command", " \n", "command: is empty"),
        ("command", "a\0b", "command: contains a NUL or half a surrogate pair"),
        ("command", "\ud800", "command: contains a NUL or half a surrogate pair"),
        ("command", "x" * 100_001, "command: is longer than 100,000 bytes"),
        ("command", ["x"] * 2 + ["y" * 99_999], "command: is longer than 100,000 bytes"),
        ("command", [], "command: must have 1 to 1000 parts"),
        ("command", [""], "command: the program's name is empty"),
        (
            "command",
            ["sleep", 5],
            "command.1: must be text, not the number 5 (put it in quotes: '5')",
        ),
        ("description", "ä" * 5_001, "description: is longer than 10,000 bytes"),
        ("enabled", "yes", "enabled: must be true or false, not 'yes'"),
        ("enabled", 1, "enabled: must be true or false, not the number 1"),
        (
            "overlap",
            "skp",
            (
                "overlap: must be one of skip, queue, replace, allow, not 'skp' "
                "(did you mean 'skip'?)"
            ),
        ),
        (
            "delivery",
            "at-most-once",
            (
                "delivery: must be one of at_most_once, at_least_once, not 'at-most-once' "
                "(did you mean 'at_most_once'?)"
            ),
        ),
        ("catchup", False, "catchup: must be one of none, latest, all, not false"),
        (
            "max_running",
            True,
            "max_running: must be a whole number from 1 to 10000, not true",
        ),
        (
            "max_running",
            "5",
            "max_running: must be a whole number from 1 to 10000, not '5'",
        ),
        (
            "max_running",
            2**63,
            (
                "max_running: must be a whole number from 1 to 10000, "
                "not the number 9223372036854775808"
            ),
        ),
        (
            "queue_max",
            2**9_000,
            "queue_max: must be a whole number from 0 to 100000, not a huge number",
        ),
        (
            "catchup_max",
            -1,
            "catchup_max: must be a whole number from 0 to 1000, not the number -1",
        ),
        ("priority", 1.0, "priority: must be a whole number from -100 to 100, not the number 1.0"),
        (
            "retries",
            10**9,
            "retries: must be a whole number from 0 to 100, not the number 1000000000",
        ),
        ("retries", {"backoff": "5s"}, "retries.max: is missing"),
        (
            "retries",
            {"max": 1, "bakoff": "5s"},
            "retries.bakoff: unknown setting (did you mean 'backoff'?)",
        ),
        (
            "retries",
            {"max": 1, "factor": float("inf")},
            "retries.factor: must be a number from 1 to 100, not the number inf",
        ),
        (
            "retries",
            {"max": 1, "jitter": "200%"},
            "retries.jitter: must be a share from 0% to 100%, not '200%' (write 20% or 0.2)",
        ),
        (
            "timeout",
            "5x",
            "timeout: '5x' is not a duration (write 90s, 10m, 1h30m or 1d)",
        ),
        ("timeout", -5, "timeout: '-5' is not between 0 and ten years (e.g. 90s or 1h)"),
        ("timeout", 0, "timeout: must be longer than nothing (leave it out for no limit)"),
        (
            "timeout",
            float("nan"),
            "timeout: 'nan' is not a duration (write 90s, 10m, 1h30m or 1d)",
        ),
        (
            "timeout",
            float("1e400"),
            "timeout: 'inf' is not a duration (write 90s, 10m, 1h30m or 1d)",
        ),
        ("timeout", "11y", "timeout: '11y' is not a duration (write 90s, 10m, 1h30m or 1d)"),
        ("timeout", [5], "timeout: must be a duration, not a list (write 90s, 10m, 1h30m or 1d)"),
        (
            "takeover_after",
            "19s",
            (
                "takeover_after: must be at least 20s "
                "(a shorter one could start what still runs; or write never)"
            ),
        ),
        ("run_on", {"zone": "a,b"}, "run_on.zone: 'a,b' cannot be a label's value (no , or =)"),
        (
            "run_on",
            {"a=b": "c"},
            "run_on.a=b: is not a label (use letters, digits and _ . / -)",
        ),
        (
            "run_on",
            "a b",
            (
                "run_on: 'a b' is no condition on a label (write zone=eu, zone!=eu, "
                "zone in (eu, us), gpu or !gpu, joined by commas)"
            ),
        ),
        ("env", {"1A": "x"}, "env.1A: is not a variable's name (letters, digits and _)"),
        (
            "env",
            {"CRONHERD_X": "x"},
            "env.CRONHERD_X: names that begin with CRONHERD_ are set by cronherd",
        ),
        ("env", {"A": "\0"}, "env.A: contains a NUL or half a surrogate pair"),
        ("env", {"A": []}, "env.A: must be text, not a list"),
        ("shell", "bash", "shell: 'bash' is not an absolute path (write /bin/bash)"),
        (
            "cwd",
            "shop",
            "cwd: 'shop' is not an absolute path (write /srv/shop, ~ or ~/shop)",
        ),
        ("user", "a b", "user: 'a b' is not the name of a user"),
        ("mailto", "a\nBcc: b", "mailto: must be one line"),
        ("tags", "a", "tags: must be a list of tags, not 'a' (write [backup, nightly])"),
        ("tags", ["a", "b,c"], "tags.1: 'b,c' cannot be a tag (no comma, no blank at either end)"),
        (
            "output_head",
            "17MiB",
            "output_head: must be a size from 0 to 16MiB (write 65536, 64KiB or 1MiB)",
        ),
        ("output_tail", "5 k", "output_tail: '5 k' is not a size (write 65536, 64KiB or 1MiB)"),
        (
            "retention",
            {"runs": -1},
            "retention.runs: must be a whole number from 0 to 1000000, not the number -1",
        ),
        ("retention", 5, "retention: must be a mapping of settings, not the number 5"),
        (
            "window",
            "25:00-26:00",
            (
                "window: '25:00-26:00' is not a window "
                "(write 23:00-03:00 or Mon-Fri 09:00-17:00, local time)"
            ),
        ),
        (
            "window",
            "09:00-09:00",
            "window: the window '09:00-09:00' is empty (leave it out for the whole day)",
        ),
    ],
)
def test_it_refuses_with_a_plain_sentence(setting: str, value: Any, sentence: str):
    assert refused(**{setting: value}) == [sentence]


@pytest.mark.parametrize(
    "schedule",
    [
        "",
        "* * * *",
        "* * * * * *",
        "0 * * * * * *",
        "60 * * * *",
        "5-1 * * * *",
        "*/0 * * * *",
        "1-5/0 * * * *",
        ", * * * *",
        "MON * * * *",
        "٣ * * * *",
        "0 0 31 2 *",
        "0 0 30 2 *",
        "TZ=UTC 0 0 * * *",
        "CRON_TZ=UTC0 0 * * *",
        "0" * 10_000,
        "* * * * *\0",
        "every 0s",
        "every -5m",
        "at yesterday",
        "at 2020-01-01 00:00",
        5,
        True,
        [],
        {},
        {"cron": 5},
        {"cron": "* * * * *", "every": "5m"},
        {"evry": "5m"},
        {"every": True},
        {"every": {"a": "b"}},
        [["* * * * *"]],
        ["* * * * *", 5],
        ["* * * * *"] * 51,
        ["after 5m", "* * * * *"],
    ],
)
def test_it_refuses_a_schedule_at_creation(schedule: object):
    raw = {"name": "a", "command": "b", "schedule": schedule}
    with pytest.raises(InvalidInput) as caught:
        read_job(raw, timezone="UTC", now_us=1_800_000_000 * SECOND)
    (error,) = caught.value.errors
    assert error.where == "schedule"
    assert error.text


@pytest.mark.parametrize(
    "timezone",
    ["europe/berlin", "Mars/Base", "right/UTC", "posixrules", "../x", "", "x" * 5_000, "\0", 5],
)
def test_it_refuses_a_zone_that_is_not_on_the_list(timezone: object):
    (sentence,) = refused(timezone=timezone, schedule="* * * * *")
    assert sentence.startswith("timezone: ")


@pytest.mark.parametrize(
    "name", [".", "..", "new", " a", "a ", "a/b", "a\nb", "x" * 121, "a\u200bb", "\u202ea", "\0"]
)
def test_it_refuses_a_name_that_no_table_should_hold(name: str):
    (sentence,) = refused(name=name)
    assert sentence.startswith("name: ")
    assert sentence.isprintable()


@pytest.mark.parametrize("raw", [None, 5, "x", [], [("name", "a")]])
def test_it_refuses_what_is_no_mapping(raw: Any):
    with pytest.raises(InvalidInput, match="must be a mapping of settings"):
        read_job(raw, timezone="UTC")


def test_it_names_what_is_missing_and_everything_else_in_one_answer():
    with pytest.raises(InvalidInput) as caught:
        read_job({"timeout": "x", 5: "y", "schedule": "x"}, timezone="UTC")
    wheres = [error.where for error in caught.value.errors]
    assert wheres == ["name", "command", "schedule", "timeout", "5"]


def test_it_says_that_runs_after_each_other_cannot_overlap():
    (sentence,) = refused(schedule="after 5m", overlap="allow")
    assert sentence.startswith("overlap: 'after' counts from the end of the previous run")


def test_it_never_shows_what_pydantic_says():
    with pytest.raises(InvalidInput) as caught:
        job(**{name: object() for name in JobDefinition.model_fields})
    both = 1  # a command and a task
    faults = len(JobDefinition.model_fields) + both
    assert len(caught.value.errors) == min(faults, MAX_FAULTS + 1)
    text = str(caught.value)
    assert "pydantic" not in text
    assert "Input should" not in text
    assert "http" not in text


def test_it_reads_jobs_as_a_list_and_as_a_mapping():
    as_list = load_document("jobs: [{name: a, command: x}, {name: b, command: y}]", "f")
    as_mapping = load_document("jobs: {a: {command: x}, b: {command: y}}", "f")
    assert read_jobs(as_list.value, as_list.place, timezone="UTC") == read_jobs(
        as_mapping.value, as_mapping.place, timezone="UTC"
    )


def test_it_takes_the_defaults_of_the_file_over_those_from_outside():
    document = load_document("{jobs: {a: {command: x}}, defaults: {grace: 5s}}", "f")
    outside = {"grace": "1m", "priority": 3}
    (made,) = read_jobs(document.value, document.place, timezone="UTC", defaults=outside)
    assert (made.grace_us, made.priority) == (5 * SECOND, 3)


def test_it_passes_over_settings_that_are_somebody_elses():
    document = load_document("{jobs: {a: {command: x}}, database: y}", "f")
    assert read_jobs(document.value, document.place, timezone="UTC", also={"database"})
    with pytest.raises(InvalidInput, match="f:1:27: database: unknown setting"):
        read_jobs(document.value, document.place, timezone="UTC")


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "jobs:\n  - name: nightly\n    command: x\n    tiemout: 5s\n",
            ["jobs.yaml:4:5: jobs.nightly.tiemout: unknown setting (did you mean 'timeout'?)"],
        ),
        (
            "jobs:\n  nightly:\n    command: x\n    retries: {max: 1, factr: 5}\n",
            [
                (
                    "jobs.yaml:4:23: jobs.nightly.retries.factr: unknown setting "
                    "(did you mean 'factor'?)"
                )
            ],
        ),
        (
            "jobs:\n  - command: 5\n  - x\n",
            [
                "jobs.yaml:2:5: jobs.0.name: is missing",
                (
                    "jobs.yaml:2:5: jobs.0.command: must be a command, not the number 5 "
                    "(write a text for the shell, or a list of a program and its arguments)"
                ),
                "jobs.yaml:3:5: jobs.1: must be a mapping of settings, not 'x'",
            ],
        ),
        (
            "jobs:\n  - {name: A, command: x}\n  - {name: a, command: x}\n",
            [
                (
                    "jobs.yaml:3:6: jobs.a.name: the name is taken by the job at jobs.yaml:2:6 "
                    "(upper and lower case do not differ)"
                )
            ],
        ),
        (
            "jobs:\n  a:\n    name: b\n    command: x\n",
            ["jobs.yaml:3:5: jobs.a.name: the name is the key already (leave it out)"],
        ),
        (
            "jbos: []\ndefaults: {name: x, graec: 5}\njobs: 5\n",
            [
                "jobs.yaml:1:1: jbos: unknown setting (did you mean 'jobs'?)",
                "jobs.yaml:2:12: defaults.name: belongs to a job, it has no default",
                "jobs.yaml:2:21: defaults.graec: unknown setting (did you mean 'grace'?)",
                "jobs.yaml:3:1: jobs: must be a list of jobs, not the number 5",
            ],
        ),
        ("- a\n", ["jobs.yaml: must be a mapping with jobs:, not a list"]),
        (
            "jobs: {é: {command: x}, É: {command: x}, e\u0301: {command: x}}",
            [
                (
                    "jobs.yaml:1:25: jobs.É.name: the name is taken by the job at jobs.yaml:1:8 "
                    "(upper and lower case do not differ)"
                ),
                (
                    "jobs.yaml:1:42: jobs.e\u0301.name: the name is taken by the job at "
                    "jobs.yaml:1:8 (upper and lower case do not differ)"
                ),
            ],
        ),
    ],
)
def test_it_tells_file_line_and_column_of_each_fault(text: str, sentences: list[str]):
    assert refused_file(text) == sentences


def test_it_tells_fifty_faults_and_counts_the_rest():
    lines = refused_file("jobs:\n" + "".join(f"  j{n}: {{comand: x}}\n" for n in range(40)))
    assert len(lines) == MAX_FAULTS + 1
    assert lines[-1] == "and 30 more"


def test_it_needs_no_file():
    with pytest.raises(InvalidInput) as caught:
        read_jobs({"jobs": [{"name": "a", "command": "x", "grac": 5}]}, nowhere, timezone="UTC")
    assert str(caught.value) == "jobs.a.grac: unknown setting (did you mean 'grace'?)"


def test_it_publishes_a_schema_with_a_sentence_for_each_setting():
    schema = job_schema()
    assert json.loads(json.dumps(schema)) == schema
    assert schema["required"] == ["name"]
    assert schema["oneOf"] == [{"required": [work]} for work in ("command", "task", "gearman")]
    assert schema["additionalProperties"] is False
    assert "title" not in schema["properties"]["retries"]
    for name, setting in schema["properties"].items():
        assert setting["description"].endswith("."), name
    nested = schema["properties"]["retries"]["anyOf"][1]["properties"]
    assert nested["backoff"]["default"] == "30s"


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(["5m", "every 5m", "* * * * *", "Europe/Berlin", "1:00-2:00", "20%", "1e9"]),
    lambda part: (
        st.lists(part, max_size=3)
        | st.dictionaries(
            st.text(max_size=5) | st.sampled_from(["max", "every", "A"]), part, max_size=3
        )
    ),
    max_leaves=6,
)
SETTINGS = st.sampled_from(list(JobDefinition.model_fields)) | st.text(max_size=5)


@given(st.dictionaries(SETTINGS, VALUES, max_size=6))
def test_it_never_raises_anything_but_sentences(settings: Any):
    raw = {"name": "a", "command": "b"} | settings
    try:
        made = read_job(raw, timezone="UTC")
    except CronherdError as error:
        assert str(error).replace("\n", "").isprintable()  # noqa: PT017 - both ways are right
    else:
        assert read_job(made.spec, timezone="UTC") == made
        json.dumps(made.spec)


def test_faults_come_by_file_line_and_column_and_those_without_a_place_last():
    places = ["job.x", "b.yaml:2:1: x", "a.yaml:10:1", "a.yaml:9:12: y", "a.yaml:9:5: z", "env"]
    error = bounded([Invalid("is wrong", where=where) for where in places])
    assert [fault.where for fault in error.errors] == [
        "a.yaml:9:5: z",
        "a.yaml:9:12: y",
        "a.yaml:10:1",
        "b.yaml:2:1: x",
        "job.x",
        "env",
    ]
