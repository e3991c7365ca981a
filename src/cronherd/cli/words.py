"""The words and tables that several commands share: runs, their ids and how they ended."""

import signal
from collections.abc import Sequence

from cronherd.cli.output import Json
from cronherd.cli.table import NAME_LEAST, Column, Table, coloured
from cronherd.cli.times import NOTHING, Times, span
from cronherd.domain.ident import SHORT


def short(run_id: str) -> str:
    return run_id[:SHORT]


_NAMED = 10  # runs in a sentence


def named_runs(run_ids: Sequence[str]) -> str:
    """`2 runs: abc12345 def67890`."""
    more = f" and {len(run_ids) - _NAMED} more" if len(run_ids) > _NAMED else ""
    ids = " ".join(short(run_id) for run_id in run_ids[:_NAMED])
    return f"{len(run_ids)} run{'s' * (len(run_ids) != 1)}: {ids}{more}"


def started_before(document: Json) -> str:
    """The runs that were first when a job was switched off, as the end of a sentence."""
    run_ids = document.get("started_before")
    if not run_ids:
        return ""
    number, _, ids = named_runs(run_ids).partition(": ")
    them = "them" if len(run_ids) > 1 else "it"
    return f"; {number} had started before: {ids} (cancel {them} with 'cronherd run cancel')"


def counted(number: int, noun: str) -> str:
    """`1 job`, `10,000 jobs`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def result_of(run: Json | None) -> str:
    """How a run ended, or where it is: `failed (exit 3)`, `timed out`, `running`."""
    if run is None:
        return NOTHING
    outcome = run.get("outcome")
    if outcome is None:
        what = progress_of(run) or _waits(run) or ("forced" if run.get("forced") else "")
        return f"{run['state']} ({what})" if what else str(run["state"])
    if outcome != "failed":
        return str(outcome).replace("_", " ")
    if run.get("signal"):
        return f"failed ({signal_name(run['signal'])})"
    return f"failed (exit {run['exit_code']})" if run.get("exit_code") is not None else "failed"


def _waits(run: Json) -> str:
    """What it waits for, in a word or two."""
    waits = run.get("waits_for")
    if not waits:
        return ""
    return str(waits["kind"]) if waits["kind"] != "pool" else f"pool {waits['name']}"


_LONG = 6  # digits that still say more than a share


def progress_of(run: Json) -> str:
    """How far a task is: `37/100`, `37%` where the numbers are long or no whole ones, or `37`."""
    progress = run.get("progress")
    if not progress:
        return ""
    done, total = progress["done"], progress["total"]
    if not total:
        return f"{done:g}" if isinstance(done, float) else str(done)
    if isinstance(done, int) and isinstance(total, int) and len(str(total)) <= _LONG:
        return f"{done}/{total}"
    return f"{done * 100 // total:.0f}%"


def signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def when_of(run: Json | None) -> str | None:
    """The instant that stands for a run: when it started, else when it was to."""
    if run is None:
        return None
    instant = run["started_at"] or run["scheduled_at"] or run["created_at"]
    return str(instant)


def took(run: Json) -> str:
    seconds = run.get("duration_s")
    return NOTHING if seconds is None else span(seconds)


def command_text(command: str | Sequence[str]) -> str:
    """A command as one would type it."""
    import shlex  # noqa: PLC0415 - most answers name no command

    return command if isinstance(command, str) else shlex.join(command)


def run_table(runs: Sequence[Json], times: Times) -> Table:
    columns = (
        Column("ID"),
        Column("JOB", cut=True, least=NAME_LEAST),
        Column("RESULT", style=coloured),
        Column("STARTED"),
        Column("TOOK", right=True),
        Column("NODE", cut=True),
        Column("CAUSE", wide=True),
        Column("SCHEDULED", wide=True),
        Column("ATTEMPT", wide=True, right=True),
        Column("ERROR", wide=True),
    )
    rows = [
        (
            short(run["id"]),
            run["job"],
            result_of(run),
            times.at(run["started_at"]),
            took(run),
            run["node"] or NOTHING,
            run["cause"],
            times.at(run["scheduled_at"]),
            str(run["attempt"]),
            run["error"] or "",
        )
        for run in runs
    ]
    return Table(columns, rows)
