"""What an answer is put together from was read within one view (`Database.read`)."""

from collections.abc import Callable
from typing import Any

import pytest

from cronherd.service import Service
from tests.store.stage import Stage

VERBS: dict[str, Callable[[Service], Any]] = {
    "overview": lambda service: service.overview(),
    "status": lambda service: service.status(),
    "gauges": lambda service: service.gauges(5),
    "timers": lambda service: service.timers(),
    "list_jobs": lambda service: service.list_jobs(),
    "show_job": lambda service: service.show_job("one"),
    "list_runs": lambda service: service.list_runs(),
    "load": lambda service: service.load(600, 600, 60),
    "timeline": lambda service: service.timeline("2026-11-21", "2026-11-22", 600),
    "why": lambda service: service.why("one"),
    "audit": lambda service: service.audit(),
}


@pytest.mark.parametrize("verb", list(VERBS))
def test_an_answer_is_of_one_instant(
    service: Service, stage: Stage, monkeypatch: pytest.MonkeyPatch, verb: str
):
    stage.job("one")
    dialect = stage.store.db.dialect
    begun: list[object] = []
    begin: Callable[[Any], None] = dialect.begin_read

    def counted(connection: Any) -> None:
        begun.append(connection)
        begin(connection)

    monkeypatch.setattr(dialect, "begin_read", counted)
    VERBS[verb](service)
    assert len(begun) == 1
