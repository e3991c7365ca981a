"""`cronherd why`: why a job ran at an instant, or did not, in words."""

from collections.abc import Iterator
from datetime import tzinfo

import click

from cronherd.cli.complaint import printable
from cronherd.cli.grammar import Command
from cronherd.cli.output import Json, put_document, say, talk
from cronherd.cli.session import Session
from cronherd.cli.times import NOTHING, Times, span, times_of
from cronherd.cli.words import result_of, short, took
from cronherd.domain.instant import load_zone
from cronherd.domain.why import Answer
from cronherd.domain.whywords import HEADS, late_words, why_words


@click.command("why", cls=Command)
@click.argument("job", metavar="JOB")
@click.option("--at", metavar="INSTANT", help="In the job's zone: '2027-01-01 09:00'.")
@click.pass_obj
def why_command(session: Session, *, job: str, at: str | None) -> None:
    """Why a job ran at an instant, or did not, from what is on record.

    Without --at its newest slot that is past. An instant without seconds means the slot in that
    minute; a wall time that comes twice has two answers.
    """
    with session.fleet() as fleet:
        document = fleet.why(job, at)
    if put_document(session, document, lambda: [item["answer"] for item in document["items"]]):
        return
    times = times_of(session, document["now"])
    zone = load_zone(document["timezone"] or "UTC")
    if len(document["items"]) > 1:
        talk("the clock shows this time twice: here are both")
    for number, item in enumerate(document["items"]):
        if number:
            say("")
        _show(document, item, times, zone)


def _show(document: Json, item: Json, times: Times, zone: tzinfo) -> None:
    why = why_words(item, lambda at: times.inside(at, zone))
    say(f"{times.inside(item['at'], zone)}: {HEADS[Answer(item['answer'])]}{why}")
    facts = [
        *_run_facts(item, times),
        *_ledger_facts(item, times, zone),
        *_schedule_facts(document, item, times, zone),
    ]
    width = max((len(key) for key, _ in facts), default=0) + 2
    for key, value in facts:
        say(f"  {key + ':':<{width}}{printable(value)}")


def _run_facts(item: Json, times: Times) -> Iterator[tuple[str, str]]:
    for run in item["runs"]:
        cause = "" if run["cause"] == "schedule" else f", {run['cause']}"
        node = f" on {run['node']}" if run["node"] else ""
        lasted = f" in {took(run)}" if run["duration_s"] is not None else ""
        error = f": {run['error']}" if run["error"] else ""
        yield "run", f"{short(run['id'])}{cause}, {result_of(run)}{node}{lasted}{error}"
        if run["started_at"]:
            yield "started", times.at(run["started_at"])
        if late := _late(run):
            yield "late", late
        if run["attempt"] > 1:
            yield "attempts", str(run["attempt"])
    way = item["in_the_way"]
    if way:
        node = f" on {way['node']}" if way["node"] else ""
        since = f", started {times.at(way['started_at'])}" if way["started_at"] else ""
        yield "in the way", f"run {short(way['id'])}, {result_of(way)}{node}{since}"


def _late(run: Json) -> str:
    """How much later than its slot a run started, and why, as far as is known."""
    if run["late_s"] is None or run["late_s"] < 1:
        return ""
    whys = late_words(run)
    return f"{span(run['late_s'])}: {', '.join(whys)}" if whys else span(run["late_s"])


def _ledger_facts(item: Json, times: Times, zone: tzinfo) -> Iterator[tuple[str, str]]:
    row, event = item["ledger"], item["event"]
    if event:
        text = f": {event['text']}" if event["text"] else ""
        kind = event["kind"].replace("_", " ")
        yield "by", f"{event['actor']}, {times.inside(event['at'], zone)} ({kind}{text})"
    if not row:
        return
    if row.get("node"):
        yield "node", row["node"]
    if row["ref"] and not item["in_the_way"] and len(row["ref"]) == 32:
        yield "in the way", f"run {short(row['ref'])}, which is not on record any more"
    if row["count"] > 1:
        first, last = (times.inside(row[key], zone) for key in ("from", "to"))
        count = f"at least {row['count']:,}" if row["ref"] == "at least" else f"{row['count']:,}"
        yield "range", f"{count} slots with this reason, {first} to {last}"
    if row["recorded_at"]:
        yield "recorded", times.at(row["recorded_at"])


def _schedule_facts(
    document: Json, item: Json, times: Times, zone: tzinfo
) -> Iterator[tuple[str, str]]:
    version = item["version"]
    if version and not version["present"]:
        since = times.inside(version["at"], zone)
        yield "version", f"{version['number']}, by {version['by']} since {since}; not today's"
    if item["schedule"]:
        yield "schedule", f"{item['schedule']} ({document['timezone']})"
    for key in ("previous", "next"):
        yield key, times.inside(item[key], zone) if item[key] else NOTHING
    if item["also"]:
        count = len(item["also"])
        yield "also", f"{count} more slot{'s' * (count != 1)} in this minute: say the second"
    for run in item["runs"]:
        yield "output", f"cronherd run logs {short(run['id'])}"
