"""A cron expression in a zone: the schedule that most jobs have."""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from cronherd.domain.errors import Invalid
from cronherd.domain.timing.cronexpr import check_cron, is_drawn, read_cron
from cronherd.domain.timing.cronfields import CronFields
from cronherd.domain.timing.rule import Plain
from cronherd.domain.timing.wallclock import FOLDS, GAPS, Fold, Gap, next_match

# Slots come one after the other, and the jobs that share a rule ask about the same few.
_ANSWERS_KEPT = 16
_Word = TypeVar("_Word", bound=str)


@dataclass(frozen=True, slots=True)
class Cron(Plain):
    """Cron fields in a zone; `gap` and `fold` are for changes of the clock (wallclock.py)."""

    expression: str
    zone: ZoneInfo
    fields: CronFields
    gap: Gap = "after"
    fold: Fold = "first"
    _answers: dict[int, int | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def text(self) -> str:
        return self.expression

    def next_after(self, after_us: int) -> int | None:
        try:
            return self._answers[after_us]
        except KeyError:
            pass
        found = next_match(self.fields, self.zone, after_us, gap=self.gap, fold=self.fold)
        if len(self._answers) >= _ANSWERS_KEPT:
            self._answers.clear()
        self._answers[after_us] = found
        return found


def make_cron(
    text: str,
    zone: ZoneInfo,
    *,
    seconds: str | None = None,
    key: str = "",
    gap: str = "after",
    fold: str = "first",
) -> Cron:
    """The schedule of one expression; the same object for all jobs that share it.

    `key` is what `H` and `~` are drawn from, the job's own for ever. Raises Invalid.
    """
    return _make_cron(text, zone, seconds, key if is_drawn(text) else "", gap, fold)


@lru_cache(maxsize=4_096)
def _make_cron(
    text: str, zone: ZoneInfo, seconds: str | None, key: str, gap: str, fold: str
) -> Cron:
    return Cron(
        check_cron(text, seconds=seconds, key=key),
        zone,
        read_cron(text, seconds=seconds, key=key),
        _one_of(GAPS, gap, "dst_gap"),
        _one_of(FOLDS, fold, "dst_fold"),
    )


def _one_of(known: tuple[_Word, ...], word: str, name: str) -> _Word:
    for value in known:
        if value == word:
            return value
    raise Invalid(
        f"'{str(word)[:40]}' is no {name}",
        code="bad_schedule",
        hint=f"write {' or '.join(known)}",
    )
