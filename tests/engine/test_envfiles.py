"""Files of KEY=value lines: what they may hold, and each sentence of refusal."""

import os
import pwd
from pathlib import Path

import pytest

from cronherd.domain.errors import Invalid
from cronherd.engine.envfiles import LARGEST, parse_env, read_env_files

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root reads for somebody else")
NOBODY = pwd.getpwnam("nobody")

READ: dict[str, tuple[str, dict[str, str]]] = {
    "a pair": ("A=1\nB=two words", {"A": "1", "B": "two words"}),
    "blanks around": ("  A = 1 \n\tB=\t2\t\n", {"A": "1", "B": "2"}),
    "nothing": ("A=\nB=''\nC=\"\"\n", {"A": "", "B": "", "C": ""}),
    "comments and empty lines": ("# one\n\n  # two\nA=1\n   \n#", {"A": "1"}),
    "export": ("export A=1\nexport\tB=2", {"A": "1", "B": "2"}),
    "the last one wins": ("A=1\nA=2\n", {"A": "2"}),
    "an equals sign within": ("A=b=c\n", {"A": "b=c"}),
    "nothing is expanded": ("A=$HOME/`id`\\n\n", {"A": "$HOME/`id`\\n"}),
    "single quotes": ("A='a \"b\" $c \\n # d'\n", {"A": 'a "b" $c \\n # d'}),
    "double quotes": (r'A="a \"b\" \\ \$c \` \n # d"', {"A": r'a "b" \ $c ` \n # d'}),
    "several lines": ("A='one\ntwo'\nB=\"x\ny\"\nC=3", {"A": "one\ntwo", "B": "x\ny", "C": "3"}),
    "a comment behind quotes": ("A='1' # one\nB=\"2\"#two\n", {"A": "1", "B": "2"}),
    "a hash within a word": ("A=a#b\nB=#fff\n", {"A": "a#b", "B": "#fff"}),
    "quotes within a word": ("A=it's\nB=5\"\n", {"A": "it's", "B": '5"'}),
    "ends of lines of another system": ("\ufeffA=1\r\nB='2'\r\n", {"A": "1", "B": "2"}),
}


@pytest.mark.parametrize(("text", "values"), READ.values(), ids=READ)
def test_it_reads_what_such_files_hold(text: str, values: dict[str, str]):
    assert parse_env(text, "/x.env") == values


REFUSED: dict[str, tuple[str, int, str]] = {
    "no equals sign": ("A=1\nsecret\n", 2, "is not KEY=value"),
    "no name": ("=secret", 1, "is not KEY=value"),
    "not a name": ("\nA-B=secret", 2, "is not KEY=value"),
    "a digit first": ("1A=secret", 1, "is not KEY=value"),
    "an open quote": ("A=1\n# x\nB='secret\n", 3, "is not KEY=value"),
    "an open double quote": ('A="secret', 1, "is not KEY=value"),
    "words behind a quote": ("A='secret' more", 1, "is not KEY=value"),
    "a comment, or a part": ("A=secret # of the shop", 1, "has a # behind a blank"),
    "a comment at once": ("A= # secret", 1, "has a # behind a blank"),
    "a NUL": ("A=sec\0ret", 1, "holds a NUL"),
}


@pytest.mark.parametrize(("text", "line", "what"), REFUSED.values(), ids=REFUSED)
def test_it_refuses_what_has_two_meanings_and_repeats_no_value(text: str, line: int, what: str):
    with pytest.raises(Invalid) as caught:
        parse_env(text, "/x.env")
    assert caught.value.text == f"env_file /x.env: line {line} {what}"
    assert caught.value.code == "bad_env_file"
    assert "secret" not in str(caught.value)


def test_files_are_read_in_their_order_and_the_later_wins(tmp_path: Path):
    (tmp_path / "a.env").write_text("A=1\nB=1\n")
    (tmp_path / "b.env").write_text("B=2\n")
    one, two = str(tmp_path / "a.env"), str(tmp_path / "b.env")
    assert read_env_files([one, two], "/") == {"A": "1", "B": "2"}
    assert read_env_files([two, one], "/") == {"A": "1", "B": "1"}
    assert read_env_files(["~/a.env"], str(tmp_path)) == {"A": "1", "B": "1"}


def test_a_missing_file_is_an_error_unless_it_may_be_missing(tmp_path: Path):
    gone = str(tmp_path / "gone.env")
    with pytest.raises(Invalid) as caught:
        read_env_files([gone], "/")
    assert str(caught.value) == (
        f"env_file {gone} does not exist on this host (write -{gone} if it may be missing)"
    )
    assert caught.value.code == "bad_env_file"
    assert read_env_files([f"-{gone}", "-~/gone.env"], str(tmp_path)) == {}


def test_a_file_that_may_be_missing_must_be_right_when_it_is_there(tmp_path: Path):
    (tmp_path / "a.env").write_text("nonsense")
    with pytest.raises(Invalid, match="is not KEY=value"):
        read_env_files([f"-{tmp_path}/a.env"], "/")


def test_it_reads_only_files_and_never_waits(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for name, what in (("pipe", "is not a file"), ("", "is not a file")):
        with pytest.raises(Invalid, match=what):
            read_env_files([f"{tmp_path}/{name}"], "/")
    with pytest.raises(Invalid, match="cannot be read: Not a directory"):
        read_env_files(["/dev/null/x.env"], "/")


def test_it_reads_text_of_a_bounded_size(tmp_path: Path):
    path = tmp_path / "a.env"
    path.write_bytes(b"A=\xff\n")
    with pytest.raises(Invalid, match="is not text in UTF-8"):
        read_env_files([str(path)], "/")
    path.write_text("#" * LARGEST)
    assert read_env_files([str(path)], "/") == {}
    path.write_text("#" * (LARGEST + 1))
    with pytest.raises(Invalid, match="is larger than 1 MiB"):
        read_env_files([str(path)], "/")


def test_many_lines_take_little_time():
    assert len(parse_env("\n".join(f"K{n}='v'" for n in range(50_000)), "/x.env")) == 50_000


@AS_ROOT
@pytest.mark.parametrize(
    ("way", "allowed"),
    [
        ("link", False),
        ("folder", False),
        ("second name", False),
        ("chain", False),
        ("of root", True),
        ("root", True),
        ("own", True),
        ("own link", True),
    ],
)
def test_no_link_of_a_user_leads_root_to_what_they_may_not_read(
    tmp_path: Path, way: str, *, allowed: bool
):
    """The agent is root and reads for nobody, who may change all in `theirs`."""
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    theirs.mkdir()
    os.chown(theirs, NOBODY.pw_uid, NOBODY.pw_gid)
    ours.mkdir()
    secret = ours / "root.env"
    secret.write_text("A=1\n")
    secret.chmod(0o600)
    own = theirs / "own.env"
    own.write_text("A=1\n")
    os.chown(own, NOBODY.pw_uid, NOBODY.pw_gid)
    path = theirs / "x.env"
    if way == "folder":
        _link(theirs / "there", ours)
        path = theirs / "there" / "root.env"
    elif way == "second name":
        path.hardlink_to(secret)
    elif way == "chain":
        _link(theirs / "y.env", secret)
        path.symlink_to(theirs / "y.env")
    elif way == "of root":
        path.symlink_to(secret)
    elif way == "root":
        path = secret
    elif way == "own":
        path = own
    else:
        _link(path, own if way == "own link" else secret)
    if allowed:
        assert read_env_files([str(path)], "/", NOBODY.pw_uid) == {"A": "1"}
    else:
        with pytest.raises(Invalid, match="is a link of a user to a file that is not theirs") as no:
            read_env_files([str(path)], "/", NOBODY.pw_uid)
        assert no.value.code == "bad_env_file"
    assert read_env_files([str(path)], "/") == {"A": "1"}  # a run of root gets what root reads


def _link(path: Path, target: Path) -> None:
    path.symlink_to(target)
    os.lchown(path, NOBODY.pw_uid, NOBODY.pw_gid)


@AS_ROOT
def test_for_another_user_the_sentences_are_the_same(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    wrong = {
        "gone": "does not exist on this host",
        "pipe": "is not a file",
        "": "is not a file",
        "circle": "cannot be read: Too many levels",
        "pipe/x": "cannot be read: Not a directory",
    }
    for name, what in wrong.items():
        with pytest.raises(Invalid, match=what):
            read_env_files([f"{tmp_path}/{name}"], "/", NOBODY.pw_uid)
    assert read_env_files([f"-{tmp_path}/gone"], "/", NOBODY.pw_uid) == {}
