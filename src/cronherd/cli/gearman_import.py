"""`cronherd import gearman`: the tasks of a worker's conf.json as jobs, reported line by line."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cronherd.cli.asking import confirm
from cronherd.cli.complaint import printable
from cronherd.cli.grammar import Command, yes_option
from cronherd.cli.output import Json, has_colour, put_document, say, talk
from cronherd.cli.session import Session
from cronherd.cli.words import counted
from cronherd.domain.errors import CronherdError, Invalid
from cronherd.domain.gearmanconf import (
    KNOWN,
    Conf,
    check_script,
    check_task,
    entries_of,
    read_conf,
    read_json,
)
from cronherd.domain.job import name_key

if TYPE_CHECKING:
    from cronherd.client import Fleet

_COLOURS = {"imported": "green", "refused": "red", "replaced": "yellow"}
_RELATIVE = re.compile(r"\s*[\"']?[^/\s\"'$~=;|&()<>]+/")  # a program that is found from a folder
_EMPTY = "no jobs can be made of it"


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskLine:
    """What became of one task; `line` 0 where its place in the file is not known."""

    line: int
    task: str
    state: str
    text: str = ""
    definition: Json | None = None


@click.command("gearman", cls=Command)
@click.argument("conf", metavar="CONF.JSON")
@click.option(
    "--through-gearman",
    "through",
    is_flag=True,
    help="Jobs that hand the task in at its job servers; else they run its script.",
)
@click.option("--dry-run", is_flag=True, help="Report, and stop.")
@yes_option
@click.pass_obj
def gearman_command(
    session: Session, *, conf: str, through: bool, dry_run: bool, yes: bool
) -> None:
    """Make jobs of the tasks of a Gearman worker's conf.json; the same file again updates them.

    When they ran stood in the crontabs of the clients: give the jobs a schedule.

    \b
    cronherd import gearman /etc/perl/cron/dist/worker/conf.json --dry-run
    cronherd import gearman conf.json --through-gearman   # its workers stay
    """  # noqa: D301 - click reads \b as "keep these lines"
    path = Path(conf)
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise Invalid(f"cannot be read: {error.strerror}", where=conf) from None
    lines, notes = _read(raw, path, through=through)
    source = f"gearman:{path.resolve()}"
    with session.fleet() as fleet:
        lines = [_checked(fleet, session, line, source) for line in lines]
        definitions = [line.definition for line in lines if line.definition is not None]
        refused = sum(line.state == "refused" for line in lines)
        _show(session, conf, source, lines, notes)
        if dry_run or not definitions:
            talk(
                f"{counted(len(definitions), 'job')} to import, {refused} refused; nothing was done"
            )
            return
        confirm(f"Import {counted(len(definitions), 'job')}?", yes=yes)
        fleet.apply_jobs(definitions, source, session.actor, dry_run=False)
    talk(f"{counted(len(definitions), 'job')} imported, {refused} refused")
    talk("they may overlap (overlap: allow), and have no schedule yet: cronherd job edit NAME")


def _read(raw: bytes, path: Path, *, through: bool) -> tuple[list[TaskLine], list[str]]:
    """Each task in order. Raises Invalid for a file that no worker would take at all."""
    where, folder = str(path), path.resolve().parent
    try:
        said = read_json(raw)
        entries = entries_of(said.get("jobs"))
        conf = read_conf(raw, worker=False)
    except Invalid as error:
        place = f"{where}: {error.where}" if error.where else where
        raise Invalid(error.text, code=error.code, hint=error.hint, where=place) from None
    if not entries:
        raise Invalid(f"has no tasks: {_EMPTY}", code="bad_gearman_conf", where=where)
    lines = _places(raw.decode("utf-8-sig"), [name for _, name, _ in entries])
    last = {name: place for place, (_, name, _) in enumerate(entries)}
    found = [
        _line(line, name, script, conf if through else None, folder)
        if last[name] == place
        else TaskLine(
            line=line, task=name, state="replaced", text="the same task comes again, and counts"
        )
        for place, (line, (_, name, script)) in enumerate(zip(lines, entries, strict=True))
    ]
    notes = [f"'{key}' is not known and left out" for key in said if key not in KNOWN]
    if said.get("debug"):
        notes.append("debug: cronherd keeps the outcome and the times of each run anyway")
    return found, notes


def _line(line: int, task: str, script: object, conf: Conf | None, folder: Path) -> TaskLine:
    """`folder` is where workers of old run: they look for conf.json there, and so for scripts."""
    try:
        command = check_script(task, script)
        check_task(task)
        name_key(task)
    except Invalid as error:
        return TaskLine(line=line, task=task, state="refused", text=error.text)
    work: Json = {"command": command}
    if _RELATIVE.match(command):
        work["cwd"] = str(folder)
    if conf is not None:
        servers = [str(server) for server in conf.servers]
        work = {"gearman": {"function": task, "servers": servers}}
    definition = {"name": task, **work, "overlap": "allow"}
    return TaskLine(line=line, task=task, state="imported", definition=definition)


def _checked(fleet: "Fleet", session: Session, line: TaskLine, source: str) -> TaskLine:
    """What the fleet says of it: refused where it does not take it."""
    if line.definition is None:
        return line
    try:
        answer = fleet.apply_jobs([line.definition], source, session.actor, dry_run=True)
    except CronherdError as error:
        return replace(line, state="refused", text=str(error), definition=None)
    (told,) = answer["changes"][:1]
    if told["change"] == "refused":
        return replace(line, state="refused", text=told["refusal"]["text"], definition=None)
    text = {"create": "new", "update": "changed"}.get(told["change"], "as it is")
    where = f", runs in {line.definition['cwd']}" if "cwd" in line.definition else ""
    return replace(line, text=f"{text}{where}")


def _places(text: str, names: Sequence[str]) -> list[int]:
    """The line of each task: they are looked for in their order behind "jobs"."""
    begin = re.search(r'"jobs"\s*:', text)
    at, found = begin.end() if begin else 0, []
    for name in names:
        spellings = {json.dumps(name), json.dumps(name, ensure_ascii=False)}
        pattern = rf"(?:{'|'.join(re.escape(word) for word in spellings)})\s*:"
        place = re.compile(pattern).search(text, at)
        if place is None:
            found.append(0)
            continue
        at = place.end()
        found.append(text.count("\n", 0, place.start()) + 1)
    return found


def _show(
    session: Session, path: str, source: str, lines: Sequence[TaskLine], notes: Sequence[str]
) -> None:
    document = {
        "path": path,
        "source": source,
        "notes": list(notes),
        "lines": [
            {"line": line.line or None, "task": line.task, "state": line.state, "text": line.text}
            for line in lines
        ],
    }
    if put_document(session, document, lambda: [line.task for line in lines if line.definition]):
        return
    say(printable(path))
    for note in notes:
        say(f"  note: {printable(note)}")
    for line in lines:
        state = click.style(line.state, fg=_COLOURS[line.state])
        text = f": {printable(line.text)}" if line.text else ""
        number = str(line.line or "?")
        say(f"{number:>5}  {printable(line.task)} {state}{text}", color=has_colour(session))
