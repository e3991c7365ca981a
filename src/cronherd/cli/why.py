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
from cronherd.domain.run import OUTCOME_WORDS, REASON_WORDS
from cronherd.domain.timing.misfit import Cut
from cronherd.domain.why import BECAUSE_WORDS, Answer, Because

_HEADS = {
    Answer.RAN: "ran",
    Answer.WAITING: "has not started yet",
    Answer.MISSED: "did not run",
    Answer.DUE: "is due and not decided yet",
    Answer.WILL_RUN: "will run",
    Answer.WILL_NOT_RUN: "will not run",
    Answer.NO_SLOT: "no slot",
    Answer.UNKNOWN: "nothing is known",
}
_CUTS = {
    Cut.FIELD: "it does not match the schedule's {}",
    Cut.BETWEEN: "it lies between two slots",
    Cut.DATES: "the schedule does not name it",
    Cut.CLOCK: "the clock shows {} twice, and only the first one counts",
    Cut.WINDOW: "the window {} is closed",
    Cut.EXCLUDED: "{} is left out",
    Cut.START: "the schedule begins at {}",
    Cut.END: "the schedule ended at {}",
    Cut.AFTER: "slots of this job count from the end of its previous run",
    Cut.BOOT: "the job runs when its host starts",
}
_TO_COME = {
    "paused": "the job is paused",
    "disabled": "the job is disabled",
    "skipped": "somebody said that it is to be skipped",
}
_SINCE: dict[str, str] = {
    Because.BEFORE_JOB: "it was made",
    Because.FORGOTTEN: "it begins after",
}
_LATE = {
    "catchup": "it was missed, and caught up",
    "backfill": "somebody asked for it later",
    Because.JITTER: "its jitter",
    Because.PERMIT: "it waited for the end of run {}",
    Because.RETRY: "an earlier attempt failed",
}
_WORDS: dict[str, str] = {
    str(word): text
    for words in (REASON_WORDS, OUTCOME_WORDS, BECAUSE_WORDS)
    for word, text in words.items()
}


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
    why = _why(item, times, zone)
    say(f"{times.inside(item['at'], zone)}: {_HEADS[Answer(item['answer'])]}{why}")
    facts = [
        *_run_facts(item, times),
        *_ledger_facts(item, times, zone),
        *_schedule_facts(document, item, times, zone),
    ]
    width = max((len(key) for key, _ in facts), default=0) + 2
    for key, value in facts:
        say(f"  {key + ':':<{width}}{printable(value)}")


def _why(item: Json, times: Times, zone: tzinfo) -> str:
    """The rest of the first line."""
    answer = Answer(item["answer"])
    reason = str(item["reason"] or "")
    if not reason:
        fires = item["fires_at"] if answer is Answer.WILL_RUN else None
        return f", at {times.inside(fires, zone)} by its jitter" if fires else ""
    details = [str(detail) for detail in item["details"]]
    if reason in _CUTS:
        cut = Cut(reason)
        if cut in {Cut.START, Cut.END}:
            details = [times.inside(detail, zone) for detail in details]
        return f": {_CUTS[cut].format(' and '.join(details))}"
    words = _TO_COME[reason] if answer is Answer.WILL_NOT_RUN and reason in _TO_COME else None
    text = words or _WORDS.get(reason, str(reason))
    if reason == Because.JITTER and item["fires_at"]:
        text = f"it fires at {times.inside(item['fires_at'], zone)} by its jitter"
    elif details and reason in {Because.NO_NODE, Because.POISONED}:
        text = f"{text} ({', '.join(details)})"
    if reason in _SINCE:
        text += f"; {_SINCE[reason]} {times.inside(item['account_from'], zone)}"
    return f": {text}"


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
    whys = [
        _LATE[cause].format(short(run["waited_for"] or ""))
        for cause in run["late_because"]
        if cause in _LATE
    ]
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
