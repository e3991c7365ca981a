"""What the command line says itself: nothing of others is obeyed by the terminal it comes to."""

import io
import re
import sys
from typing import Any

import click
import pytest

from cronherd.cli.applied import show_changes
from cronherd.cli.asking import confirm
from cronherd.cli.output import put_text, say
from cronherd.cli.session import Session
from tests.access.harmless import CONTROL
from tests.access.hostile import STRINGS
from tests.cli.fakes import FakeFleet, FakeHost

OURS = re.compile(r"\x1b\[[0-9;]*m")
NUMBERS = range(len(STRINGS))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def session() -> Session:
    return Session(
        load_host=lambda: FakeHost(FakeFleet()), now_us=lambda: 0, environ={"TERM": "xterm"}
    )


@pytest.mark.parametrize("text", STRINGS, ids=NUMBERS)
def test_a_plan_shows_values_and_obeys_none(monkeypatch: pytest.MonkeyPatch, text: str):
    """A terminal with colours: what differs is of the file, and of whoever saved the job before."""
    differs = {"key": "command", "old": text, "new": [text]}
    changes: list[dict[str, Any]] = [
        {"change": "update", "name": text, "differences": [differs]},
        {"change": "create", "name": "a", "taken_from": text},
        {"change": "refused", "name": "b", "refusal": {"text": text, "code": "x", "hint": text}},
    ]
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    show_changes(session(), changes)
    said = terminal.getvalue()
    assert not CONTROL.search(OURS.sub("", said.replace("\n", "")))
    # No colour but those of the lines themselves, five of them, each with its end.
    assert len(OURS.findall(said)) == 10
    assert len(said.splitlines()) == 5


@pytest.mark.parametrize("text", STRINGS, ids=NUMBERS)
def test_a_question_repeats_what_is_asked_about_and_obeys_none_of_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str
):
    stdin = Terminal("no\n")
    monkeypatch.setattr(sys, "stdin", stdin)
    with pytest.raises(click.exceptions.Exit):
        confirm(f"Delete '{text}'?", yes=False)
    said = capsys.readouterr().err
    assert not CONTROL.search(said)
    assert len(said.split("\n")) == 2


def test_a_file_for_another_program_keeps_its_bytes_unless_a_person_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    line = "0 2 * * * echo \x1b[31mred\x1b[0m \x9b2J"
    put_text(line)
    assert capsys.readouterr().out == f"{line}\n"
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    put_text(line)
    shown = "0 2 * * * echo \\x1b[31mred\\x1b[0m \\x9b2J\n"
    assert terminal.getvalue() == shown


def test_only_colours_of_ours_are_kept_in_what_is_said(capsys: pytest.CaptureFixture[str]):
    say("\x1b[31mred\x1b[0m\x1b[2J\x07\ta\nb", color=True)
    assert capsys.readouterr().out == "\x1b[31mred\x1b[0m\\x1b[2J\\x07\ta\nb\n"
