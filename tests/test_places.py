"""Where state and sockets live."""

from pathlib import Path
from typing import Any

import pytest

from cronherd.domain.errors import Invalid
from cronherd.places import runtime_dir, state_dir

HOME = Path("/home/ada")


@pytest.mark.parametrize(
    ("flag", "environ", "is_root", "home", "place"),
    [
        ("/srv/x", {"STATE_DIRECTORY": "/a"}, True, HOME, "/srv/x"),
        (None, {"STATE_DIRECTORY": "/a:/b"}, True, HOME, "/a"),
        (None, {"STATE_DIRECTORY": ""}, True, HOME, "/var/lib/cronherd"),
        (None, {}, True, None, "/var/lib/cronherd"),
        (None, {"XDG_STATE_HOME": "/s"}, False, HOME, "/s/cronherd"),
        (None, {"XDG_STATE_HOME": "relative"}, False, HOME, "/home/ada/.local/state/cronherd"),
        (None, {}, False, HOME, "/home/ada/.local/state/cronherd"),
    ],
)
def test_it_finds_the_state_directory(
    flag: str | None, environ: Any, is_root: Any, home: Path | None, place: str
):
    assert state_dir(flag, environ, is_root=is_root, home=home) == Path(place)


def test_it_makes_the_flag_absolute():
    assert state_dir("var", {}, is_root=False, home=HOME) == Path.cwd() / "var"


@pytest.mark.parametrize(("flag", "home"), [(None, None), ("", HOME), ("a\0b", HOME)])
def test_it_says_what_to_do_without_a_state_directory(flag: str | None, home: Path | None):
    with pytest.raises(Invalid, match="state"):
        state_dir(flag, {}, is_root=False, home=home)


@pytest.mark.parametrize(
    ("explicit", "environ", "is_root", "place"),
    [
        (True, {"RUNTIME_DIRECTORY": "/run/x:/run/y"}, True, "/run/x"),
        (True, {"XDG_RUNTIME_DIR": "/run/user/5"}, True, "/state/run"),
        (False, {"XDG_RUNTIME_DIR": "/run/user/5"}, True, "/run/cronherd"),
        (False, {"XDG_RUNTIME_DIR": "/run/user/5"}, False, "/run/user/5/cronherd"),
        (False, {}, False, "/state/run"),
    ],
)
def test_it_finds_the_runtime_directory(explicit: Any, environ: Any, is_root: Any, place: str):
    found = runtime_dir(Path("/state"), explicit=explicit, environ=environ, is_root=is_root)
    assert found == Path(place)
