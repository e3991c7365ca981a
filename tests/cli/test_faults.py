"""Wrong input, broken pipes and signals: one sentence, the right code, never a traceback."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from cronherd.domain.errors import Invalid, InvalidInput
from tests.cli.conftest import ROOT, Process, Shell
from tests.cli.fakes import FakeFleet

WRONG = [
    (("jbo", "list"), 2, "unknown command 'jbo'\n  did you mean 'job'?"),
    (("job", "lits"), 2, "unknown command 'lits'\n  did you mean 'list'?"),
    (("job",), 2, "Usage: cronherd job"),
    (("job", "list", "--utf"), 2, "no such option"),
    (("job", "list", "-o", "xml"), 2, "'xml' is not one of"),
    (("job", "list", "more"), 2, "unexpected extra argument"),
    (("job", "show"), 2, "missing argument 'NAME'"),
    (("job", "show", "nobody"), 1, "there is no job 'nobody'\n  did you mean 'backup'?"),
    (("job", "show", "a\x1b[31m"), 1, "there is no job 'a\\x1b[31m'"),
    (("job", "create"), 2, "a job needs a name"),
    (("job", "create", "x"), 2, "a job needs a command"),
    (("job", "create", "x", "-c", "a", "--", "b"), 2, "give the command once"),
    (("job", "create", "x", "-c", "a", "-s", "* * *"), 1, "schedule: five fields are needed"),
    (("job", "create", "x", "-c", "a", "--timezone", "Mars"), 1, "unknown time zone 'Mars'"),
    (("job", "create", "x", "-c", "a", "--env", "A"), 2, "'A' is not of the form KEY=VALUE"),
    (("job", "create", "x", "-c", "a", "--set", "tiemout=1"), 1, "did you mean 'timeout'?"),
    (("job", "create", "x", "-c", "a", "--set", "oops"), 2, "'oops' is not a setting"),
    (("job", "create", "-f", "missing.yaml"), 1, "missing.yaml: there is no such file"),
    (("job", "create", "-f", "."), 1, "is a directory, not a file"),
    (("job", "edit", "nobody", "--set", "a=b"), 1, "there is no job"),
    (("job", "delete", "backup"), 2, "repeat it with --yes"),
    (("run", "show", "ffffff"), 1, "there is no run 'ffffff'"),
    (("run", "list", "-n", "0"), 2, "0 is not in the range"),
    (("next", "* * *"), 1, "neither a job nor a schedule: five fields are needed, 3 given"),
    (("next", "* * *", "--timezone", "UTC"), 1, "five fields are needed, 3 given"),
    (("next", "* * * * *", "--timezone", "Mars"), 1, "unknown time zone 'Mars'"),
    (("next", "* * * * *", "--from", "soon"), 1, "'soon' is not a date and time"),
    (("apply", "-f", "missing.yaml"), 1, "missing.yaml: there is no such file"),
    (("apply", "-f", "."), 1, "has no *.yaml file"),
    (("import", "crontab"), 2, "name files, or write --host-crontabs"),
    (("import", "crontab", "missing"), 1, "missing: No such file or directory"),
    (("import", "crontab", "."), 1, "is a directory"),
    (("config", "show", "--database", "oracle://x"), 1, "is not a database"),
    (("config", "show", "--config", "missing.yaml"), 1, "missing.yaml"),
    (("job", "list", "--url", "ftp://x"), 1, "not the address of a cronherd"),
    (("job", "list", "--url", "http://127.0.0.1:1"), 1, "no cronherd answers at"),
    (("job", "list", "--state", ""), 1, "the state directory has no name"),
    (("completion", "tcsh"), 2, "'tcsh' is not one of"),
]


@pytest.mark.parametrize(("args", "code", "sentence"), WRONG, ids=lambda v: str(v)[:40])
def test_wrong_input_gets_one_clear_sentence(
    cronherd: Shell, args: tuple[str, ...], code: int, sentence: str
):
    cronherd("job", "create", "backup", "-c", "true")
    said = cronherd(*args)
    assert said.code == code, said
    assert sentence in said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert said.err.startswith(("cronherd: ", "Usage: "))


@pytest.mark.parametrize(("args", "code", "sentence"), WRONG, ids=lambda v: str(v)[:40])
def test_with_json_every_error_is_one_document(
    cronherd: Shell, args: tuple[str, ...], code: int, sentence: str
):
    if args == ("job", "list", "-o", "xml") or "--" in args:
        pytest.skip("asks for another form")
    cronherd("job", "create", "backup", "-c", "true")
    said = cronherd(*args, "-o", "json")
    assert said.code == code
    error = json.loads(said.err)["error"]
    assert error["code"]
    assert error["detail"]


def test_several_faults_are_several_lines_and_bounded(cronherd: Shell, fleet: FakeFleet):
    faults = [Invalid("is wrong", where=f"jobs.{number}", hint="fix it") for number in range(30)]
    fleet.broken = InvalidInput(faults)
    lines = cronherd("job", "list").err.splitlines()
    assert lines[:2] == ["cronherd: jobs.0: is wrong", "  fix it"]
    assert lines[-1] == "cronherd: and 10 more"
    fleet.broken = InvalidInput(faults[:2])
    assert len(json.loads(cronherd("job", "list", "-o", "json").err)["error"]["errors"]) == 2


def test_the_unexpected_is_a_sentence_and_a_traceback_only_on_request(
    cronherd: Shell, fleet: FakeFleet, environ: dict[str, str]
):
    fleet.broken = ZeroDivisionError("by nothing")
    said = cronherd("job", "list")
    assert said.code == 1
    assert said.err.startswith("cronherd: something unexpected happened: ZeroDivisionError")
    assert "Traceback" not in said.err
    environ["CRONHERD_DEBUG"] = "1"
    assert "Traceback" in cronherd("job", "list").err


def test_an_interrupt_is_silent(cronherd: Shell, fleet: FakeFleet):
    fleet.broken = KeyboardInterrupt()
    said = cronherd("job", "list")
    assert (said.code, said.out, said.err) == (130, "", "")


def test_a_dead_socket_is_passed_over_for_the_database(cronherd: Shell, tmp_path: Path):
    (tmp_path / "state" / "run").mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "state" / "run" / "api.sock"))
        said = cronherd("job", "list")
    assert said.code == 0


# ------------------------------------------------------------------ as a process


def test_a_reader_that_goes_away_is_no_error(process: Process):
    """The list is far longer than a pipe holds."""
    reader, writer = os.pipe()
    os.close(reader)
    done = process("job", "list", "-o", "json", stdout=writer, stderr=subprocess.PIPE,
                   capture_output=False)  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("args", [("job", "list"), ("status",), ("run", "logs", "000000")])
def test_a_closed_or_full_stdout_is_no_traceback(process: Process, args: tuple[str, ...]):
    with Path("/dev/full").open("wb") as full:
        done = process(*args, stdout=full, stderr=subprocess.PIPE, capture_output=False)
    assert done.returncode == 1
    assert b"cronherd: No space left on device" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("environ", [{"LANG": "C"}, {"PYTHONIOENCODING": "ascii"}, {"HOME": ""}])
def test_a_bare_environment_is_enough(process: Process, environ: dict[str, str]):
    done = process("job", "list", environ=environ)
    assert done.returncode == 0
    assert b"backup" in done.stdout


def test_bytes_of_a_run_reach_the_pipe_untouched(process: Process):
    done = process("run", "logs", "000000")
    assert done.stdout == b"\xff\x00 raw\x1b[0m\n"
    assert done.stderr == b"bad\n"


def test_a_terminal_gets_escapes_and_a_table_that_fits(process: Process):
    """A terminal of 40 columns, made with a pseudo terminal."""
    controller, terminal = os.openpty()
    done = process("run", "logs", "000000", stdout=terminal, stderr=subprocess.PIPE,
                   capture_output=False)  # fmt: skip
    assert done.returncode == 0
    assert os.read(controller, 4096) == b"\\xff\\x00 raw\\x1b[0m\r\n"
    process("run", "list", "--no-color", stdout=terminal, stderr=subprocess.PIPE,
            capture_output=False, environ={"COLUMNS": "70"})  # fmt: skip
    assert max(map(len, os.read(controller, 4096).split(b"\r\n"))) <= 70
    os.close(terminal)
    os.close(controller)


@pytest.mark.parametrize(
    ("typed", "code", "talk"),
    [(b"y\n", 0, b"'backup' is deleted"), (b"\n", 1, b"nothing was changed"), (b"\x03", 130, b"")],
)
def test_a_question_is_answered_on_the_terminal(
    tmp_path: Path, typed: bytes, code: int, talk: bytes
):
    """Ctrl-C at the prompt comes from the terminal itself, as it does for a person."""
    controller, terminal = os.openpty()
    started = subprocess.Popen(
        [sys.executable, "-m", "tests.cli.fakes", "job", "delete", "backup"],
        env={"HOME": str(tmp_path), "PATH": os.environ["PATH"],
             "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "STATE_DIRECTORY": str(tmp_path)},
        stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,  # noqa: PLW1509
    )  # fmt: skip
    os.close(terminal)
    assert started.stderr is not None
    asked = b""
    while b"[y/N] " not in asked:
        asked += started.stderr.read1(100)  # type: ignore[attr-defined]
    os.write(controller, typed)
    out, err = started.communicate(timeout=20)
    os.close(controller)
    assert asked == b"Delete 'backup'? [y/N] "
    assert (started.returncode, out) == (code, b"")
    assert talk in err
    assert b"Traceback" not in err


def test_the_version_needs_no_machine_room():
    script = (
        "import sys; sys.argv = ['cronherd', '--version']\n"
        "from cronherd.__main__ import main\n"
        "try: main()\n"
        "except SystemExit as end: print(end.code)\n"
        "print(sorted({'rich', 'yaml', 'pydantic', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == ["cronherd 0.1.0", "0", "[]"]
