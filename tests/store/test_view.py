"""What a thread reads within one view is as it was at one instant, whoever writes meanwhile."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from cronherd.domain.errors import NotFound
from cronherd.domain.search import JobSearch
from cronherd.store.sqlstore import SqlStore
from tests.store.stage import Stage


def names(store: SqlStore) -> list[str]:
    return [row.job.name for row in store.jobs()]


@pytest.fixture
def write(stage: Stage, open_second: Callable[[], SqlStore]) -> Iterator[Callable[[str], None]]:
    """A job and a pool of that name, by somebody else: of another store, in another thread."""
    other = stage.on(open_second())

    def both(name: str) -> None:
        other.job(name)
        other.store.set_pool(name, 1, "ada")

    with ThreadPoolExecutor(1) as pool:
        yield lambda name: pool.submit(both, name).result(30)


def test_a_view_does_not_see_what_is_written_meanwhile(stage: Stage, write: Callable[[str], None]):
    write("one")
    with stage.store.one_view():
        assert names(stage.store) == ["one"]
        write("two")
        assert names(stage.store) == ["one"]
        assert len(stage.store.job_ranks(JobSearch(), 10) or ()) == 1
        assert len(stage.store.pools()) == 1  # nor does what is one statement only
    assert names(stage.store) == ["one", "two"]
    assert len(stage.store.pools()) == 2


def test_a_view_belongs_to_its_thread(stage: Stage, write: Callable[[str], None]):
    write("one")
    with stage.store.one_view(), ThreadPoolExecutor(1) as pool:
        assert names(stage.store) == ["one"]
        write("two")
        assert pool.submit(names, stage.store).result(30) == ["one", "two"]


def test_a_view_within_a_view_ends_with_the_outer_one(stage: Stage, write: Callable[[str], None]):
    write("one")
    with stage.store.one_view():
        with stage.store.one_view():
            assert names(stage.store) == ["one"]
        write("two")
        assert names(stage.store) == ["one"]


def test_a_view_that_broke_is_closed(stage: Stage, write: Callable[[str], None]):
    write("one")
    with pytest.raises(NotFound), stage.store.one_view():
        stage.store.find_job("none")
    write("two")
    assert names(stage.store) == ["one", "two"]
