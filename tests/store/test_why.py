"""Why a slot ran, or did not, from what real databases have on record."""

from typing import Any

import pytest

from cronherd.domain.errors import Invalid
from cronherd.domain.instant import DAY_US, format_instant
from cronherd.service import Service
from cronherd.store.pruning import EVENT_AGE_US
from tests.store.stage import SECOND_US, Stage

MINUTE_US = 60 * SECOND_US


@pytest.fixture
def service(stage: Stage) -> Service:
    return Service(
        stage.store, stage.store, new_id=stage.new_id, wake=lambda: None, pause=lambda: False,
        timezone="UTC",
    )  # fmt: skip


def why(service: Service, at_us: int | None = None, name: str = "job") -> dict[str, Any]:
    """The one answer about an instant."""
    (item,) = service.why(name, format_instant(at_us))["items"]
    return dict(item)


def said(item: dict[str, Any]) -> tuple[str, str | None]:
    return item["answer"], item["reason"]


def slot(stage: Stage) -> int:
    """The next slot of the job."""
    next_us = stage.store.find_job("job").next_us
    assert next_us is not None
    return next_us


def test_a_slot_that_ran_names_its_run_and_its_node(stage: Stage, service: Service):
    stage.job(schedule="every 60s")
    first_us = slot(stage)
    assert said(why(service)) == ("will_run", None)  # nothing is past
    stage.after(61)
    stage.finish_all()
    item = why(service)
    assert (item["at"], *said(item)) == (format_instant(first_us), "ran", None)
    (run,) = item["runs"]
    assert (run["node"], run["outcome"], run["cause"]) == ("one", "succeeded", "schedule")
    assert (item["previous"], item["next"]) == (None, format_instant(first_us + MINUTE_US))
    assert said(why(service, first_us + MINUTE_US)) == ("will_run", None)
    assert said(why(service, first_us + 1)) == ("no_slot", "between")
    assert said(why(service, first_us - MINUTE_US)) == ("unknown", "before_job")
    assert item["version"]["present"] is True


def test_a_slot_that_was_refused_names_the_run_in_the_way(stage: Stage, service: Service):
    stage.job(schedule="every 60s")
    stage.after(61)
    stage.start(stage.one_claim())
    (holder,) = stage.runs()
    second_us = slot(stage)
    stage.after(60)
    item = why(service)
    assert (item["at"], *said(item)) == (format_instant(second_us), "did_not_run", "overlap")
    assert item["in_the_way"]["id"] == item["ledger"]["ref"] == holder.id
    assert item["in_the_way"]["state"] == "running"
    assert (item["ledger"]["recorded_at"], item["event"]) == (format_instant(stage.now_us), None)


def test_a_run_that_waited_names_the_one_it_waited_for(stage: Stage, service: Service):
    stage.job(schedule="every 60s", overlap="queue")
    stage.after(61)
    first = stage.one_claim()
    stage.start(first)
    second_us = slot(stage)
    stage.after(60)
    item = why(service, second_us)
    assert said(item) == ("waiting", "permit")
    assert item["in_the_way"]["id"] == first.run_id
    stage.advance(20)
    stage.end(first)
    stage.settle()
    second = stage.one_claim()
    stage.start(second)
    (run,) = why(service, second_us)["runs"]
    assert (run["late_because"], run["waited_for"]) == (["permit"], first.run_id)


def test_a_pause_tells_who_asked_for_it(stage: Stage, service: Service):
    job_id = stage.job(schedule="every 60s")
    first_us = slot(stage)
    stage.store.pause_job(job_id, stage.now_us + DAY_US, "ann")
    item = why(service, first_us)
    assert (*said(item), item["event"]["actor"]) == ("will_not_run", "paused", "ann")
    stage.advance(150)
    item = why(service)
    assert (item["at"], *said(item)) == (
        format_instant(first_us + MINUTE_US), "did_not_run", "paused",
    )  # fmt: skip
    assert (item["ledger"], item["event"]["actor"]) == (None, "ann")
    stage.resume(job_id)
    stage.advance(5)
    stage.store.pause_job(job_id, stage.now_us + DAY_US, "bob")
    item = why(service, first_us + MINUTE_US)
    assert (*said(item), item["ledger"]["count"]) == ("did_not_run", "paused", 2)
    assert (item["event"]["actor"], item["event"]["kind"]) == ("ann", "job_paused")
    assert said(why(service, first_us + MINUTE_US + 1)) == ("no_slot", "between")


def test_a_pause_that_came_after_the_slot_is_named_too(stage: Stage, service: Service):
    """The slot was due and nobody had looked when somebody paused the job."""
    job_id = stage.job(schedule="every 60s")
    stage.store.pause_job(job_id, stage.now_us + DAY_US, "ann")
    stage.resume(job_id)
    due_us = slot(stage)
    stage.advance(90)
    assert said(why(service, due_us)) == ("due", "late")
    stage.store.pause_job(job_id, stage.now_us + DAY_US, "bob")
    item = why(service, due_us)
    assert (*said(item), item["event"]["actor"]) == ("did_not_run", "paused", "bob")


def test_disabling_skipping_and_editing_tell_who_did_it(stage: Stage, service: Service):
    job_id = stage.job(schedule="every 60s")
    disabled_us = slot(stage)
    stage.store.set_enabled(job_id, "ann", enabled=False)
    stage.advance(61)
    item = why(service, disabled_us)
    assert (*said(item), item["event"]["actor"]) == ("did_not_run", "disabled", "ann")
    stage.enable(job_id)
    item = why(service, disabled_us)
    assert (*said(item), item["event"]["actor"]) == ("did_not_run", "disabled", "ann")
    skipped_us = slot(stage)
    stage.store.skip_next(job_id, 1, "bob")
    item = why(service, skipped_us)
    assert (*said(item), item["event"]["actor"]) == ("will_not_run", "skipped", "bob")
    stage.after(60)
    item = why(service)
    assert (item["at"], *said(item)) == (format_instant(skipped_us), "did_not_run", "skipped")
    assert item["event"]["actor"] == "bob"
    stage.edit(job_id, description="another")
    edited_us = slot(stage)
    stage.advance(61)
    stage.edit(job_id, schedule="every 7m")
    item = why(service, edited_us)
    assert (*said(item), item["event"]["kind"]) == ("did_not_run", "edited", "job_changed")
    assert item["event"]["at"] >= item["ledger"]["recorded_at"]  # this edit, not the one before
    assert (item["version"]["number"], item["version"]["present"]) == (2, False)
    assert item["schedule"] == "every 1m"
    assert said(why(service, edited_us + MINUTE_US)) == ("no_slot", "between")


def test_an_enabled_job_is_not_blamed_on_an_older_switch(stage: Stage, service: Service):
    job_id = stage.job(schedule="every 60s")
    stage.store.set_enabled(job_id, "ann", enabled=False)
    stage.enable(job_id)
    stage.advance(10)
    first_us = slot(stage)
    stage.edit(job_id, enabled=False)  # by an edit, of which nobody can tell that it was the one
    item = why(service, first_us)
    assert (*said(item), item["event"]) == ("will_not_run", "disabled", None)


def test_a_backfilled_run_stands_beside_its_row(stage: Stage, service: Service):
    stage.job(schedule="every 60s", catchup="none", overlap="allow")
    first_us = slot(stage)
    stage.after(600)
    reason = why(service, first_us)["reason"]
    assert reason == "catchup_none"
    done = service.backfill(
        "job", "ann", start=str(format_instant(first_us)), end=str(format_instant(first_us))
    )
    assert (done["made"], done["ran"]) == (1, 0)
    stage.finish_all()
    item = why(service, first_us)
    assert said(item) == ("did_not_run", "catchup_none")
    assert [(run["cause"], run["outcome"]) for run in item["runs"]] == [("backfill", "succeeded")]
    again = service.backfill(
        "job", "ann", start=str(format_instant(first_us)), end=str(format_instant(first_us))
    )
    assert (again["made"], again["ran"]) == (0, 1)


def test_what_is_late_says_what_keeps_it_back(stage: Stage, service: Service):
    stage.job(schedule="every 60s")
    first_us = slot(stage)
    stage.advance(61)
    assert said(why(service, first_us)) == ("due", "late")
    stage.store.set_hold("ann", hold=True)
    assert said(why(service, first_us)) == ("due", "hold")
    stage.store.set_hold("ann", hold=False)
    stage.clock.advance(600)  # the node does not beat
    assert said(why(service, first_us)) == ("due", "no_agent")


def test_a_job_that_cannot_be_planned_says_so(stage: Stage, service: Service):
    stage.job(schedule="every 60s")
    first_us = slot(stage)
    stage.advance(61)
    with stage.store.fire(9) as batch:
        batch.push_ahead(batch.due[0], "ValueError: no")
        batch.commit([], None)
    item = why(service, first_us)
    assert (*said(item), item["details"]) == ("due", "poisoned", ["ValueError: no"])


def test_a_run_without_a_node_says_which_it_waits_for(stage: Stage, service: Service):
    stage.job(schedule="every 60s", run_on={"gpu": "yes"})
    stage.after(61)
    item = why(service)
    assert (*said(item), item["details"]) == ("waiting", "no_node", ["gpu=yes"])


def test_a_minute_means_the_slot_in_it(stage: Stage, service: Service):
    stage.job(schedule="every 1m phase 20s")
    first_us = slot(stage)
    minute_us = first_us - first_us % MINUTE_US
    text = str(format_instant(minute_us)).replace(":00Z", "Z")
    (item,) = service.why("job", text)["items"]
    assert (item["at"], item["asked"]) == (format_instant(first_us), format_instant(minute_us))
    assert said(item) == ("will_run", None)
    exactly_us = minute_us + MINUTE_US  # with its seconds
    assert said(why(service, exactly_us)) == ("no_slot", "between")
    stage.job("quick", schedule="every 10s")
    (item,) = service.why("quick", str(format_instant(minute_us + 2 * MINUTE_US))[:16])["items"]
    assert (item["at"][17:], len(item["also"])) == ("00Z", 5)


def test_a_wall_time_that_comes_twice_has_two_answers(stage: Stage, service: Service):
    stage.job(schedule="30 2 * * *", timezone="Europe/Berlin")
    items = service.why("job", "2040-10-28 02:30")["items"]
    assert [item["at"][11:16] for item in items] == ["00:30", "01:30"]
    assert [said(item) for item in items] == [("will_run", None), ("no_slot", "clock")]
    (item,) = service.why("job", "2040-10-28 02:30+01:00")["items"]
    assert said(item) == ("no_slot", "clock")
    with pytest.raises(Invalid):
        service.why("job", "yesterday")


def test_a_schedule_that_is_over_says_so(stage: Stage, service: Service):
    stage.job(schedule="every 60s", max_runs=1)
    first_us = slot(stage)
    assert said(why(service, first_us + MINUTE_US)) == ("will_not_run", "over")
    stage.after(61)
    stage.finish_all()
    stage.advance(300)
    assert (why(service)["at"], *said(why(service))) == (format_instant(first_us), "ran", None)
    item = why(service, first_us + MINUTE_US)
    assert (*said(item), item["next"]) == ("no_slot", "over", None)


def test_what_was_pruned_is_not_called_missing(stage: Stage, service: Service):
    stage.job(schedule="every 60s", catchup="none", overlap="allow")
    first_us = slot(stage)
    stage.after(600)
    assert said(why(service, first_us)) == ("did_not_run", "catchup_none")
    stage.advance(EVENT_AGE_US / SECOND_US + 1)
    stage.store.prune(EVENT_AGE_US, 1000)
    item = why(service, first_us)
    assert said(item) == ("unknown", "forgotten")
    assert item["account_from"] > format_instant(first_us)


def test_a_deleted_job_still_has_its_account(stage: Stage, service: Service):
    job_id = stage.job(schedule="every 60s")
    first_us = slot(stage)
    stage.after(61)
    stage.finish_all()
    stage.store.delete_job(job_id, "ann")
    assert said(why(service, first_us)) == ("ran", None)
    item = why(service, first_us + MINUTE_US)
    assert (*said(item), item["event"]["kind"]) == ("will_not_run", "disabled", "job_deleted")


def test_a_job_without_a_schedule_has_no_slots(stage: Stage, service: Service):
    stage.job(schedule=None)
    stage.advance(1)
    assert said(why(service)) == ("no_slot", "no_schedule")


def test_a_definition_that_cannot_be_read_is_not_guessed(stage: Stage, service: Service):
    job_id = stage.job(schedule="every 60s")
    first_us = slot(stage)
    stage.write("UPDATE job_version SET spec = ?", '{"name": "job", "schedule": "soon"}')
    assert said(why(service, first_us)) == ("unknown", "unreadable")
    assert stage.store.find_job(job_id).job.schedule is not None
