"""Places: where a run may go, as one text. Equal texts are one queue, so the text is canonical.

The parts of a place are separated by commas, which no label's value contains:

    zone=eu|us   the label has one of these values, in which * stands for anything
    zone!=eu     it has none of them, or there is no such label
    gpu  !gpu    there is such a label, or none
    ~gpu=fast    nodes of which this is true come first
    #2/KEY       at most two runs of one job on a node
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

from cronherd.domain.errors import Invalid

# Characters of a column of 400, with room for ",node=" and the longest name of a node.
LONGEST = 270
_KEY = r"[A-Za-z0-9](?:[A-Za-z0-9_./-]{0,61}[A-Za-z0-9])?"
_PLAIN = re.compile(rf"(!?)({_KEY})")
_EQUAL = re.compile(rf"({_KEY}) *(!=|==?) *([^,=!()|]+(?:\|[^,=!()|]+)*)")
_IN = re.compile(rf"({_KEY}) +(in|notin) *\(([^()]*)\)")
# A comma inside of brackets belongs to its list.
_COMMA = re.compile(r",(?![^(]*\))")
_HINT = "write zone=eu, zone!=eu, zone in (eu, us), gpu or !gpu, joined by commas"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on a label; without values it is about whether the label exists."""

    key: str
    values: tuple[str, ...]
    negated: bool

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether it is true of these labels."""
        found = labels.get(self.key)
        if not self.values:
            return (found is None) is self.negated
        met = found is not None and any(_like(value, found) for value in self.values)
        return met is not self.negated

    def __str__(self) -> str:
        if not self.values:
            return f"{'!' if self.negated else ''}{self.key}"
        return f"{self.key}{'!=' if self.negated else '='}{'|'.join(self.values)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What a place's text says. `cap`: how many runs of `capped` a node takes; None: any."""

    needs: tuple[Requirement, ...] = ()
    wishes: tuple[Requirement, ...] = ()
    cap: int | None = None
    capped: str = ""

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels may run it."""
        return all(need.holds(labels) for need in self.needs)

    def preferred(self, labels: Mapping[str, str]) -> bool:
        """Whether such a node need not wait for better ones."""
        return all(wish.holds(labels) for wish in self.wishes)

    def at_once(self, labels: Mapping[str, str]) -> bool:
        """Whether a node may take it without knowing more than its own labels."""
        return self.cap is None and self.fits(labels) and self.preferred(labels)


@lru_cache(maxsize=4_096)
def parse_place(text: str) -> Place:
    """The place of a text that `place_text` or `node_place` made."""
    needs: list[Requirement] = []
    wishes: list[Requirement] = []
    cap, capped = None, ""
    for part in text.split(",") if text else ():
        if part.startswith("#"):
            number, _, capped = part[1:].partition("/")
            cap = int(number)
        elif part.startswith("~"):
            wishes.append(_stored(part[1:]))
        else:
            needs.append(_stored(part))
    return Place(needs=tuple(needs), wishes=tuple(wishes), cap=cap, capped=capped)


def place_matches(place: str, labels: Mapping[str, str]) -> bool:
    """Whether a node with these labels may run what belongs to this place."""
    return not place or parse_place(place).fits(labels)


def place_text(
    run_on: Mapping[str, object] | str | None,
    prefer: Mapping[str, object] | str | None = None,
    cap: int | None = None,
    key: str = "",
) -> str:
    """The place of a job named `key`: what it needs, what it prefers, how many on one node."""
    needs = sorted(set(map(str, read_requirements(run_on))))
    wishes = sorted({f"~{wish}" for wish in read_requirements(prefer)})
    capped = [] if cap is None else [f"#{cap}/{_digest(key)}"]
    text = ",".join([*needs, *wishes, *capped])
    if len(text) > LONGEST:
        raise Invalid(f"has more than {LONGEST} characters", code="too_long", hint="say less")
    return text


def node_place(place: str, name: str) -> str:
    """The same place, on this node alone: it prefers no other."""
    parts = [part for part in place.split(",") if part and part[0] != "~"]
    return ",".join([*parts, f"node={name}"])


def shown_place(place: str) -> str:
    """What a place demands, for people."""
    parsed = parse_place(place)
    return ", ".join(map(str, parsed.needs))


def read_requirements(said: Mapping[str, object] | str | None) -> list[Requirement]:
    """What a definition says of labels, as a mapping or as a selector. Raises Invalid."""
    if said is None:
        return []
    if isinstance(said, str):
        return [_read(part.strip()) for part in _COMMA.split(said)]
    return [Requirement(key, _values(value), negated=False) for key, value in said.items()]


def _values(value: object) -> tuple[str, ...]:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _sorted(map(str, value))
    return (str(value),)


def _sorted(values: Iterable[str]) -> tuple[str, ...]:
    """In one order, each once: what means the same is one queue."""
    return tuple(sorted(set(values)))


def _read(text: str) -> Requirement:
    """One condition as people write it."""
    if found := _PLAIN.fullmatch(text):
        return Requirement(found[2], (), negated=bool(found[1]))
    for pattern, comma in ((_EQUAL, "|"), (_IN, ",")):
        if found := pattern.fullmatch(text):
            values = _sorted(value.strip() for value in found[3].split(comma))
            if all(values) and not any(set(value) & set("=|") for value in values):
                return Requirement(found[1], values, negated=found[2] in {"!=", "notin"})
    shown = text[:60]
    text = f"'{shown}' is no condition on a label" if shown else "has an empty condition"
    raise Invalid(text, code="bad_selector", hint=_HINT)


def _stored(part: str) -> Requirement:
    """One condition as `Requirement` spells it; what only a label's value could say stays."""
    if found := _PLAIN.fullmatch(part):
        return Requirement(found[2], (), negated=bool(found[1]))
    key, _, values = part.partition("=")
    negated = key.endswith("!")
    return Requirement(key.removesuffix("!"), tuple(values.split("|")), negated=negated)


def _like(pattern: str, value: str) -> bool:
    """`*` stands for anything. Each piece is taken where it is first: a pattern never goes back."""
    first, *pieces = pattern.split("*")
    if not pieces:
        return pattern == value
    last = pieces.pop()
    if not value.startswith(first) or len(value) < len(first) + len(last):
        return False
    at, end = len(first), len(value) - len(last)
    for piece in pieces:
        found = value.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return value.endswith(last)


def _digest(key: str) -> str:
    return blake2b(key.encode(), digest_size=8).hexdigest()
