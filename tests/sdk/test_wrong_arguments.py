"""Whatever is given to a step: it is taken, or refused in a sentence with the line that said it.

D2.1: a schedule in code is checked where it is written.
"""

from collections.abc import Callable

import pytest

from cronherd import Scheduler
from cronherd.definition.jobs import build_jobs
from cronherd.domain.errors import Invalid, InvalidInput
from cronherd.sdk.vocabulary import BEGINNINGS, FREQUENCIES, SECTIONS, Word
from tests.sdk import shop

THINGS = (
    "None", "object()", "True", "-1", "3", "10 ** 30", "1.5", "float('nan')", "''", "'soon'",
    "'\\0'", "'\\ud800'", "'x' * 200_000", "b'x'", "[]", "()", "{}", "set()", "{'a': 1}",
    "['a', 3]", "[None]", "lambda: 1", "None, None", "'x', 'y'", "1, 2, 3",
)  # fmt: skip
WORDS = [word for words in SECTIONS.values() for word in words if word.step != "group"]
# What no wrong thing may become.
NEVER_TAKEN = ("None", "object()", "b'x'", "lambda: 1", "float('nan')", "set()", "[None]")
# Here None is as good as nothing: the step is not said.
OPTIONAL = {
    "last_day_of_month", "max_runs", "jitter", "description", "user", "without_overlapping",
    "overlapping", "queue", "on_all_servers", "spread", "run_on", "prefer", "priority", "min_gap",
    "catchup", "delivery", "pause_after_failures", "timeout",
}  # fmt: skip


def sentence_of(word: Word, thing: str) -> str | None:
    """What is said of `thing` in the third line of a file; None where it is taken."""
    schedule = Scheduler(environment="production")
    names = {"schedule": schedule, "shop": shop}
    begin = "schedule.command('report')"
    if word in BEGINNINGS:
        code = f"schedule.{word.step}({thing}).daily()"
    elif word in FREQUENCIES:
        code = f"{begin}.{word.step}({thing})"
    else:
        code = f"{begin}.daily().{word.step}({thing})"
    run: Callable[..., object] = eval
    try:
        run(compile(f"\n\n{code}", "/app/jobs.py", "eval"), names)
        build_jobs(schedule.definitions(), timezone="UTC")
    except Invalid as error:
        faults = error.errors if isinstance(error, InvalidInput) else [error]
        where = [str(fault.where) for fault in faults]
        assert all(place.startswith("/app/jobs.py:3") for place in where), (code, where)
        assert all(fault.text for fault in faults)
        return str(error)
    except TypeError as error:  # Python's own: so many arguments do not fit
        if " argument" in str(error):
            return str(error)
        raise
    return None


@pytest.mark.parametrize("word", WORDS, ids=lambda word: word.step)
def test_a_wrong_thing_is_refused_with_its_line(word: Word):
    found = {thing: sentence_of(word, thing) for thing in THINGS}
    taken = {thing for thing, said in found.items() if said is None}
    assert taken & set(NEVER_TAKEN) <= ({"None"} if word.step in OPTIONAL else set())


@pytest.mark.parametrize(
    ("step", "thing", "words"),
    [
        ("command", "None", "None is no command"),
        ("command", "b'x'", "b'x' is no command"),
        ("days_of_month", "None", "None is not a day of the month"),
        ("environments", "3", "names no environment"),
        ("environments", "{'production': 1}", "names no environment"),
        ("name", "3", "3 is no name"),
        ("email_output_to", "", "names no address"),
        ("email_output_on_failure", "['a@example.com']", "names no address"),
    ],
)
def test_the_sentence_is_about_what_was_given(step: str, thing: str, words: str):
    (word,) = [word for word in WORDS if word.step == step]
    assert words in str(sentence_of(word, thing))


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("dailyAt", "here it is daily_at"),
        ("withoutOverlapping", "here it is without_overlapping"),
        ("storeOutput", "instead: the output of every run is stored"),
        ("daily_ad", "did you mean daily_at?"),
        ("zzzz", "set(...) says what has no step"),
    ],
)
@pytest.mark.parametrize("begin", ["schedule.command('x')", "schedule.group()"])
def test_a_word_of_laravel_is_told_how_it_is_spelled_here(said: str, hint: str, begin: str):
    code = compile(f"\n{begin}.{said}('2:30')", "/app/jobs.py", "eval")
    with pytest.raises(Invalid) as caught:
        eval(code, {"schedule": Scheduler()})  # noqa: S307 - our own
    assert str(caught.value) == f"/app/jobs.py:2: there is no step '{said}' ({hint})"


def test_a_job_still_answers_what_it_has():
    job = Scheduler().command("x")
    assert hasattr(job, "daily")
    assert not hasattr(job, "dailyAt")
    assert getattr(job, "__deepcopy__", 3) == 3
