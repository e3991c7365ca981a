"""Pages of runs and jobs by what is looked for: each filter beside a plain look at all."""

import random
from collections.abc import Callable, Iterator

import pytest

from cronherd.domain.instant import DAY_US, MINUTE_US
from cronherd.domain.policy import FOREVER_US
from cronherd.domain.run import Cause, Outcome, Run, RunState
from cronherd.domain.search import JobSearch, RunSearch
from cronherd.domain.standing import Standing
from cronherd.store import browse, jobpages, textsearch
from cronherd.store.facts import RunFilter
from tests.store.stage import Stage


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browse, "WINDOW", 7)
    monkeypatch.setattr(jobpages, "JOB_WINDOW", 4)
    monkeypatch.setattr(jobpages, "NEAR", 3)


@pytest.fixture(params=[0, 1_000], ids=["many", "few"])
def _few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(textsearch, "FEW", request.param)


def pages_of(stage: Stage, search: RunSearch, limit: int = 5) -> Iterator[list[Run]]:
    before = None
    while True:
        page, before = stage.store.run_page(RunFilter(search=search, before=before, limit=limit))
        yield page
        if before is None:
            return


def many_runs(stage: Stage) -> None:
    """Sixty runs of six jobs on two nodes, half of them ended, in all the ways."""
    chance = random.Random(7)
    other = stage.join("two")
    jobs = [
        stage.job(f"Job {n}", None, overlap="allow", tags=["even", 'q"t'] if n % 2 == 0 else ["x"])
        for n in range(6)
    ]
    for number in range(60):
        stage.clock.advance(60)
        stage.request(chance.choice(jobs), f"m:{number}")
        if number % 2:
            node = chance.choice([stage.node, other])
            stage.end(*stage.claim(1, node), exit_code=chance.choice([0, 1]))


SEARCHES: dict[str, tuple[RunSearch, Callable[[Run, int], bool]]] = {
    "all": (RunSearch(), lambda run, now: True),
    "tag": (RunSearch(tag="even"), lambda run, now: run.job_name[-1] in "024"),
    "quoted tag": (RunSearch(tag='q"t'), lambda run, now: run.job_name[-1] in "024"),
    "no tag": (RunSearch(tag="eve"), lambda run, now: False),
    "word": (RunSearch(words=("jOB 3",)), lambda run, now: run.job_name == "Job 3"),
    "percent": (RunSearch(words=("%",)), lambda run, now: False),
    "hex": (RunSearch(words=("b",)), lambda run, now: True),  # of "Job", or of an id
    "cause": (RunSearch(cause=Cause.MANUAL), lambda run, now: True),
    "no cause": (RunSearch(cause=Cause.BOOT), lambda run, now: False),
    "failed": (RunSearch.of(Outcome.FAILED), lambda run, now: run.outcome is Outcome.FAILED),
    "ended": (
        RunSearch.of(Outcome.FAILED, Outcome.SUCCEEDED),
        lambda run, now: run.state is RunState.FINISHED,
    ),
    "failed with tag": (
        RunSearch(live=frozenset(), outcomes=frozenset({Outcome.FAILED}), tag="even"),
        lambda run, now: run.outcome is Outcome.FAILED and run.job_name[-1] in "024",
    ),
    "ready": (RunSearch.of(RunState.READY), lambda run, now: run.state is RunState.READY),
    "node": (RunSearch(node="two"), lambda run, now: run.node == "two"),
    "nowhere": (RunSearch(node="three"), lambda run, now: False),
}


@pytest.mark.parametrize("limit", [3, 50])
@pytest.mark.usefixtures("small_windows")
def test_pages_hold_what_fits_and_nothing_twice(stage: Stage, limit: int):
    many_runs(stage)
    every = stage.store.runs(RunFilter(limit=1000))
    assert len(every) == 60
    assert {run.state for run in every} == {RunState.FINISHED, RunState.READY}
    for name, (search, fits) in SEARCHES.items():
        found = [run.id for page in pages_of(stage, search, limit) for run in page]
        assert found == [run.id for run in every if fits(run, stage.now_us)], name


@pytest.mark.usefixtures("small_windows")
def test_a_time_is_exact_although_ids_are_not(stage: Stage):
    many_runs(stage)
    every = stage.store.runs(RunFilter(limit=1000))
    since, until = every[40].created_us, every[20].created_us
    search = RunSearch(since_us=since, until_us=until)
    found = [run for page in pages_of(stage, search) for run in page]
    assert found == every[20:41]
    later = RunSearch(since_us=stage.now_us + 2 * DAY_US)
    assert list(pages_of(stage, later)) == [[]]


@pytest.mark.usefixtures("small_windows")
def test_one_look_goes_through_so_many_rows_only(stage: Stage):
    many_runs(stage)
    pages = list(pages_of(stage, RunSearch(tag="nobody has it")))
    assert len(pages) >= 4  # thirty rows of history, seven at once
    assert not any(pages)


def test_a_page_may_begin_at_a_run_that_was_forgotten(stage: Stage):
    many_runs(stage)
    before = "f" * 32
    assert len(stage.store.runs(RunFilter(before=before, limit=100))) == 60


# ------------------------------------------------------------------ jobs


def jobs_of(stage: Stage, search: JobSearch, limit: int = 3) -> list[str]:
    names: list[str] = []
    after = None
    while True:
        page, after = stage.store.job_page(search, after, limit)
        names += [row.job.name for row in page]
        if after is None:
            return names


def odd_jobs(stage: Stage) -> None:
    """Jobs in every state of things, by chance and by hand."""
    chance = random.Random(11)
    for number in range(24):
        spec = {"tags": ["night"]} if number % 3 == 0 else {"description": f"Number {number}"}
        job_id = stage.job(f"j{number:02d}", "every 60s", overlap="queue", **spec)
        match number % 6:
            case 1:
                stage.disable(job_id)
            case 2:
                stage.pause(job_id)
            case 3:
                stage.pause(job_id, 5_000)
            case 4:
                stage.job(f"k{number}", None)
    for _ in range(4):
        stage.clock.advance(45)
        stage.fire()
        for claim in stage.claim(6):
            stage.start(claim)
            if chance.random() < 0.7:
                stage.end(claim, exit_code=chance.choice([0, 1]))
    stage.delete(stage.store.find_job("j00").id)
    stage.clock.advance(90)


@pytest.mark.usefixtures("small_windows", "_few")
def test_words_about_jobs_choose_the_same_rows_as_the_domain_says(stage: Stage):
    odd_jobs(stage)
    rows = stage.store.jobs(limit=1000)
    numbers = dict(stage.store.standings())
    assert numbers.pop("jobs") == len(rows)
    live = [f"runs_{state}" for state in stage.states() if state != "finished"]
    assert live
    for word in set(live):
        assert numbers.pop(word) == live.count(word)
    for word in Standing:
        wanted = [row.job.name for row in rows if word in row.standing]
        assert jobs_of(stage, JobSearch(standing=word)) == wanted
        assert stage.store.job_names(word, 1000) == wanted
        assert stage.store.job_names(word, 1) == wanted[:1]
        assert numbers.pop(word) == len(wanted), word
        assert wanted, word
    assert not numbers


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize(
    ("search", "fits"),
    [
        (JobSearch(tag="night"), lambda n: n % 3 == 0),
        (JobSearch(words=("NUMBER 1",)), lambda n: n % 3 and str(n).startswith("1")),
        (JobSearch(words=("j1", "number")), lambda n: n % 3 and n >= 10 and n < 20),
        (JobSearch(source="test"), lambda n: True),
        (JobSearch(source="elsewhere"), lambda n: False),
        (JobSearch(words=("_",)), lambda n: False),
        (JobSearch(words=("tags",)), lambda n: False),  # a key of the definition is no text
    ],
)
def test_texts_and_tags_of_jobs(stage: Stage, search: JobSearch, fits: Callable[[int], bool]):
    odd_jobs(stage)
    found = [name for name in jobs_of(stage, search) if name.startswith("j")]
    assert found == [f"j{n:02d}" for n in range(1, 24) if fits(n)]


def test_what_jobs_are_put_in_order_by_is_as_a_list_of_them_has_it(stage: Stage):
    ids = [stage.job(f"a{number}", tags=["t"] * (number < 3)) for number in range(6)]
    for number, code in enumerate((0, 3, 0)):
        stage.request(ids[number], f"m:{number}")
        claims = stage.claim()
        stage.start(*claims)
        stage.clock.advance(5 - number)
        stage.end(*claims, exit_code=code)
    stage.request(ids[1], "m:again")
    stage.start(*stage.claim())
    stage.store.pause_job(ids[2], FOREVER_US, "ada")
    stage.store.set_enabled(ids[3], "ada", enabled=False)
    stage.store.skip_next(ids[4], 2, "ada")
    stage.delete(ids[5])
    ranks = stage.store.job_ranks(JobSearch(), 5)
    assert ranks is not None
    listed = stage.store.jobs()
    assert [rank.job.name for rank in sorted(ranks, key=lambda rank: rank.job.key)] == [
        row.job.name for row in listed
    ]
    for rank, row in zip(sorted(ranks, key=lambda rank: rank.job.key), listed, strict=True):
        for fact in ("job", "enabled", "source", "next_us", "paused_until_us", "skip_us", "live"):
            assert getattr(rank, fact) == getattr(row, fact), (row.job.name, fact)
        assert rank.standing == row.standing
        for fact in ("outcome", "started_us", "ended_us", "node"):
            assert getattr(rank, fact) == (getattr(row.last, fact) if row.last else None)


def test_more_jobs_than_are_put_in_order_are_none(stage: Stage, monkeypatch: pytest.MonkeyPatch):
    for number in range(5):
        stage.job(f"a{number}", tags=["t"] if number < 3 else [])
    stage.delete(stage.store.find_job("a4").id)

    def count(search: JobSearch, most: int) -> int | None:
        ranks = stage.store.job_ranks(search, most)
        return None if ranks is None else len(ranks)

    assert [count(JobSearch(), most) for most in (3, 4, 9)] == [None, 4, 4]
    assert [count(JobSearch(tag="t"), most) for most in (2, 3)] == [None, 3]
    assert count(JobSearch(tag="T"), 9) == 0
    assert count(JobSearch(standing=Standing.RUNNING), 9) == 0
    assert [count(JobSearch(standing=Standing.NOT_DUE), most) for most in (3, 4)] == [None, 4]
    monkeypatch.setattr(jobpages, "JOB_WINDOW", 2)  # others of them are further than one look
    assert count(JobSearch(source="test"), 9) is None


@pytest.mark.parametrize("text", ["Grüße", 'say "hi"', "back\\slash", "日本", "50%", "a_b", "!x!"])
def test_odd_texts_are_found_in_any_case(stage: Stage, text: str):
    stage.job("one", description=f"it is {text}, so", tags=["t"])
    stage.job("two", description="other")
    for word in (text, text.upper(), text.lower()):
        assert jobs_of(stage, JobSearch(words=(word,))) == ["one"]


# ------------------------------------------------------------------ which jobs failed last


def is_failing(stage: Stage) -> bool:
    return bool(jobs_of(stage, JobSearch(standing=Standing.ERROR)))


def test_the_newest_run_says_whether_a_job_is_in_error(stage: Stage):
    job_id = stage.job("a", None, overlap="allow")
    assert not is_failing(stage)
    for number, (code, bad) in enumerate([(1, True), (1, True), (0, False), (3, True)]):
        stage.clock.advance(1)
        stage.request(job_id, f"m:{number}")
        stage.end(*stage.claim(1), exit_code=code)
        assert is_failing(stage) is bad
    old = stage.request(job_id, "m:old").run_id
    stage.clock.advance(1)
    new = stage.request(job_id, "m:new").run_id
    claims = {claim.run_id: claim for claim in stage.claim(2)}
    stage.end(claims[new], exit_code=0)
    assert not is_failing(stage)
    stage.end(claims[old], exit_code=1)  # it ends later and is not the newest
    assert not is_failing(stage)
    for row in stage.store.jobs():
        assert Standing.ERROR not in row.standing


def test_a_run_that_is_cancelled_unstarted_clears_the_error(stage: Stage):
    job_id = stage.job("a", None)
    stage.request(job_id, "m:1")
    stage.end(*stage.claim(1), exit_code=1)
    assert is_failing(stage)
    stage.clock.advance(1)
    stage.store.cancel_run(stage.request(job_id, "m:2").run_id)
    assert not is_failing(stage)


def test_a_pause_for_ever_counts_as_one(stage: Stage):
    stage.pause(stage.job("a"))
    assert stage.store.find_job("a").paused_until_us == FOREVER_US
    assert dict(stage.store.standings())["paused"] == 1
    stage.clock.advance(5 * MINUTE_US // 1_000_000)
    assert dict(stage.store.standings())["overdue"] == 0
