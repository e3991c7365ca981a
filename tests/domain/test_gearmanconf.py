"""The conf.json of old, read as its programs read it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.domain.gearmanconf import read_conf
from cronherd.domain.jobserver import Server, read_server

OLD = b"""{
  "job_servers": [{"server": "192.168.0.21", "port": "4730"}, {"server": "two", "port": 4731}],
  "jobs": [{"task1": "/usr/local/bin/script1.sh"}, {"task2": "/usr/local/bin/script2.sh -v"}],
  "debug": "true"
}"""
ONE = {"job_servers": [{"server": "h"}], "jobs": [{"t": "/s"}]}


def read(said: object, *, worker: bool = True) -> Any:
    return read_conf(json.dumps(said).encode(), worker=worker)


def test_the_format_of_old_is_read():
    """D4.1: ports and switches are texts, a task is an object of its own."""
    conf = read_conf(OLD, worker=True)
    assert conf.servers == (Server("192.168.0.21", 4730), Server("two", 4731))
    assert conf.scripts == {
        "task1": "/usr/local/bin/script1.sh",
        "task2": "/usr/local/bin/script2.sh -v",
    }
    assert conf.debug


def test_a_client_needs_no_tasks():
    assert read({"job_servers": [{"server": "h", "port": "1"}]}, worker=False).servers == (
        Server("h", 1),
    )


def test_a_task_that_is_there_twice_is_the_later_one():
    jobs = [{"t": "/a"}, {"u": "/u", "t": "/b"}]
    assert read(ONE | {"jobs": jobs}).scripts == {"t": "/b", "u": "/u"}
    assert read(ONE | {"jobs": {"t": "/b"}}).scripts == {"t": "/b"}


@pytest.mark.parametrize(
    ("said", "debug"),
    [
        *((said, True) for said in ("true", True, 1, "1", "TRUE")),
        *((said, False) for said in ("false", False, 0, "0", "")),
    ],
)
def test_debug_is_a_word_or_a_number(said: object, *, debug: bool):
    assert read(ONE | {"debug": said}).debug is debug


def test_a_server_is_there_once_and_has_the_usual_port():
    twice = [{"server": "h"}, {"server": "h", "port": "4730"}]
    assert read(ONE | {"job_servers": twice}).servers == (Server("h", 4730),)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"job_servers": []}, "job_servers"),
        ({"job_servers": "h:1"}, "job_servers"),
        ({"job_servers": ["h"]}, "job_servers[0]"),
        ({"job_servers": [{"port": 1}]}, "job_servers[0]"),
        ({"job_servers": [{"server": "h", "port": "x"}]}, "job_servers[0]"),
        ({"job_servers": [{"server": "h", "port": 0}]}, "job_servers[0]"),
        ({"job_servers": [{"server": "h", "port": True}]}, "job_servers[0]"),
        ({"job_servers": [{"server": "a b", "port": 1}]}, "job_servers[0]"),
        ({"jobs": []}, "jobs"),
        ({"jobs": "t"}, "jobs"),
        ({"jobs": ["t"]}, "jobs[0]"),
        ({"jobs": [{"t": 5}]}, "jobs"),
        ({"jobs": [{"t": " "}]}, "jobs"),
        ({"jobs": [{"t": "/s\0"}]}, "jobs"),
        ({"jobs": [{"": "/s"}]}, "jobs"),
        ({"jobs": [{"t\n": "/s"}]}, "jobs"),
        ({"jobs": [{"t" * 600: "/s"}]}, "jobs"),
        ({"debug": "perhaps"}, "debug"),
        ({"debug": []}, "debug"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change: dict[str, object], where: str):
    with pytest.raises(Invalid) as caught:
        read(ONE | change)
    assert (caught.value.where, caught.value.code) == (where, "bad_gearman_conf")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"\xff", b"{" * 100_000, b"[" * 100_000])
def test_what_is_no_object_is_refused(raw: bytes):
    with pytest.raises(Invalid):
        read_conf(raw, worker=True)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=9),
                    lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.sampled_from(["job_servers", "jobs", "server", "t"]),
                                      inner, max_size=3)))  # fmt: skip
def test_no_json_breaks_it(said: object):
    try:
        read(said)
    except Invalid:
        return


@pytest.mark.parametrize(
    ("text", "server"),
    [
        ("h", Server("h", 4730)),
        ("h:1", Server("h", 1)),
        ("[::1]:2", Server("::1", 2)),
        ("[::1]", Server("::1", 4730)),
        ("2001:db8::1", Server("2001:db8::1", 4730)),
    ],
)
def test_a_server_is_a_host_and_a_port(text: str, server: Server):
    assert read_server(text) == server
    assert read_server(str(server)) == server


@pytest.mark.parametrize("text", ["", "h:", "h:x", "h:70000", "[::1", "[::1]x", "a b", "h/x", "[]"])
def test_what_names_no_server_is_refused(text: str):
    with pytest.raises(Invalid):
        read_server(text)
