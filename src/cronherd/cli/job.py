"""`cronherd job`: list, show, enable, disable, delete; the longer ones have files of their own."""

import click

from cronherd.cli.asking import confirm
from cronherd.cli.chosen import list_chosen
from cronherd.cli.complaint import printable
from cronherd.cli.grammar import Group, yes_option
from cronherd.cli.job_create import create_command
from cronherd.cli.job_edit import edit_command
from cronherd.cli.job_pause import pause_command, pause_story, resume_command
from cronherd.cli.job_run import run_command
from cronherd.cli.job_skip import skip_command
from cronherd.cli.job_versions import rollback_command, versions_command
from cronherd.cli.output import (
    Json,
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
from cronherd.cli.timers import slot_table
from cronherd.cli.times import NOTHING, Times, times_of
from cronherd.cli.words import command_text, result_of, run_table, started_before, when_of
from cronherd.views import in_order


@click.group("job", cls=Group, aliases={"ls": "list", "rm": "delete", "view": "show"})
def job_command() -> None:
    """Named definitions of what to run and when."""


job_command.add_command(create_command)
job_command.add_command(edit_command)
job_command.add_command(pause_command)
job_command.add_command(resume_command)
job_command.add_command(skip_command)
job_command.add_command(run_command)
job_command.add_command(versions_command)
job_command.add_command(rollback_command)


@job_command.command("list")
@click.option("--tag", metavar="TAG", help="Only jobs that have this tag.")
@click.option("--node", metavar="NODE", help="Only jobs that no other node may run.")
@click.option("-q", "--search", metavar="TEXT", help="Such as 'state:overdue tag:backup'.")
@click.option("--sort", metavar="FACT", help="Such as 'took', or '-took': the longest first.")
@click.pass_obj
def list_command(
    session: Session, *, tag: str | None, node: str | None, search: str | None, sort: str | None
) -> None:
    r"""All jobs, by name or in another order.

    A search is made of tokens: state (running, overdue, not_due, paused, disabled or error), tag,
    node and source, each with a value, and words that are looked for in names, descriptions,
    commands and tags.

    What they are sorted by is name, status, frequency, result, next, active, description, command,
    window, limit, started, ended, took, worker, live, zone, tags or source; of these up to 1,000
    jobs are sorted.

    \b
        cronherd job list -q 'state:error backup'
        cronherd job list --tag backup --sort -took
    """
    with session.fleet() as fleet:
        document = list_chosen(fleet, tag, node, search, sort)
    if not document["items"]:
        none = "there are no jobs yet: make one with `cronherd job create`"
        talk(none if (tag, node, search) == (None, None, None) else "there are no such jobs")
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
            job.get("task") or job.get("gearman") or command_text(job["command"]),
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
        **({"paused": pause_story(document, times)} if document["paused"] else {}),
        **_skips(document, times),
        "next": f"{times.at(document['next_at'])} ({times.left(document['next_at'])})"
        if document["next_at"]
        else NOTHING,
        "last": result_of(document["last_run"]),
        "source": document["source"] + (" (edited since)" if document.get("drifted") else ""),
        "version": document["version"],
    }
    for key, value in facts.items():
        say(f"{key + ':':<9} {printable(str(value))}")
    say("")
    say(to_yaml(in_order(document["definition"])).rstrip("\n"))
    if document.get("explained"):
        say("")
        for sentence in document["explained"]:
            say(printable(sentence))
    if document.get("upcoming"):
        say("")
        slots = {**document, "slots": document["upcoming"]}
        put_table(session, slot_table(slots, times))
    if document.get("runs"):
        say("")
        put_table(session, run_table(document["runs"], times))
    if document.get("missed"):
        say("")
        put_table(session, missed_table(document["missed"], times))


def _skips(document: Json, times: Times) -> Json:
    until = document.get("skipped_until")  # an agent of an older version tells none
    return {"skips": f"up to {times.at(until)}"} if until else {}


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
