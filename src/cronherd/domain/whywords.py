"""An answer of `why` in words, for whichever edge shows it. Pure: documents in, sentences out."""

from collections.abc import Callable, Mapping
from typing import Any

from cronherd.domain.ident import SHORT
from cronherd.domain.run import OUTCOME_WORDS, REASON_WORDS
from cronherd.domain.timing.misfit import Cut
from cronherd.domain.why import BECAUSE_WORDS, Answer, Because

Json = dict[str, Any]
# An instant of a document as it is shown.
Moment = Callable[[str], str]

HEADS: Mapping[Answer, str] = {
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
    for words in (OUTCOME_WORDS, REASON_WORDS, BECAUSE_WORDS)
    for word, text in words.items()
}
# A run may be skipped, and a slot: these are two things.
_OF_RUNS = _WORDS | {str(word): text for word, text in OUTCOME_WORDS.items()}


def why_words(item: Json, moment: Moment) -> str:
    """What follows the head of an answer, with its punctuation; empty when that says it all."""
    answer = Answer(item["answer"])
    reason = str(item["reason"] or "")
    if not reason:
        fires = item["fires_at"] if answer is Answer.WILL_RUN else None
        return f", at {moment(fires)} by its jitter" if fires else ""
    details = [str(detail) for detail in item["details"]]
    if reason in _CUTS:
        cut = Cut(reason)
        if cut in {Cut.START, Cut.END}:
            details = [moment(detail) for detail in details]
        return f": {_CUTS[cut].format(' and '.join(details))}"
    words = _TO_COME[reason] if answer is Answer.WILL_NOT_RUN and reason in _TO_COME else None
    known = _OF_RUNS if item["runs"] and item["ledger"] is None else _WORDS
    text = words or known.get(reason, str(reason))
    if reason == Because.JITTER and item["fires_at"]:
        text = f"it fires at {moment(item['fires_at'])} by its jitter"
    elif details and reason in {Because.NO_NODE, Because.POISONED}:
        text = f"{text} ({', '.join(details)})"
    if reason in _SINCE:
        text += f"; {_SINCE[reason]} {moment(item['account_from'])}"
    return f": {text}"


def late_words(run: Json) -> list[str]:
    """Why a run started later than its slot, as far as is known; empty when it was in time."""
    if run["late_s"] is None or run["late_s"] < 1:
        return []
    waited_for = str(run["waited_for"] or "")[:SHORT]
    return [_LATE[cause].format(waited_for) for cause in run["late_because"] if cause in _LATE]
