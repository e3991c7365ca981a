"""next: what a million next slots of cron schedules cost, on one core, without a database.

Beside us the libraries that answer the same question, where they can be imported; they get the
first part of the same questions.
"""

import importlib
import itertools
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bench.report import BenchError, Report, Row, Target, tidy
from bench.stage import Bench
from cronherd.domain.timing.cron import make_cron

GOAL_US = 60.0  # a million within a minute
GOAL_TYPICAL_US = 15.0
GOAL_WORST_MS = 20.0
# Rare days, and what every change of the clock swallows.
WORST = (
    ("0 0 29 2 *", "Pacific/Apia", "after"),
    ("0 0 29 2 */6,5", "Europe/Berlin", "after"),
    ("0 0 L-30 * */6", "Australia/Lord_Howe", "after"),
    ("*/30 2 25-31 3 */7", "Europe/Berlin", "after"),
    ("30 2 25-31 3 */7", "Europe/Berlin", "skip"),
    ("30 2 8-14 3 */7", "America/New_York", "skip"),
)
SEED = 1_000_003
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC", "Australia/Lord_Howe")
SHARED = 50  # schedules of a fleet whose jobs mostly write the same ones
RULES = 2_000
BEGIN_S = 1_798_761_600  # 2027-01-01
YEAR_S = 365 * 86_400
PEER_QUESTIONS = 20_000
FRESH_SHARE = 10  # expressions that nobody has read before: so many times fewer
US = 1_000_000

Question = tuple[str, str, int]  # expression, zone, previous slot in seconds


def run(bench: Bench) -> Report:
    report = Report(name="next")
    bench.say(f"{bench.jobs} different questions")
    questions = different(bench.jobs)
    rows = [
        timed("different schedule and previous slot", questions, ours(questions)),
        timed("the same once more", questions, ours(questions)),
    ]
    sharing = shared(bench.jobs)
    rows.append(timed(f"jobs that share {SHARED} schedules", sharing, ours(sharing)))
    fresh = unread(bench.jobs // FRESH_SHARE or 1)
    rows.append(timed("a schedule never read before: read, then asked", fresh, reading()))
    report.tables["one core, our evaluator"] = rows
    report.tables["the worst, in a zone not seen before"] = worst = list(map(longest, WORST))
    few = questions[:PEER_QUESTIONS]
    bench.say(f"the first {len(few)} of them by each")
    beside = [timed("cronherd", few, ours(few))]
    for name, ask in (("cronsim", by_cronsim), ("croniter", by_croniter)):
        try:
            importlib.import_module(name)
        except ImportError:
            report.notes.append(f"{name} is not installed, so it is not beside us")
            continue
        beside.append(timed(name, few, ask))
    report.tables["the same questions"] = beside
    report.targets = [
        Target(
            what=str(row["what"]),
            value=row["µs each"],
            goal=goal,
            unit="µs",
            at_least=False,
        )
        for row, goal in (
            (rows[0], GOAL_TYPICAL_US),
            (rows[2], GOAL_TYPICAL_US),
            (rows[3], GOAL_US),
        )
    ]
    report.targets.append(
        Target(
            what="the worst question",
            value=max(row["ms"] for row in worst),
            goal=GOAL_WORST_MS,
            unit="ms",
            at_least=False,
        )
    )
    report.notes += [
        "the worst: the best of five, as it is the search that is told and not the host",
        f"{RULES} expressions over {len(ZONES)} zones, previous slots anywhere in a year",
        "the first row begins with no zone known; schedules are read before",
        f"peers get each question as a new object, as their interface has it; goal {GOAL_US:g} µs",
    ]
    return report


def expressions(rng: random.Random) -> Sequence[str]:
    """What crontabs hold: mostly daily and every few minutes, some days, a few rare ones."""
    kinds: Sequence[tuple[int, Callable[[], str]]] = (
        (40, lambda: f"{rng.randrange(60)} {rng.randrange(24)} * * *"),
        (20, lambda: f"*/{rng.choice((2, 5, 10, 15, 20, 30))} * * * *"),
        (10, lambda: f"{rng.randrange(60)} * * * *"),
        (10, lambda: f"{rng.randrange(60)} {rng.randrange(24)} * * {rng.randrange(7)}"),
        (8, lambda: f"*/{rng.choice((5, 10))} {rng.randrange(12)}-{rng.randrange(12, 24)} * * 1-5"),
        (8, lambda: f"{rng.randrange(60)} {rng.randrange(24)} {rng.randrange(1, 29)} * *"),
        (3, lambda: f"{rng.randrange(60)} 0 1 {rng.randrange(1, 13)} *"),
        (1, lambda: f"{rng.randrange(60)} 0 29 2 *"),
    )
    weights, makers = zip(*kinds, strict=True)
    return [rng.choices(makers, weights)[0]() for _ in range(RULES)]


def different(count: int) -> list[Question]:
    rng = random.Random(SEED)
    rules = [(text, zone) for text in expressions(rng) for zone in [rng.choice(ZONES)]]
    found: dict[Question, None] = {}
    while len(found) < count:
        text, zone = rules[rng.randrange(RULES)]
        found[text, zone, BEGIN_S + rng.randrange(YEAR_S)] = None
    return list(found)


def shared(count: int) -> list[Question]:
    """Jobs of few schedules, as a node meets them: those of an instant, and then the next."""
    rng = random.Random(SEED)
    rules = [(text, rng.choice(ZONES)) for text in expressions(rng)[:SHARED]]
    each = max(1, count // SHARED // 20)
    moments = itertools.count(BEGIN_S, 3_600)
    asked = ((text, zone, at) for at in moments for text, zone in rules for _ in range(each))
    return list(itertools.islice(asked, count))


def unread(count: int) -> list[Question]:
    """Each with lists of its own, as nobody would write them a million times."""
    rng = random.Random(SEED)
    return [
        (
            f"{n % 60} {n // 60 % 24} {n // 1_440 % 28 + 1},{rng.randrange(1, 32)} * *",
            ZONES[n % len(ZONES)],
            BEGIN_S + rng.randrange(YEAR_S),
        )
        for n in range(count)
    ]


def ours(questions: Sequence[Question]) -> Callable[[str, str, int], object]:
    """With the schedules at hand, as jobs have them."""
    rules = {(text, zone): make_cron(text, ZoneInfo(zone)) for text, zone, _ in questions}
    return lambda text, zone, at: rules[text, zone].next_after(at * US)


def reading() -> Callable[[str, str, int], object]:
    return lambda text, zone, at: make_cron(text, ZoneInfo(zone)).next_after(at * US)


def by_cronsim(text: str, zone: str, at: int) -> object:
    from cronsim import CronSim  # noqa: PLC0415 - a peer, which need not be there

    return next(CronSim(text, datetime.fromtimestamp(at, ZoneInfo(zone))))


def by_croniter(text: str, zone: str, at: int) -> object:
    croniter: Any = importlib.import_module("croniter").croniter
    return croniter(text, datetime.fromtimestamp(at, ZoneInfo(zone))).get_next(datetime)


def longest(asked: tuple[str, str, str]) -> Row:
    text, zone, gap = asked
    took: list[float] = []
    for _ in range(5):
        unseen = ZoneInfo.no_cache(zone)
        rule = make_cron(text, unseen, gap=gap)
        began = time.process_time()
        rule.next_after(BEGIN_S * US)
        took.append(time.process_time() - began)
    return {"schedule": text, "zone": zone, "gap": gap, "ms": tidy(min(took) * 1e3)}


def timed(what: str, questions: Sequence[Question], ask: Callable[[str, str, int], object]) -> Row:
    began, busy = time.perf_counter(), time.process_time()
    answers = sum(ask(text, zone, at) is not None for text, zone, at in questions)
    busy, took = time.process_time() - busy, time.perf_counter() - began
    if answers != len(questions):
        raise BenchError(f"{what}: {len(questions) - answers} questions have no answer")
    return {
        "what": what,
        "questions": len(questions),
        "seconds": tidy(took),
        "CPU s": tidy(busy),
        "µs each": tidy(busy / len(questions) * US),
    }
