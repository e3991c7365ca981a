"""`cronherd job edit`: the definition in an editor until it is right, or settings given here."""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cronherd.cli.foreign import warn_of_users
from cronherd.cli.grammar import Command
from cronherd.cli.located import located
from cronherd.cli.output import Json, is_terminal, put_document, talk, to_yaml
from cronherd.cli.session import Session
from cronherd.cli.settings import as_written, put_settings
from cronherd.domain.errors import Conflict, CronherdError, Invalid, InvalidInput
from cronherd.views import in_order

if TYPE_CHECKING:
    from cronherd.client import Fleet

_MARK = "#! "  # lines of ours that are written anew each time


@click.command("edit", cls=Command)
@click.argument("name")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Without an editor.")
@click.pass_obj
def edit_command(session: Session, *, name: str, given: tuple[str, ...]) -> None:
    """Change a job, in $VISUAL or $EDITOR; with --set, without one.

    An empty value takes a setting out: --set timeout=
    """
    with session.fleet() as fleet:
        job = fleet.show_job(name)
        if given:
            definition = dict(job["definition"])
            put_settings(definition, given)
            edited = fleet.edit_job(job["id"], definition, job["version"], session.actor)
        else:
            found = _edit_in_editor(session, fleet, job)
            if found is None:
                talk("nothing was changed")
                return
            edited = found
    warn_of_users([edited["definition"]])
    if not put_document(session, edited, lambda: [edited["name"]]):
        talk(f"'{edited['name']}' is saved as version {edited['version']}")


def _edit_in_editor(session: Session, fleet: "Fleet", job: Json) -> Json | None:
    """Open, check, save; with the faults on top until it is right. None: left unchanged."""
    number, path = tempfile.mkstemp(prefix="cronherd-", suffix=".yaml")
    os.close(number)
    file = Path(path)
    original = to_yaml(in_order(job["definition"]))
    text, faults = original, [f"The job '{job['name']}'. Save to apply, leave as it is to stop."]
    keep = False
    try:
        while True:
            file.write_text("".join(f"{_MARK}{fault}\n" for fault in faults) + text, "utf-8")
            _open_editor(session, file)
            edited = _without_marks(file.read_text("utf-8", errors="replace"))
            if edited == text:
                keep = edited != original
                _stop(faults, file, keep=keep)
                return None
            text = edited
            try:
                return _save(session, fleet, job, text)
            except Conflict as error:
                keep = True
                hint = f"your text is kept in {file}; edit the job again"
                raise Conflict(error.text, code=error.code, hint=hint) from None
            except Invalid as error:
                faults = _sentences(error, text, file.name)
            except CronherdError:
                keep = True
                talk(f"your text is kept in {file}")
                raise
    finally:
        if not keep:
            file.unlink(missing_ok=True)


def _stop(faults: list[str], file: Path, *, keep: bool) -> None:
    """The text was left as it was: either nothing was wanted, or the faults are given up on."""
    if keep:
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise Invalid(
            f"nothing was saved: {faults[0]}{more}",
            code="not_saved",
            hint=f"your text is kept in {file}",
        )


def _save(session: Session, fleet: "Fleet", job: Json, text: str) -> Json:
    from cronherd.definition.document import load_document  # noqa: PLC0415 - imports yaml

    definition = load_document(text, "line").value
    if isinstance(definition, dict):
        definition = as_written(definition)
    return fleet.edit_job(job["id"], definition, job["version"], session.actor)


def _sentences(error: Invalid, text: str, name: str) -> list[str]:
    """The faults, with the lines they have below themselves: they will stand on top of the text."""
    from cronherd.definition.document import load_document  # noqa: PLC0415 - imports yaml

    faults = error.errors if isinstance(error, InvalidInput) else [error]
    try:
        document = load_document(f"{_MARK}\n" * len(faults) + text, name)
    except Invalid as broken:
        faults = [broken]
    else:
        faults = located(InvalidInput(faults), document).errors
    return [" ".join(str(fault).split()) for fault in faults]


def _without_marks(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(_MARK))


def _open_editor(session: Session, file: Path) -> None:
    chosen = session.environ.get("VISUAL") or session.environ.get("EDITOR")
    if not chosen and not is_terminal(sys.stdin):
        hint = "use --set KEY=VALUE, or set EDITOR"
        raise Conflict("an editor needs a terminal", code="no_editor", hint=hint)
    editor = chosen or "vi"
    try:
        ended = subprocess.run([*shlex.split(editor), str(file)], check=False)
    except (OSError, ValueError):
        raise Invalid(
            f"the editor '{editor}' cannot be started",
            code="no_editor",
            hint="set EDITOR, or use --set KEY=VALUE",
        ) from None
    if ended.returncode != 0:
        raise Conflict(
            f"the editor '{editor}' ended with {ended.returncode}; nothing was saved",
            code="editor_failed",
        )
