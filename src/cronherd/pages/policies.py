"""What a job's settings mean, in words: only those that say something, each with its sentence."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from cronherd.domain.lock import FORMS, is_fleet_name
from cronherd.domain.policy import Catchup, CatchupMode, Overlap

Json = dict[str, Any]
_OVERLAP = {
    Overlap.SKIP: "a slot that comes meanwhile is skipped and recorded",
    Overlap.QUEUE: "a slot that comes meanwhile waits for its turn",
    Overlap.REPLACE: "a slot that comes meanwhile ends the run before it",
    Overlap.ALLOW: "slots run beside each other, as many as come",
}
_CATCHUP = {
    CatchupMode.NONE: "slots that were missed do not run",
    CatchupMode.LATEST: "of the slots that were missed the latest one runs",
    CatchupMode.ALL: "all slots that were missed run",
}


def policies(spec: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, sentence) of a canonical definition, in the order of a run's life."""
    parts = (_overlap, _missed, _place, _limits, _retries, _who, _told, _kept)
    return [pair for part in parts for pair in part(spec)]


def _overlap(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    overlap = Overlap(spec.get("overlap", Overlap.SKIP))
    most = spec.get("max_running", 1)
    words = _OVERLAP[overlap]
    if overlap is not Overlap.ALLOW:
        words = f"{_times(most, 'run')} at once; {words}"
    if overlap is Overlap.QUEUE and "queue_max" in spec:
        words += f", {spec['queue_max']} at the most"
    yield "Overlap", words
    if "min_gap" in spec:
        yield "Gap", f"at least {spec['min_gap']} between the end of a run and the next start"
    if "priority" in spec:
        yield "Priority", f"{spec['priority']}: of runs that wait the smaller number goes first"


def shares(spec: Mapping[str, Any]) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """(what, sentence, (word, address) of each page that says more) of what its runs share."""
    found = []
    if "pools" in spec:
        uses = [use if isinstance(use, Mapping) else {"name": use} for use in spec["pools"]]
        pages = [
            (_pool(use["name"], use.get("permits", 1)), f"/pools/{quote(use['name'], safe='')}")
            for use in uses
        ]
        found.append(("Pools", "each run takes", pages))
    lock = spec.get("lock")
    if lock:
        told = lock if isinstance(lock, Mapping) else {"name": lock}
        where = str(next(told[form] for form in FORMS if form in told))
        words = "runs hold it together" if told.get("shared") else "one run holds it at a time"
        if "wait" in told:
            words += f", others wait up to {told['wait']}"
        if is_fleet_name(where):
            page = (where, f"/locks?{urlencode({'name': where})}")
            found.append(("Lock", f"{words}:", [page]))
        else:
            found.append(("Lock", f"{words}: {where}", []))
    return found


def _pool(name: str, permits: int) -> str:
    return f"a permit of {name}" if permits == 1 else f"{permits} permits of {name}"


def _missed(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    mode = CatchupMode(spec.get("catchup", Catchup().mode))
    words = _CATCHUP[mode]
    if mode is not CatchupMode.NONE and "catchup_window" in spec:
        words += f", when it is not older than {spec['catchup_window']}"
    if mode is CatchupMode.ALL and "catchup_max" in spec:
        words += f", {spec['catchup_max']} at the most"
    yield "Missed slots", words
    if "start_deadline" in spec:
        yield (
            "Deadline",
            f"given up when it has not started {spec['start_deadline']} after its slot",
        )
    if "jitter" in spec:
        yield "Jitter", f"starts up to {spec['jitter']} later, always the same for the same slot"
    if "max_runs" in spec:
        yield "At most", f"{_times(spec['max_runs'], 'run')} by the schedule, then it is over"


def _place(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "run_on" in spec:
        yield "Nodes", f"only those with {_listed(spec['run_on'])}"
    if "prefer" in spec:
        yield "Prefers", f"nodes with {_listed(spec['prefer'])}"
    if "spread" in spec:
        yield "Spread", f"{spec['spread']}"


def _limits(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "timeout" in spec:
        signal, grace = spec.get("stop_signal", "TERM"), spec.get("grace")
        after = f", KILL after {grace}" if grace else ", then KILL"
        yield "Time limit", f"{spec['timeout']}; then it gets {signal}{after}"
    if "limits" in spec:
        yield "Limits", _listed(spec["limits"])
    if "nice" in spec:
        yield "Nice", str(spec["nice"])


def _retries(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    retries = spec.get("retries")
    if retries:
        told = retries if isinstance(retries, Mapping) else {"max": retries}
        words = f"up to {_times(told['max'], 'more try', 'more tries')} when it fails"
        if "backoff" in told:
            words += f", after {told['backoff']}"
        if "factor" in told:
            words += f", each wait {told['factor']} times the one before"
        if "max_delay" in told:
            words += f", {told['max_delay']} at the most"
        yield "Retries", words
    if "retry_on" in spec:
        codes = ", ".join(str(code) for code in spec["retry_on"]) or "none"
        yield "Tried again for", f"exit codes {codes}"
    if "success_codes" in spec:
        yield "Success", f"exit codes {', '.join(str(code) for code in spec['success_codes'])}"
    if "pause_after_failures" in spec:
        yield "Pauses itself", f"after {_times(spec['pause_after_failures'], 'failure')} in a row"
    if "takeover_after" in spec or "delivery" in spec:
        words = spec.get("delivery", "at_most_once").replace("_", " ")
        yield (
            "Lost nodes",
            f"{words}; taken over after {spec.get('takeover_after', 'the usual time')}",
        )


def _who(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "user" in spec:
        group = f", group {spec['group']}" if "group" in spec else ""
        yield "Runs as", f"{spec['user']}{group}"
    if "cwd" in spec:
        yield "Directory", str(spec["cwd"])
    if "shell" in spec:
        yield "Shell", str(spec["shell"])
    if "env" in spec:
        yield "Environment", ", ".join(spec["env"])
    if "env_file" in spec:
        yield "Variables from", _listed(spec["env_file"])
    if "secrets" in spec:
        yield "Secrets", ", ".join(_secret(each) for each in spec["secrets"])


def _told(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if spec.get("mailto"):
        yield "Mail", f"to {spec['mailto']}"
    if "webhook" in spec:
        yield "Webhook", "called with JSON"
    if "ping" in spec:
        yield "Ping", "a URL is called when it succeeds or fails"


def _kept(spec: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "retention" in spec:
        yield "Kept", _listed(spec["retention"])
    if "output_file" in spec:
        yield "Output file", str(spec["output_file"])


def _secret(each: object) -> str:
    return str(each.get("name", "")) if isinstance(each, Mapping) else str(each)


def _listed(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_listed(part)}" for key, part in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_listed(part) for part in value)
    return str(value)


def _times(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"
