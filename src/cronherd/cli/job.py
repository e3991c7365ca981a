"""`cronherd job`: list, show, enable, disable, delete; the longer ones have files of their own."""

import click

from cronherd.cli.asking import confirm
from cronherd.cli.complaint import printable
from cronherd.cli.grammar import Group, yes_option
from cronherd.cli.job_create import create_command
from cronherd.cli.job_edit import edit_command
from cronherd.cli.job_pause import pause_command, pause_text, resume_command
from cronherd.cli.job_run import run_command
from cronherd.cli.output import (
    Json,
    every_page,
    put,
    put_document,
    put_each,
    put_table,
    say,
    talk,
    to_yaml,
)
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table, coloured, dim_no
from cronherd.cli.times import NOTHING, Times, times_of
from cronherd.cli.words import command_text, in_order, result_of, run_table, started_before, when_of


@click.group("job", cls=Group, aliases={"ls": "list", "rm": "delete", "view": "show"})
def job_command() -> None:
    """Named definitions of what to run and when."""


job_command.add_command(create_command)
job_command.add_command(edit_command)
job_command.add_command(pause_command)
job_command.add_command(resume_command)
job_command.add_command(run_command)


@job_command.command("list")
@click.pass_obj
def list_command(session: Session) -> None:
    """All jobs, by name."""
    with session.fleet() as fleet:
        document = every_page(fleet.list_jobs)
    if not document["items"]:
        talk("there are no jobs yet: make one with `cronherd job create`")
    put(
        session,
        document,
        table=lambda: job_table(document["items"], times_of(session)),
        names=lambda: [job["name"] for job in document["items"]],
    )


def job_table(jobs: list[Json], times: Times) -> Table:
    columns = (
        Column("NAME", cut=True, least=NAME_LEAST),
        Column("ENABLED", style=dim_no),
        Column("SCHEDULE", cut=True),
        Column("NEXT"),
        Column("LAST"),
        Column("RESULT", style=coloured),
        Column("COMMAND", wide=True),
        Column("SOURCE", wide=True),
        Column("TIMEZONE", wide=True),
    )
    rows = [
        (
            job["name"],
            _enabled(job),
            job["schedule"] or NOTHING,
            times.at(job["next_at"]),
            times.passed(when_of(job["last_run"])),
            result_of(job["last_run"]),
            job.get("task") or command_text(job["command"]),
            job["source"],
            job["timezone"],
        )
        for job in jobs
    ]
    return Table(columns, rows)


def _enabled(job: Json) -> str:
    if job["enabled"] and job["paused"]:
        return "paused"
    return "yes" if job["enabled"] else "no"


@job_command.command("show")
@click.argument("name")
@click.pass_obj
def show_command(session: Session, *, name: str) -> None:
    """One job: its definition, its last runs, and the slots it missed."""
    with session.fleet() as fleet:
        document = fleet.show_job(name)
    show_job(session, document)


def show_job(session: Session, document: Json) -> None:
    if put_document(session, document, lambda: [document["name"]]):
        return
    times = times_of(session)
    facts = {
        "name": document["name"],
        "enabled": "yes" if document["enabled"] else "no",
        **({"paused": pause_text(document, times)} if document["paused"] else {}),
        "next": f"{times.at(document['next_at'])} ({times.left(document['next_at'])})"
        if document["next_at"]
        else NOTHING,
        "last": result_of(document["last_run"]),
        "source": document["source"],
        "version": document["version"],
    }
    for key, value in facts.items():
        say(f"{key + ':':<9} {printable(str(value))}")
    say("")
    say(to_yaml(in_order(document["definition"])).rstrip("\n"))
    if document.get("runs"):
        say("")
        put_table(session, run_table(document["runs"], times))
    if document.get("missed"):
        say("")
        put_table(session, missed_table(document["missed"], times))


def missed_table(entries: list[Json], times: Times) -> Table:
    columns = (Column("MISSED"), Column("COUNT", right=True), Column("JOB"), Column("REASON"))
    rows = [
        (times.at(entry["from"]), str(entry["count"]), entry["job"], entry["reason"])
        for entry in entries
    ]
    return Table(columns, rows)


@job_command.command("enable")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def enable_command(session: Session, *, names: tuple[str, ...]) -> None:
    """Let jobs start by their schedule again."""
    _switch(session, names, enabled=True)


@job_command.command("disable")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def disable_command(session: Session, *, names: tuple[str, ...]) -> None:
    """Start nothing of these jobs until they are enabled; what runs goes on."""
    _switch(session, names, enabled=False)


def _switch(session: Session, names: tuple[str, ...], *, enabled: bool) -> None:
    with session.fleet() as fleet:
        found = [fleet.show_job(name) for name in names]  # all of them, or nothing is done
        documents = [fleet.set_enabled(job["id"], session.actor, enabled=enabled) for job in found]
    word = "enabled" if enabled else "disabled"
    put_each(
        session, documents, "name", lambda job: f"'{job['name']}' is {word}{started_before(job)}"
    )


@job_command.command("delete")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@yes_option
@click.pass_obj
def delete_command(session: Session, *, names: tuple[str, ...], yes: bool) -> None:
    """Delete jobs; their runs are kept."""
    with session.fleet() as fleet:
        found = [fleet.show_job(name) for name in names]
        listed = ", ".join(f"'{job['name']}'" for job in found)
        confirm(f"Delete {listed}?", yes=yes)
        documents = [fleet.delete_job(job["id"], session.actor) for job in found]
    put_each(
        session,
        documents,
        "deleted",
        lambda job: f"'{job['deleted']}' is deleted{started_before(job)}",
    )
