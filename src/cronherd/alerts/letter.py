"""Letters: what a mail says, as plain text. Whatever a command wrote is only text here. Pure."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from cronherd.alerts.base import Part
from cronherd.domain.alert import AlertEvent
from cronherd.domain.duration import format_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.ident import SHORT
from cronherd.domain.instant import load_zone, to_datetime
from cronherd.domain.run import OUTCOME_WORDS, REASON_WORDS, Outcome, Reason

SUBJECT_LENGTH = 150
# So much of a run's output is in a mail: its first and its last characters.
OUTPUT_MOST = 100_000
DIGEST_OUTPUT_MOST = 4_000
# What a terminal obeys, then what is left of control characters but for line breaks and tabs.
_ESCAPES = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|[@-_])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def subject_of(parts: Sequence[Part]) -> str:
    """One line, whatever a job is called."""
    parts = _printable(parts)
    line = _whole(_subject(parts[0].payload) if len(parts) == 1 else _subject_of_many(parts))
    return line if len(line) <= SUBJECT_LENGTH else f"{line[:SUBJECT_LENGTH]}…"


def _subject(payload: Mapping[str, Any]) -> str:
    event, job = payload["event"], payload.get("job", "")
    if event == AlertEvent.TEST:
        return "[cronherd] a test: mail arrives"
    if event == AlertEvent.PAUSED:
        return f"[cronherd] {job} was paused"
    if event == AlertEvent.NO_NODE:
        return f"[cronherd] {job} waits: no node fits"
    if event == AlertEvent.MISSED:
        return f"[cronherd] {job} missed {_slots(payload['count'])}"
    where = f" on {payload['node']}" if payload.get("node") else ""
    return f"[cronherd] {job} {_ended(payload)}{where}"


def _subject_of_many(parts: Sequence[Part]) -> str:
    counted = Counter(_kind(part.payload) for part in parts)
    words = ", ".join(f"{count} {word}" for word, count in sorted(counted.items()))
    return f"[cronherd] {len(parts)} messages: {words}"


def _kind(payload: Mapping[str, Any]) -> str:
    return str(payload.get("outcome") or payload["event"]).replace("_", " ")


def _ended(payload: Mapping[str, Any]) -> str:
    words = str(payload["outcome"]).replace("_", " ")
    if payload.get("exit_code"):
        return f"{words} (exit code {payload['exit_code']})"
    if payload.get("signal"):
        return f"{words} (signal {payload['signal']})"
    return words


def body_of(parts: Sequence[Part]) -> str:
    """All of it, one after the other; in a digest each with less of its output."""
    return _whole(_bodies(_printable(parts)))


def _printable(parts: Sequence[Part]) -> list[Part]:
    """Names and texts without what a terminal obeys, breaks a line or turns it round."""

    def shown(value: Any) -> Any:
        if not isinstance(value, str) or value.isprintable():
            return value
        return "".join(char if char.isprintable() else " " for char in _whole(value))

    return [
        replace(part, payload={key: shown(value) for key, value in part.payload.items()})
        for part in parts
    ]


def _whole(text: str) -> str:
    """No half of a character, which no mail can carry."""
    return text.encode("utf-8", "replace").decode()


def _bodies(parts: Sequence[Part]) -> str:
    if len(parts) == 1:
        return _body(parts[0], OUTPUT_MOST)
    rule = "-" * 72
    bodies = [f"{_subject(part.payload)}\n\n{_body(part, DIGEST_OUTPUT_MOST)}" for part in parts]
    return f"\n{rule}\n\n".join(bodies)


def _body(part: Part, most: int) -> str:
    payload = part.payload
    event = payload["event"]
    if event == AlertEvent.TEST:
        return "Somebody asked for this mail with 'cronherd alerts test'. It arrived.\n"
    if event == AlertEvent.PAUSED:
        text = f"The job {payload['job']} was paused {payload['text']}.\n\n"
        return text + f"Let it go on with: cronherd job resume '{payload['job']}'\n"
    if event == AlertEvent.NO_NODE:
        text = f"A run of the job {payload['job']} waits for a node: {payload['text']}.\n"
        return text + "Further slots are missed meanwhile.\n\nThe nodes: cronherd node list\n"
    if event == AlertEvent.MISSED:
        return _missed(payload)
    return _run(part, most)


def _missed(payload: Mapping[str, Any]) -> str:
    zone = payload.get("timezone", "UTC")
    why = REASON_WORDS[Reason(payload["reason"])]
    lines = [
        f"The job {payload['job']} did not run for {_slots(payload['count'])}: {why}.",
        "",
        f"First:  {local_time(payload['from_us'], zone)}",
        f"Last:   {local_time(payload['to_us'], zone)}",
        f"Reason: {payload['reason']}",
    ]
    return "\n".join(lines) + "\n"


def _slots(count: int) -> str:
    return f"{count} slot{'s' * (count != 1)}"


def _run(part: Part, most: int) -> str:
    payload = part.payload
    zone = payload.get("timezone", "UTC")
    meaning = OUTCOME_WORDS[Outcome(payload["outcome"])]
    rows = [
        ("Job", payload["job"]),
        ("Outcome", f"{_ended(payload)}: {meaning}"),
        ("Node", payload.get("node")),
        ("Scheduled", local_time(payload.get("scheduled_us"), zone)),
        ("Started", local_time(payload.get("started_us"), zone)),
        ("Ended", local_time(payload.get("ended_us"), zone)),
        ("Took", _took(payload)),
        ("Exit code", payload.get("exit_code")),
        ("Signal", payload.get("signal")),
        ("Reason", payload.get("error_text")),
        ("Attempt", payload.get("attempt")),
        ("Cause", payload.get("cause")),
        ("Run", payload["run_id"]),
    ]
    lines = [f"{name + ':':<11}{value}" for name, value in rows if value not in {None, ""}]
    shown = plain_text(part.output, most)
    closing = f"cronherd run show {payload['run_id'][:SHORT]} tells the rest.\n"
    if not shown:
        return "\n".join([*lines, "", "It wrote nothing.", "", closing])
    return "\n".join([*lines, "", "Output:", "", shown, "", closing])


def _took(payload: Mapping[str, Any]) -> str | None:
    started_us, ended_us = payload.get("started_us"), payload.get("ended_us")
    if started_us is None or ended_us is None or ended_us < started_us:
        return None
    return format_duration((ended_us - started_us) // 1_000 * 1_000)


def local_time(at_us: int | None, zone: str) -> str | None:
    """`2027-03-28 03:30:00 CEST (+0200, Europe/Berlin)`."""
    if at_us is None:
        return None
    try:
        known = load_zone(zone)
    except Invalid:  # the zone rules of this node are older
        known, zone = load_zone("UTC"), "UTC"
    return to_datetime(at_us, known).strftime(f"%Y-%m-%d %H:%M:%S %Z (%z, {zone})")


def plain_text(text: str, most: int) -> str:
    """Without what a terminal would obey; of a long one the beginning and the end."""
    clean = _ESCAPES.sub("", text.replace("\r\n", "\n")).replace("\r", "\n")
    clean = _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", clean).rstrip()
    if len(clean) <= most:
        return clean
    half = most // 2
    left_out = len(clean) - 2 * half
    return f"{clean[:half]}\n[… {left_out} characters are left out here …]\n{clean[-half:]}"
