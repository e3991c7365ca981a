"""`cronherd backfill`: slots of the past run after all."""

import sys
from collections.abc import Callable

import click

from cronherd.cli.asking import confirm
from cronherd.cli.grammar import Command, yes_option
from cronherd.cli.output import Json, is_terminal, put_document, put_table, talk
from cronherd.cli.session import Session
from cronherd.cli.table import Column, Table
from cronherd.cli.times import Times, times_of
from cronherd.cli.words import short
from cronherd.domain.instant import load_zone

_UNASKED = 10  # runs that are made without a question
_PART = 100  # slots in one request: so long nobody sees it go on


@click.command("backfill", cls=Command)
@click.argument("job", metavar="JOB")
@click.option("--from", "start", required=True, metavar="INSTANT", help="The first: 2027-01-01.")
@click.option("--to", "end", required=True, metavar="INSTANT", help="The last, included.")
@click.option("--dry-run", is_flag=True, help="Only say which.")
@yes_option
@click.pass_obj
def backfill_command(
    session: Session, *, job: str, start: str, end: str, dry_run: bool, yes: bool
) -> None:
    """Run the slots of a stretch of the past that had no run.

    They are those of the schedule as it is today, at most 1,000, and no slot runs twice. An instant
    without an offset is in the job's zone; a date alone is its midnight.
    """
    with session.fleet() as fleet:
        plan = fleet.backfill(job, session.actor, start=start, end=end, dry_run=True)
        wanted = [slot["slot"] for slot in plan["slots"] if not slot["ran"]]
        if dry_run or not wanted:
            _show(session, plan)
            return
        name, count = plan["job"], len(wanted)
        if count > _UNASKED:
            confirm(f"Run {count} slots of '{name}'?", yes=yes)

        def ask(first: str, last: str) -> Json:
            return fleet.backfill(plan["id"], session.actor, start=first, end=last)

        done = _in_parts(ask, plan)
    if not put_document(session, done, lambda: [s["run"] for s in done["slots"] if not s["ran"]]):
        made, ran = _runs(done["made"]), _had_run(done["ran"])
        talk(f"{made} of '{name}' made{ran}: cronherd run list {name}")


def _in_parts(ask: Callable[[str, str], Json], plan: Json) -> Json:
    """The whole, a part at a time, and how far it is where somebody looks on."""
    slots = [slot["slot"] for slot in plan["slots"]]
    parts = [slots[at : at + _PART] for at in range(0, len(slots), _PART)]
    done = {**plan, "dry_run": False, "made": 0, "ran": 0, "slots": []}
    looked_at = len(parts) > 1 and is_terminal(sys.stderr)
    for part in parts:
        answer = ask(part[0], part[-1])
        done["slots"] += answer["slots"]
        done["made"] += answer["made"]
        done["ran"] += answer["ran"]
        if looked_at:
            click.echo(f"\r{len(done['slots'])} of {len(slots)} slots", nl=False, err=True)
    if looked_at:
        click.echo("", err=True)
    return done


def _show(session: Session, plan: Json) -> None:
    if put_document(session, plan, lambda: [slot["slot"] for slot in plan["slots"]]):
        return
    if plan["slots"]:
        put_table(session, _table(plan, times_of(session)))
    wanted = sum(not slot["ran"] for slot in plan["slots"])
    if not plan["slots"]:
        talk(f"'{plan['job']}' has no slot there that is past")
    elif not wanted:
        talk(f"nothing to do{_had_run(plan['ran'])}")
    else:
        talk(f"{_runs(wanted)} would be made{_had_run(plan['ran'])}; nothing was done")


def _table(plan: Json, times: Times) -> Table:
    zone = load_zone(plan["timezone"] or "UTC")
    rows = [
        (
            times.inside(slot["slot"], zone),
            f"had run: {short(slot['run'])}" if slot["ran"] else "new",
        )
        for slot in plan["slots"]
    ]
    return Table((Column("SLOT"), Column("RUN")), rows)


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


def _had_run(count: int) -> str:
    return f", {count} slot{'s' * (count != 1)} had run already" if count else ""
