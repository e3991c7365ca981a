"""What an import says of each line of each crontab, for people and for programs."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from cronherd.cli.complaint import printable
from cronherd.cli.import_plan import STDIN, Plan
from cronherd.cli.output import Json, has_colour, put_document, say
from cronherd.cli.session import Session
from cronherd.crontabs.places import HostCrontabs, folders_of
from cronherd.domain.imported import Imported, LineState, ReportLine

_COLOURS = {LineState.IMPORTED: "green", LineState.CHANGED: "yellow", LineState.REFUSED: "red"}


def show(
    session: Session,
    plans: Sequence[Plan],
    changes: Sequence[list[Json]],
    node: str | None,
    host: HostCrontabs | None,
) -> None:
    """The report of all files; `changes` are those of each plan."""
    document = {
        "node": node,
        "files": [
            {
                "path": plan.path,
                "kind": plan.read.crontab.kind.value,
                "owner": plan.read.owner,
                "source": plan.sheet.source,
                "notes": list(plan.read.notes),
                "lines": [line_document(line, _notes(plan, line, host)) for line in plan.report],
                "changes": own,
            }
            for plan, own in zip(plans, changes, strict=True)
        ],
    }
    if host is not None:
        document["passed_over"] = [asdict(file) for file in host.passed_over]
        document["folders"] = _folders(plans, host)
    names = [job.name for plan in plans for job in plan.sheet.jobs if job.line not in plan.left]
    if put_document(session, document, lambda: names):
        return
    for plan, own in zip(plans, changes, strict=True):
        _show_plan(session, plan, own, node, host)
    if host is not None:
        _show_host(plans, host)


def _show_plan(
    session: Session, plan: Plan, changes: list[Json], node: str | None, host: HostCrontabs | None
) -> None:
    kinds = {change["name"]: change["change"] for change in changes}
    whose = f" of {plan.read.owner}" if plan.read.owner else ""
    where = f"for node {node}" if node is not None else "for any node"
    say(f"{_shown(plan.path)} ({plan.read.crontab.kind.value} crontab{whose}, {where})")
    for note in plan.read.notes:
        say(f"  note: {printable(note)}")
    for line in plan.report:
        if line.matters or session.settings.verbose:
            show_line(session, line, kinds.get(line.name, ""), _notes(plan, line, host))


def _shown(path: str) -> str:
    return "standard input" if path == STDIN else printable(path)


def line_document(line: ReportLine, notes: Sequence[str]) -> Json:
    """A line of any import for programs."""
    return {
        "line": line.line,
        "text": line.text,
        "state": line.state.name.lower(),
        "name": line.name or None,
        "notes": list(notes),
        "hint": line.hint or None,
    }


def show_line(session: Session, line: ReportLine, change: str, notes: Sequence[str]) -> None:
    """A line of any import for people; `change` is what apply says of its job."""
    colour = _COLOURS.get(line.state)
    state = click.style(line.state.value, fg=colour) if colour else line.state.value
    known = {"none": " (unchanged)", "update": " (updated)"}.get(change, "")
    what = f"'{line.name}'{known}" if line.name else printable(line.text.strip())
    say(f"{line.line:>5}  {state}: {what}", color=has_colour(session))
    for note in notes:
        say(f"         {printable(note)}")
    if line.hint:
        say(f"         hint: {printable(line.hint)}")


def _notes(plan: Plan, line: ReportLine, host: HostCrontabs | None) -> list[str]:
    """What is said of a line: its own notes, and what the folders that it runs have in them."""
    notes = list(line.notes)
    if line.line in plan.left:
        notes.append(plan.left[line.line])
    job = next((job for job in plan.sheet.jobs if job.line == line.line), None)
    if host is not None and job is not None:
        notes += _contents(job, host)
    return notes


def _contents(job: Imported, host: HostCrontabs) -> list[str]:
    command = str(job.definition["command"])
    scripts = {folder.path: folder.scripts for folder in host.folders}
    notes = []
    for path in folders_of(command):
        found = scripts.get(path, ())
        listed = f"{len(found)}: {', '.join(found)}" if found else "nothing"
        notes.append(f"runs what is in {path}, now {listed}")
        if host.anacron and "anacron" in command:
            notes.append("while anacron is installed this does nothing: anacron runs that folder")
    return notes


def _folders(plans: Sequence[Plan], host: HostCrontabs) -> list[Json]:
    commands = [str(job.definition["command"]) for plan in plans for job in plan.sheet.jobs]
    run = {path for command in commands for path in folders_of(command)}
    return [
        {"path": folder.path, "scripts": list(folder.scripts), "run": folder.path in run}
        for folder in host.folders
    ]


def _show_host(plans: Sequence[Plan], host: HostCrontabs) -> None:
    for file in host.passed_over:
        say(f"{printable(file.path)}: passed over: {printable(file.reason)}")
    for folder in _folders(plans, host):
        if not folder["run"]:
            scripts = printable(", ".join(folder["scripts"]))
            say(f"{printable(folder['path'])}: no imported line runs what is there: {scripts}")
