"""Searching: tokens such as `state:failed node:db-1 tag:backup text`, read once for all edges.

A token is `key:value`, or a word that is looked for in texts. Quotes hold blanks and colons:
`job:"nightly report"`, `"http://x"`. Each key stands once; `state:` takes several, by commas.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import TypeVar

from cronherd.domain.duration import parse_duration
from cronherd.domain.errors import Invalid
from cronherd.domain.instant import parse_instant
from cronherd.domain.run import Cause, Outcome, RunState
from cronherd.domain.standing import BAD, Standing

TEXT_LENGTH = 500
TOKENS = 20

RUN_KEYS = ("state", "outcome", "job", "tag", "node", "cause", "since", "until")
JOB_KEYS = ("state", "tag", "node", "source", "drift")
_YES_NO = {"yes": True, "no": False}
# What a running run is called while its node is silent: words of people, no states.
SILENT = ("suspected", "unknown")
ERROR = "error"
LIVE = frozenset(RunState) - {RunState.FINISHED}

Word = TypeVar("Word", Cause, Outcome, Standing)

_Chosen = tuple[frozenset[RunState], frozenset[Outcome], frozenset[str]]
_ANY: _Chosen = (LIVE, frozenset(Outcome), frozenset())
_TOKEN = re.compile(
    r"""\s*(?:(?P<key>[A-Za-z_]+):)?+
    (?:"(?P<quoted>(?:[^"\\]|\\.)*)"(?=\s|$)|(?P<bare>(?!")\S*))""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """The tokens of a text: values by key, and words to look for."""

    values: Mapping[str, str]
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The same as a text."""
        keyed = [f"{key}:{_quoted(value)}" for key, value in self.values.items()]
        return " ".join([*keyed, *(_quoted(word) for word in self.words)])


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSearch:
    """Which runs are looked for; None and no words ask for nothing.

    Live runs in one of `live`, finished ones that ended in one of `outcomes`; `silent`, when it
    is not empty: of the running ones those that are called so. `since_us` and `until_us` bound
    when a run was made, both included.
    """

    live: frozenset[RunState] = LIVE
    outcomes: frozenset[Outcome] = frozenset(Outcome)
    silent: frozenset[str] = frozenset()
    job: str | None = None
    tag: str | None = None
    node: str | None = None
    cause: Cause | None = None
    since_us: int | None = None
    until_us: int | None = None
    words: tuple[str, ...] = ()

    @classmethod
    def of(cls, *words: RunState | Outcome) -> "RunSearch":
        """Those in one of these states, or ended so."""
        live, outcomes, _ = _states(",".join(words))
        return cls(live=live, outcomes=outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSearch:
    """Which jobs are looked for."""

    standing: Standing | None = None
    tag: str | None = None
    node: str | None = None
    source: str | None = None
    drift: bool | None = None
    words: tuple[str, ...] = ()


def parse_search(text: str, keys: Iterable[str]) -> Search:
    """The tokens of a text in which these keys are known. Raises Invalid with a hint."""
    if len(text) > TEXT_LENGTH:
        raise _bad(f"a search has at most {TEXT_LENGTH} characters")
    known, values, words = tuple(keys), dict[str, str](), list[str]()
    place = 0
    while text[place:].strip():
        found = _TOKEN.match(text, place)
        if found is None:
            raise _bad("a quote is not closed, or something follows it at once", hint='"a b"')
        place = found.end()
        key = found["key"]
        quoted = found["quoted"]
        value = found["bare"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        if key is None:
            words.append(value)
            continue
        key = key.lower()
        if key not in known:
            hint = f"known are {', '.join(known)}; to look for the text, quote it"
            raise _bad(f"'{key[:40]}:' is not known here", hint=hint)
        if key in values:
            raise _bad(f"'{key}:' stands twice", hint="state:failed,lost takes several")
        if not value:
            raise _bad(f"'{key}:' has no value")
        values[key] = value
    if len(values) + len(words) > TOKENS:
        raise _bad(f"a search has at most {TOKENS} tokens")
    return Search(values=values, words=tuple(word for word in words if word))


def joined(text: str | None, keys: Iterable[str], **given: str | None) -> str | None:
    """A search with further values of keys; None when it asks for nothing.

    Raises Invalid for a key that stands in both.
    """
    found = parse_search(text or "", keys)
    more = {key: value for key, value in given.items() if value}
    for key in more:
        if key in found.values:
            raise _bad(f"'{key}' is given twice")
    return str(Search(values={**found.values, **more}, words=found.words)) or None


def read_run_search(text: str, now_us: int, zone: tzinfo) -> RunSearch:
    """Which runs a text asks for. Raises Invalid."""
    found = parse_search(text, RUN_KEYS)
    values = found.values
    live, outcomes, silent = _states(values["state"]) if "state" in values else _ANY
    if "outcome" in values:
        words = values["outcome"].split(",")
        wanted = {_word(Outcome, word, code="bad_outcome") for word in words}
        live, outcomes = frozenset(), outcomes & wanted
    return RunSearch(
        live=live,
        outcomes=outcomes,
        silent=silent,
        job=values.get("job"),
        tag=values.get("tag"),
        node=values.get("node"),
        cause=_word(Cause, values["cause"], code="bad_cause") if "cause" in values else None,
        since_us=_moment(values.get("since"), now_us, zone),
        until_us=_moment(values.get("until"), now_us, zone),
        words=found.words,
    )


def read_job_search(text: str) -> JobSearch:
    """Which jobs a text asks for. Raises Invalid."""
    found = parse_search(text, JOB_KEYS)
    values = found.values
    state = values.get("state")
    drift = values.get("drift")
    if drift is not None and drift.lower() not in _YES_NO:
        raise _bad(f"'drift:{drift[:40]}' is not known here", hint="drift:yes or drift:no")
    return JobSearch(
        standing=None
        if state is None
        else _word(Standing, state.replace("-", "_"), code="bad_state"),
        tag=values.get("tag"),
        node=values.get("node"),
        source=values.get("source"),
        drift=None if drift is None else _YES_NO[drift.lower()],
        words=found.words,
    )


def has_words(texts: Iterable[str], words: Iterable[str]) -> bool:
    """Whether each word stands in one of the texts, whatever its case."""
    folded = [text.casefold() for text in texts]
    return all(any(word.casefold() in text for text in folded) for word in words)


def plain_part(word: str) -> str:
    """The longest part of a word that every database folds alike: ASCII, lower case, no `ss`.

    `ß` is `SS` in capitals, for us and not for them; an `s` at an end may be half of one.
    """
    parts = re.findall(r"[ -~]+", re.sub(r"ss+|^s|s$", "ß", word.lower()))
    return max(parts, key=len, default="")


def _states(text: str) -> _Chosen:
    """Words for states of runs, for outcomes, and `error` for those outcomes that are bad."""
    states: set[RunState] = set()
    outcomes: set[Outcome] = set()
    silent: set[str] = set()
    for word in text.lower().split(","):
        if word in set(RunState):
            states.add(RunState(word))
        elif word in set(Outcome):
            outcomes.add(Outcome(word))
        elif word == ERROR:
            outcomes |= BAD
        elif word in SILENT:
            silent.add(word)
        else:
            known = ", ".join([*RunState, *Outcome, ERROR, *SILENT])
            raise Invalid(f"unknown state '{word[:40]}'", code="bad_state", hint=known)
    if silent and (states or outcomes):
        raise _bad(f"'{min(silent)}' does not go with other states")
    if silent:
        return frozenset({RunState.RUNNING}), frozenset(), frozenset(silent)
    if RunState.FINISHED in states:
        outcomes = set(Outcome)
    return frozenset(states) & LIVE, frozenset(outcomes), frozenset()


def _word(kind: type[Word], text: str, *, code: str) -> Word:
    try:
        return kind(text.lower())
    except ValueError:
        what, known = code.removeprefix("bad_"), ", ".join(kind)
        raise Invalid(f"unknown {what} '{text[:40]}'", code=code, hint=known) from None


def _moment(text: str | None, now_us: int, zone: tzinfo) -> int | None:
    """An instant, or how long ago: `24h`."""
    if text is None:
        return None
    try:
        return now_us - parse_duration(text)
    except Invalid:
        return parse_instant(text, zone)


def _quoted(value: str) -> str:
    if re.fullmatch(r"[^\s\":\\]+", value):
        return value
    escaped = re.sub(r'(["\\])', r"\\\1", value)
    return f'"{escaped}"'


def _bad(text: str, hint: str = "") -> Invalid:
    return Invalid(text, code="bad_search", hint=hint, where="q")
