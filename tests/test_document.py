"""One YAML text: its values, the places of everything, and every way it can be bad."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cronherd.definition import document
from cronherd.definition.document import MAX_BYTES, Spelled, load_document, read_document
from cronherd.domain.errors import CronherdError, Invalid

TEXT = """\
# a comment
jobs:
  - name: nightly
    command: [echo, a]
    env: {A: b}
  - name: other
"""


def refused(text: str) -> Invalid:
    with pytest.raises(Invalid) as caught:
        load_document(text, "f.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), "f.yaml"),
        (("jobs",), "f.yaml:2:1"),
        (("jobs", 0), "f.yaml:3:5"),
        (("jobs", 0, "command"), "f.yaml:4:5"),
        (("jobs", 0, "command", 1), "f.yaml:4:21"),
        (("jobs", 0, "env", "A"), "f.yaml:5:11"),
        (("jobs", 1, "timeout"), "f.yaml:6:5"),
        (("nowhere", 3), "f.yaml"),
    ],
)
def test_it_knows_the_place_of_each_key_and_item_or_of_the_nearest_ancestor(path: Any, place: str):
    assert load_document(TEXT, "f.yaml").place(path) == place


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        ("12:30", "12:30"),
        ("23:00-03:00", "23:00-03:00"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("2026-01-01", "2026-01-01"),
        ("08", "08"),
        ("0755", "0755"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("true", True),
        ("FALSE", False),
        ("~", None),
        ("", None),
        ("-5", -5),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("'5'", "5"),
        ("!!str 5", "5"),
        (".inf", ".inf"),
        ("20%", "20%"),
    ],
)
def test_it_reads_the_scalars_of_yaml_1_2(scalar: str, value: Any):
    assert load_document(f"key: {scalar}", "f.yaml").value == {"key": value}


def test_it_keeps_the_spelling_of_a_number():
    value = load_document("version: 1.10", "f.yaml").value
    assert isinstance(value, dict)
    assert isinstance(value["version"], Spelled)
    assert value["version"].spelling == "1.10"


def test_it_makes_text_of_every_key():
    assert load_document("1: a\ntrue: b\nnull: c", "f").value == {
        "1": "a",
        "true": "b",
        "null": "c",
    }


def test_it_reads_json_with_characters_beyond_16_bits_and_tabs():
    value = {"jobs": [{"name": "a 😀", "command": 'say "x"\n', "n": 5, "x": None}]}
    assert load_document(json.dumps(value, indent="\t"), "f.json").value == value


@pytest.mark.parametrize("text", ["", " \n", "# only a comment\n", "---\n", "\ufeff"])
def test_it_takes_an_empty_text_as_nothing(text: str):
    assert load_document(text, "f.yaml").value is None


def test_it_follows_aliases_without_copying():
    value = load_document("a: &x {b: [1]}\nc: *x", "f.yaml").value
    assert value == {"a": {"b": [1]}, "c": {"b": [1]}}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3:1: 'a' is given twice (first on line 1)"),
        ("j:\n  a: 1\n  'a': 3", "f.yaml:3:3: 'a' is given twice (first on line 2)"),
        ('{"a": 1, "a": 2}', "f.yaml:1:10: 'a' is given twice (first on line 1)"),
        ("a:\n\tb: 1", "f.yaml:2:1: a tab cannot indent YAML (use blanks)"),
        (
            "schedule: @daily",
            "f.yaml:1:11: text cannot begin with '@' (put it in quotes: '@daily')",
        ),
        (
            "schedule: */5 * * * *",
            "f.yaml:1:12: text that begins with '*' or '&' needs quotes (write '*/5 * * * *')",
        ),
        (
            "s: *abc",
            (
                "f.yaml:1:4: '*abc' means an alias that does not exist "
                "(as text, put it in quotes: '*abc')"
            ),
        ),
        (
            "a: b: c",
            (
                "f.yaml:1:5: a ':' is not expected here (put the text in quotes, "
                "or check the indentation)"
            ),
        ),
        ("a: 'x", "f.yaml:1:6: a quote is not closed"),
        ("a: [1, 2", "f.yaml:2:1: a ',' or a closing ']' is missing"),
        ("a: {b: 1", "f.yaml:2:1: a ',' or a closing '}' is missing"),
        (
            "a: {b: ${X}, c: 1}",
            "f.yaml:1:9: '${' needs quotes within braces (write '${NAME}')",
        ),
        ("a\n---\nb", "f.yaml:2:1: a second document begins here (one file, one text)"),
        ("a: !shell x", "f.yaml:1:4: the tag '!shell' is not known here"),
        ("a: !!seq {}", "f.yaml:1:4: the tag 'tag:yaml.org,2002:seq' is not known here"),
        ('a: "\\0"', "f.yaml:1:4: contains a NUL or half a surrogate pair"),
        ("a: x\0", "f.yaml:1:5: a character that text may not have (U+0000)"),
        ("a: \ud800", "f.yaml:1:4: a character that text may not have (U+D800)"),
        ("a: 1\nb: \x1b[2J", "f.yaml:2:4: a character that text may not have (U+001B)"),
        ("<<: {a: 1}", "f.yaml:1:1: '<<' does not merge here (use the defaults: block)"),
        (
            "? [a]\n: b",
            "f.yaml:1:3: a key must be plain text (quote it, or remove the braces)",
        ),
    ],
)
def test_it_says_where_and_in_plain_words_what_is_wrong(text: str, sentence: str):
    assert str(refused(text)) == sentence


@pytest.mark.parametrize("text", ["[" * 100_000, "a: " * 3 + "{b: " * 100_000, "- " * 100_000])
def test_it_refuses_depth(text: str):
    assert refused(text).code == "bad_yaml"


def test_it_refuses_depth_by_aliases_of_aliases():
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))
    assert "nested deeper" in refused(chain).text


def test_it_refuses_an_alias_bomb_at_once():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)
    )
    assert "more than 1,000,000 values" in refused(bomb).text


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
def test_it_reads_and_refuses_alike_with_and_without_the_c_library(
    loader: Any, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(document, "_LOADER", loader)
    read = load_document(TEXT, "f.yaml")
    assert read.place(("jobs", 0, "command", 1)) == "f.yaml:4:21"
    assert refused("a: 1\na: 2").code == "duplicate_key"
    for text in [
        'a: "\\UFFFFFFFF"',
        'a: "\\U00110000"',
        "[" * 100_000,
        "a: [",
        "%YAML 9.9\n---\na",
    ]:
        assert refused(text).code == "bad_yaml"


def test_it_refuses_a_number_without_end():
    assert refused("a: " + "9" * 5_000).code == "bad_number"


def test_it_refuses_a_text_above_the_limit():
    assert refused("#" * (MAX_BYTES + 1)).code == "too_large"


def test_it_reads_a_file(tmp_path: Path):
    path = tmp_path / "jobs.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    read = read_document(path, "jobs.yaml")
    assert read.value == {"a": 1, "b": 2}
    assert read.place(("b",)) == "jobs.yaml:2:1"


@pytest.mark.parametrize(
    ("raw", "code", "words"),
    [
        (b"a: 1\nb: \xff\n", "not_utf8", "f.yaml:2:4: is not UTF-8"),
        ("a: 1".encode("utf-16"), "not_utf8", "it looks like UTF-16"),
        (b"#" * (MAX_BYTES + 1), "too_large", "is larger than 10 MiB"),
    ],
)
def test_it_refuses_a_file_that_is_not_text(tmp_path: Path, raw: Any, code: str, words: str):
    path = tmp_path / "f.yaml"
    path.write_bytes(raw)
    with pytest.raises(Invalid) as caught:
        read_document(path, "f.yaml")
    assert caught.value.code == code
    assert words in str(caught.value)


def test_it_says_what_is_in_the_way_of_a_file(tmp_path: Path):
    with pytest.raises(Invalid, match="no such file") as missing:
        read_document(tmp_path / "none.yaml")
    assert missing.value.where == str(tmp_path / "none.yaml")
    with pytest.raises(Invalid, match="is a directory"):
        read_document(tmp_path)
    with pytest.raises(Invalid, match="not a path"):
        read_document(Path("a\0b"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_it_says_that_a_file_may_not_be_read(tmp_path: Path):
    path = tmp_path / "f.yaml"
    path.touch(mode=0o000)
    with pytest.raises(Invalid, match="may not be read"):
        read_document(path)


PIECES = st.sampled_from(
    [
        *"abc01:-?!&*{}[],#|>@%'\"\\~ \n\t",
        "\n  ",
        "\n- ",
        ": ",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "\\u",
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=30).map("".join)))
def test_it_never_raises_anything_but_a_sentence(text: str):
    try:
        read = load_document(text, "f.yaml")
    except CronherdError as error:
        assert str(error).startswith("f.yaml")  # noqa: PT017 - both ways are right
    else:
        read.place(("a",))
