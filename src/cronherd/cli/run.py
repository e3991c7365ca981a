"""`cronherd run` and `cronherd logs`: what ran, how it ended, and what it said."""

import json
import shlex
from typing import TYPE_CHECKING

import click

from cronherd.cli.asking import confirm
from cronherd.cli.chosen import require_known
from cronherd.cli.complaint import printable
from cronherd.cli.grammar import Command, Count, Group, yes_option
from cronherd.cli.output import Json, put, put_document, put_each, put_table, say, talk
from cronherd.cli.playback import Playback, follow, kept_pieces
from cronherd.cli.session import Session
from cronherd.cli.table import Column, Table
from cronherd.cli.times import NOTHING, Times, times_of
from cronherd.cli.words import result_of, run_table, short, signal_name, took
from cronherd.domain.errors import NotFound

if TYPE_CHECKING:
    from cronherd.client import Fleet


# What people see of a result, in characters, and of a traceback.
_SHOWN = 1_000
_LINES = 40
_HOLDERS = 5


@click.group("run", cls=Group, aliases={"ls": "list", "view": "show", "output": "logs"})
def run_command() -> None:
    """Occurrences of jobs: one for each time a command was, or is to be, started."""


@run_command.command("list")
@click.argument("job", required=False)
@click.option("--job", "named", metavar="JOB", help="Only of this job.")
@click.option(
    "--state", "run_state", metavar="STATE", help="Such as running, waiting or suspected."
)
@click.option("--outcome", metavar="OUTCOME", help="Such as failed or succeeded.")
@click.option("-q", "--search", metavar="TEXT", help="Such as 'state:error tag:backup since:2h'.")
@click.option("-n", "--limit", type=Count(), default=20, show_default=True, help="How many.")
@click.pass_obj
def list_command(
    session: Session,
    *,
    job: str | None,
    named: str | None,
    run_state: str | None,
    outcome: str | None,
    search: str | None,
    limit: int,
) -> None:
    r"""Runs, newest first.

    A search is made of tokens: state, outcome, job, tag, node, cause, since and until, each with a
    value, and words that are looked for in names and errors.

    \b
        cronherd run list -q 'state:error tag:backup since:24h'
    """
    with session.fleet() as fleet:
        outcome = outcome.strip().replace(" ", "_") if outcome else None  # as tables show it
        chosen = {} if search is None else {"q": search}
        document = fleet.list_runs(job or named, run_state, outcome, limit=limit, **chosen)
        require_known(document, chosen)
    if not document["items"]:
        talk("there are no such runs: start one with `cronherd job run JOB`")
    put(
        session,
        document,
        table=lambda: run_table(document["items"], times_of(session)),
        names=lambda: [run["id"] for run in document["items"]],
    )


@run_command.command("show")
@click.argument("run_id", metavar="RUN")
@click.pass_obj
def show_command(session: Session, *, run_id: str) -> None:
    """One run with its attempts; the first six digits of its id are enough."""
    with session.fleet() as fleet:
        document = fleet.show_run(run_id)
    if put_document(session, document, lambda: [document["id"]]):
        return
    times = times_of(session)
    facts = {
        "run": document["id"],
        "job": document["job"],
        "result": result_of(document),
        "cause": document["cause"],
        "params": _params(document),
        "scheduled": times.at(document["scheduled_at"]),
        "started": times.at(document["started_at"]),
        "ended": times.at(document["ended_at"]),
        "took": took(document),
        "node": document["node"] or NOTHING,
        "error": document["error"],
        "silent": _silence(document, times),
        "waits for": _waits(document),
        "only on": document.get("only_on"),
        "forced": "past the limit of its job" if document.get("forced") else "",
        "doing": (document.get("progress") or {}).get("text", ""),
        "returned": _returned(document),
    }
    for key, value in facts.items():
        if value:
            say(f"{key + ':':<10} {printable(value)}")
    for note in document.get("notes", ()):
        say(f"{'note:':<10} {printable(note)}")
    if document["attempts"]:
        say("")
        put_table(session, _attempt_table(document["attempts"], times))
    _show_traceback(document)
    talk(f"its output: cronherd run logs {short(document['id'])}")


def _waits(run: Json) -> str:
    """What it waits for, and who has it."""
    waits = run.get("waits_for")
    if not waits:
        return ""
    holders = run.get("holders") or []
    by = ", ".join(f"{short(each['id'])} ({each['job']})" for each in holders[:_HOLDERS])
    more = f" and {len(holders) - _HOLDERS} more" if len(holders) > _HOLDERS else ""
    return f"{waits['text']}{f'; held by {by}{more}' if by else ''}"


def _params(run: Json) -> str:
    """What whoever asked for it gave."""
    values = run.get("params") or {}
    return " ".join(f"{name}={json.dumps(value)}" for name, value in values.items())


def _silence(run: Json, times: Times) -> str:
    """Why a run is called suspected or unknown."""
    if run["state"] not in {"suspected", "unknown"}:
        return ""
    since = run["silent_since"]
    told = f" since {times.at(since)}" if since else ""
    return f"its node is silent{told}, so how it goes is not known"


def _returned(run: Json) -> str:
    """What the function of a task returned, as JSON."""
    result = run.get("result")
    if result is None:
        return ""
    text = json.dumps(result, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… (all of it with -o json)"


def _show_traceback(run: Json) -> None:
    lines = ((run.get("exception") or {}).get("traceback", "")).splitlines()
    if not lines:
        return
    say("")
    if len(lines) > _LINES:
        say(f"… {len(lines) - _LINES} lines (all of them with -o json)")
    for line in lines[-_LINES:]:
        say(printable(line.expandtabs()))


def _attempt_table(attempts: list[Json], times: Times) -> Table:
    columns = (
        Column("ATTEMPT", right=True),
        Column("NODE"),
        Column("STARTED"),
        Column("ENDED"),
        Column("EXIT", right=True),
        Column("ERROR", cut=True),
    )
    rows = []
    for attempt in attempts:
        number = attempt["exit_code"]
        ended = signal_name(attempt["signal"]) if attempt["signal"] else NOTHING
        rows.append(
            (
                str(attempt["number"]),
                attempt["node"],
                times.at(attempt["started_at"]),
                times.at(attempt["ended_at"]),
                ended if number is None else str(number),
                attempt["error_text"] or attempt["error"] or attempt["killed_by"] or "",
            )
        )
    return Table(columns, rows)


@run_command.command("logs")
@click.argument("run_id", metavar="RUN")
@click.option("-f", "--follow", "following", is_flag=True, help="Until the run has ended.")
@click.option("--attempt", type=Count(), help="Only of this attempt.")
@click.pass_obj
def run_logs_command(
    session: Session,
    *,
    run_id: str,
    following: bool,
    attempt: int | None,
) -> None:
    """What a run wrote: its stdout on stdout, its stderr on stderr."""
    with session.fleet() as fleet:
        _show_output(session, fleet, fleet.show_run(run_id), attempt, following=following)


@click.command("logs", cls=Command)
@click.argument("job", metavar="JOB")
@click.option("-f", "--follow", "following", is_flag=True, help="Until the run has ended.")
@click.pass_obj
def logs_command(session: Session, *, job: str, following: bool) -> None:
    """The output of a job's newest run."""
    with session.fleet() as fleet:
        runs = fleet.list_runs(job, limit=1)["items"]
        if not runs:
            raise NotFound(
                f"the job '{job}' has not run yet",
                code="no_run",
                hint=f"cronherd job run {shlex.quote(job)}",
            )
        _show_output(session, fleet, runs[0], None, following=following)


def _show_output(
    session: Session, fleet: "Fleet", run: Json, attempt: int | None, *, following: bool
) -> None:
    if following:
        _say_what_may_miss(fleet, follow(fleet, run["id"], Playback(session, attempt)), attempt)
        return
    pieces = kept_pieces(fleet, run, attempt)
    if session.settings.output in {"json", "yaml"}:
        document = {"run": run, "items": list(pieces)}
        put_document(session, document, list)
        return
    playback = Playback(session)
    silent = True
    for piece in pieces:
        silent = False
        playback.piece(piece)
    if silent:
        talk(f"run {short(run['id'])} of '{run['job']}' has written nothing ({result_of(run)})")
    _say_what_may_miss(fleet, run, attempt)


def _say_what_may_miss(fleet: "Fleet", run: Json, attempt: int | None) -> None:
    """Output is stored a moment after it was written: the end of what was lost may lack some."""
    if run["outcome"] != "lost" and run["attempt"] < 2:
        return
    for each in fleet.show_run(run["id"])["attempts"]:
        if each["killed_by"] == "gone" and attempt in {None, each["number"]}:
            talk(f"cronherd: attempt {each['number']} was lost: the last it wrote may be missing")


@run_command.command("cancel")
@click.argument("run_ids", nargs=-1, required=True, metavar="RUN...")
@yes_option
@click.pass_obj
def cancel_command(session: Session, *, run_ids: tuple[str, ...], yes: bool) -> None:
    """End runs: what has not started never does, what runs is killed with all it started."""
    with session.fleet() as fleet:
        runs = [fleet.show_run(run_id) for run_id in run_ids]
        listed = ", ".join(f"{short(run['id'])} of '{run['job']}'" for run in runs)
        confirm(f"Cancel {listed}?", yes=yes)
        documents = [fleet.cancel_run(run["id"], session.actor) for run in runs]
    put_each(
        session,
        documents,
        "id",
        lambda run: f"run {short(run['id'])} of '{run['job']}' is being cancelled",
    )
