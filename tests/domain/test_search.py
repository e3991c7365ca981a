"""Searches by tables: what a text asks for, and what is refused with a hint."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import HOUR_US, parse_instant
from cronherd.domain.run import Cause, Outcome, RunState
from cronherd.domain.search import (
    JOB_KEYS,
    LIVE,
    RUN_KEYS,
    JobSearch,
    RunSearch,
    Search,
    has_words,
    joined,
    parse_search,
    plain_part,
    read_job_search,
    read_run_search,
)
from cronherd.domain.standing import BAD, Standing

NOW_US = 1_795_255_200_000_000  # 2026-11-21T10:00:00Z
NONE: frozenset[RunState] = frozenset()
ALL = frozenset(Outcome)


@pytest.mark.parametrize(
    ("text", "values", "words"),
    [
        ("", {}, ()),
        ("  \t\n ", {}, ()),
        ("backup", {}, ("backup",)),
        ("state:failed node:db-1 tag:backup text", {"state": "failed", "node": "db-1",
         "tag": "backup"}, ("text",)),
        ('job:"nightly report" "a:b"', {"job": "nightly report"}, ("a:b",)),
        (r'job:"a\"b\\c"', {"job": 'a"b\\c'}, ()),
        ("STATE:failed", {"state": "failed"}, ()),
        ("job:a:b", {"job": "a:b"}, ()),
        ('it"s', {}, ('it"s',)),
        ("naïve:x", {}, ("naïve:x",)),
        (":x", {}, (":x",)),
        ('"" x', {}, ("x",)),
    ],
)  # fmt: skip
def test_a_text_becomes_tokens(text: str, values: dict[str, str], words: tuple[str, ...]):
    found = parse_search(text, RUN_KEYS)
    assert (found.values, found.words) == (values, words)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("color:red", "'color:' is not known here"),
        ("http://x", "'http:' is not known here"),
        ("tag:a tag:b", "'tag:' stands twice"),
        ('tag:""', "'tag:' has no value"),
        ("tag: a", "'tag:' has no value"),
        ('"open', "a quote is not closed"),
        ('tag:"open', "a quote is not closed"),
        ('"a"b', "a quote is not closed"),
        ("x " * 251, "at most 500 characters"),
        ("x " * 21, "at most 20 tokens"),
    ],
)
def test_what_is_no_search_is_refused(text: str, told: str):
    with pytest.raises(Invalid, match=told) as caught:
        parse_search(text, RUN_KEYS)
    assert (caught.value.code, caught.value.where) == ("bad_search", "q")


@given(
    st.dictionaries(st.sampled_from(RUN_KEYS), st.text(min_size=1, max_size=20), max_size=8),
    st.lists(st.text(min_size=1, max_size=20), max_size=8),
)
def test_a_search_says_itself_again(values: dict[str, str], words: list[str]):
    search = Search(values=values, words=tuple(words))
    if len(str(search)) <= 500:
        again = parse_search(str(search), RUN_KEYS)
        assert (dict(again.values), again.words) == (values, tuple(words))


@pytest.mark.parametrize(
    ("text", "live", "outcomes"),
    [
        ("", LIVE, ALL),
        ("state:running", {RunState.RUNNING}, set()),
        ("state:waiting,ready", {RunState.WAITING, RunState.READY}, set()),
        ("state:finished", NONE, ALL),
        ("state:failed", NONE, {Outcome.FAILED}),
        ("state:running,lost", {RunState.RUNNING}, {Outcome.LOST}),
        ("state:error", NONE, BAD),
        ("state:Failed", NONE, {Outcome.FAILED}),
        ("outcome:failed,lost", NONE, {Outcome.FAILED, Outcome.LOST}),
        ("state:finished outcome:lost", NONE, {Outcome.LOST}),
        ("state:running outcome:lost", NONE, set()),
        ("state:unknown", {RunState.RUNNING}, set()),
    ],
)
def test_states_of_runs(text: str, live: set[RunState], outcomes: set[Outcome]):
    found = read_run_search(text, NOW_US, UTC)
    assert (set(found.live), set(found.outcomes)) == (set(live), set(outcomes))


def test_the_rest_of_a_run_search():
    zone = ZoneInfo("Europe/Berlin")
    text = "job:a node:n tag:t cause:Manual since:2h until:2026-11-21T10:30 x"
    assert read_run_search(text, NOW_US, zone) == RunSearch(
        job="a",
        node="n",
        tag="t",
        cause=Cause.MANUAL,
        since_us=NOW_US - 2 * HOUR_US,
        until_us=parse_instant("2026-11-21T09:30Z"),
        words=("x",),
    )
    assert read_run_search("state:suspected", NOW_US, zone).silent == {"suspected"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("state:broken", "bad_state"),
        ("state:failed,", "bad_state"),
        ("outcome:running", "bad_outcome"),
        ("cause:me", "bad_cause"),
        ("since:yesterday", "bad_instant"),
        ("state:unknown,failed", "bad_search"),
    ],
)
def test_a_bad_word_is_refused(text: str, code: str):
    with pytest.raises(Invalid) as caught:
        read_run_search(text, NOW_US, UTC)
    assert caught.value.code == code


def test_a_job_search():
    assert read_job_search("state:not-due tag:a node:b source:f x y") == JobSearch(
        standing=Standing.NOT_DUE, tag="a", node="b", source="f", words=("x", "y")
    )
    assert read_job_search("") == JobSearch()
    with pytest.raises(Invalid) as caught:
        read_job_search("state:failed")
    assert caught.value.code == "bad_state"
    assert "overdue" in caught.value.hint


def test_a_search_and_single_values_are_joined():
    assert joined("tag:a x", JOB_KEYS, state="error", node=None) == "tag:a state:error x"
    assert joined(None, JOB_KEYS) is None
    assert joined(None, JOB_KEYS, tag='a "b"') == r'tag:"a \"b\""'
    with pytest.raises(Invalid, match="'tag' is given twice"):
        joined("tag:a", JOB_KEYS, tag="b")


def test_words_are_looked_for_in_any_case():
    assert has_words(["Backup GRÜSSE", "db"], ["grüße", "DB"])
    assert not has_words(["backup"], ["backup", "x"])
    assert has_words([], [])


@pytest.mark.parametrize(
    ("word", "part"),
    [("Grüße", "gr"), ("日本", ""), ("A-b c", "a-b c"), ("éabc", "abc"), ("PASSWORD", "word")],
)
def test_what_of_a_word_a_database_may_look_for(word: str, part: str):
    assert plain_part(word) == part
