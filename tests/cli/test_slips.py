"""What newcomers type: another order, another program's words, a forgotten quote."""

import json

import pytest

from tests.cli.conftest import Shell

MEANT = [
    ("jobs", "job list"),
    ("ls", "job list"),
    ("list", "job list"),
    ("list jobs", "job list"),
    ("list nodes", "node list"),
    ("ls runs", "run list"),
    ("jobs show x", "job show"),
    ("dsiable x", "job disable"),
    ("tail x", "logs -f"),
    ("delete job x", "job delete"),
    ("rm x", "job delete"),
    ("show x", "job show"),
    ("create x", "job create"),
    ("cancel x", "run cancel"),
    ("version", "--version"),
    ("help", "--help"),
    ("start", "up"),
    ("history", "run list"),
    ("run greet", "job run greet"),
    ("run start greet", "job run"),
    ("run 'two words'", "job run"),
    ("job logs x", "logs"),
    ("job next x", "next"),
    ("job status x", "status"),
    ("job cancel x", "run cancel"),
    ("job suspend x", "job pause"),
    ("job unpause x", "job resume"),
    ("pause x", "job pause"),
    ("resume x", "job resume"),
    ("drain x", "node drain"),
    ("cordon x", "node drain"),
    ("node delete x", "node remove"),
    ("node enable x", "node resume"),
    ("freeze", "maintenance on"),
    ("maintenance end", "maintenance off"),
    ("import /etc/crontab", "import crontab /etc/crontab"),
    ("import -", "import crontab -"),
    ("import my.tab", "import crontab my.tab"),
    ("db migrate", "db upgrade"),
    ("config list", "config show"),
]


@pytest.mark.parametrize(("typed", "command"), MEANT)
def test_a_command_of_another_place_is_told(cronherd: Shell, typed: str, command: str):
    said = cronherd(*typed.split(maxsplit=1 if "'" in typed else -1))
    assert (said.code, said.out) == (2, "")
    assert said.err.endswith(f"  did you mean 'cronherd {command}'?\n")
    as_json = cronherd("-o", "json", *typed.split(maxsplit=1 if "'" in typed else -1))
    assert json.loads(as_json.err)["error"]["hint"] == f"did you mean 'cronherd {command}'?"


@pytest.mark.parametrize(
    ("typed", "word"),
    [("jbo list", "job"), ("statsu", "status"), ("job lits", "list"), ("run shwo", "show")],
)
def test_a_slip_of_the_keys_is_told_from_a_word_of_another_place(
    cronherd: Shell, typed: str, word: str
):
    assert f"did you mean '{word}'?" in cronherd(*typed.split()).err


@pytest.mark.parametrize("typed", ["zzzz", "job zzzz"])
def test_what_nobody_can_guess_is_left_to_the_help(cronherd: Shell, typed: str):
    assert "--help'" in cronherd(*typed.split()).err


@pytest.mark.parametrize(
    ("args", "sentence", "hint"),
    [
        (("job", "create", "x", "-s", "30", "2", "a.txt", "-c", "y"),
         "'30' is only the first word of a schedule", "as in -s '30 2 * * *'"),
        (("job", "create", "x", "-s", "every", "10s", "-c", "y"),
         "'every' is only the first word of a schedule", "in quotes"),
        (("job", "create", "x", "-c", "echo", "hello"),
         "give the command once", "in quotes: --command 'echo hello'"),
        (("job", "run", "my", "job"), "unexpected extra argument", "text with blanks in quotes"),
        (("next", "-5 * * * *"), "no such option", "stands behind --"),
        (("job", "delete", "-1"), "no such option '-1'", "stands behind --"),
        (("logs",), "missing argument 'JOB'", "write: cronherd logs [OPTIONS] JOB"),
        (("alerts", "test"), "missing argument '{mail|webhook|ping}'", "write: cronherd alerts"),
        (("run", "list", "-n", "-1"), "-1 is not in the range 1 to 1000", "--help"),
        (("run", "list", "-n", "9" * 60), "9999 is not in the range 1 to 1000", ""),
        (("--verison",), "no such option '--verison'", "did you mean '--verbose', '--version'?"),
        (("run", "list", "-n", "x"), "'x' is not a valid number", ""),
    ],
)  # fmt: skip
def test_forgotten_quotes_and_odd_numbers_have_a_hint(
    cronherd: Shell, args: tuple[str, ...], sentence: str, hint: str
):
    said = cronherd(*args)
    assert said.code == 2
    first, second = said.err.splitlines()
    assert sentence in first
    assert hint in second


def test_an_expression_that_the_shell_took_apart_is_to_be_quoted(cronherd: Shell):
    said = cronherd("next", "30", "2", "a.txt", "b.txt", "a.txt", "b.txt")
    assert said.code == 1
    assert "  put the expression in quotes, such as " in said.err
    assert "quotes" not in cronherd("next", "30 2 a b c d").err


def test_the_help_of_numbers_is_plain(cronherd: Shell):
    said = cronherd("job", "create", "--help").out + cronherd("run", "list", "--help").out
    assert "RANGE" not in said
    assert "x>=" not in said
    assert "--retries NUMBER " in said


def test_nothing_on_standard_input_is_named_so(cronherd: Shell):
    said = cronherd("job", "create", "-f", "-")
    assert said.err.startswith("cronherd: standard input: is not the definition of a job\n")


def test_a_group_without_a_command_is_an_error_document_with_json(cronherd: Shell):
    said = cronherd("-o", "json", "job")
    error = json.loads(said.err)["error"]
    assert (said.code, error["code"], error["detail"]) == (2, "usage", "a command is missing")
