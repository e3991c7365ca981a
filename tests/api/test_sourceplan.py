"""The plan of a source: whatever is kept and wanted, it touches only what it may."""

from collections import Counter

from hypothesis import example, given
from hypothesis import strategies as st

from cronherd.definition.jobs import read_job
from cronherd.service.sourceplan import Change, SourcePlan, Wanted, plan_source
from cronherd.store.facts import Kept, KeptJob

OURS, OTHER, HAND = "git:ours", "git:other", "command"
NAMES = [*"abcdef"]
COMMANDS = ["one", "two"]


def wish(name: str, command: str, formerly: str | None) -> Wanted:
    said = {"name": name, "command": command, **({"formerly": formerly} if formerly else {})}
    job = read_job(said, timezone="UTC")
    return Wanted(key=job.key, name=job.name, job=job, formerly=formerly)


def kept_job(name: str, command: str, source: str, *, deleted: bool) -> KeptJob:
    spec = read_job({"name": name, "command": command}, timezone="UTC").spec
    return KeptJob(
        id=f"id-{name}", key=name, name=name, spec=spec, version=1, enabled=True, source=source,
        applied=1, drifted=False, deleted=deleted,
    )  # fmt: skip


rows = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from(COMMANDS), st.sampled_from([OURS, OURS, OTHER, HAND]), st.booleans()),
)
wishes = st.dictionaries(
    st.sampled_from(NAMES),
    st.tuples(st.sampled_from(COMMANDS), st.sampled_from([None, None, *NAMES])),
)


@given(rows, wishes, st.booleans())
@example({"a": ("one", HAND, False)}, {"b": ("one", None)}, True)  # noqa: FBT003 - as hypothesis
@example({"a": ("one", OTHER, False)}, {"b": ("one", None)}, True)  # noqa: FBT003 - calls it
def test_a_plan_touches_only_what_is_its_own(
    there: dict[str, tuple[str, str, bool]],
    said: dict[str, tuple[str, str | None]],
    prune: bool,  # noqa: FBT001 - hypothesis calls by position
):
    kept = Kept(
        turn=3,
        jobs=[kept_job(name, cmd, src, deleted=gone) for name, (cmd, src, gone) in there.items()],
    )
    wanted = [wish(name, command, old) for name, (command, old) in said.items()]
    plan = plan_source(wanted, kept, OURS, prune=prune)
    assert [step.name for step in plan.steps][: len(said)] == [*said]
    for step in plan.steps:
        assert step.row is None or not step.row.deleted
        if step.change in {Change.DELETE, Change.LEFT}:
            assert step.row is not None
            assert (step.row.source, step.row.key in said) == (OURS, False)
            assert (step.change is Change.DELETE) is prune
        elif step.change is not Change.REFUSED and step.row is not None:
            assert step.row.source in {OURS, HAND}
        if step.change is Change.RENAME:
            assert step.row is not None
            assert step.row.key not in said
            assert step.name not in there  # a name with a past of its own is never taken
            # What nobody said to be the same is only looked for among what would be deleted.
            assert said[step.name][1] == step.row.name or (prune and step.row.source == OURS)
        if step.change is Change.REFUSED:
            assert step.row is not None
            assert step.name == step.row.name or said[step.name][1] == step.row.name
    touched = Counter(step.row.id for step in plan.steps if step.row)
    assert set(touched.values()) <= {1}  # no job becomes two
    ours = {f"id-{name}" for name, (_, src, gone) in there.items() if src == OURS and not gone}
    assert ours <= set(touched)  # and none is forgotten
    assert_settled(plan)


def assert_settled(plan: SourcePlan) -> None:
    """As it would be afterwards, the plan has nothing left to do, and says the same mark twice."""
    if plan.of(Change.REFUSED) or not plan.prune:
        return
    done = [step for step in plan.steps if step.change is not Change.DELETE]
    jobs = [step.job for step in done if step.job]
    jobs_of = {job.key: job for job in jobs}
    after = Kept(
        turn=4,
        jobs=[
            KeptJob(
                id=f"id-{key}", key=key, name=job.name, spec=job.spec, version=2, enabled=True,
                source=OURS, applied=2, drifted=False, deleted=False,
            )
            for key, job in jobs_of.items()
        ],
    )  # fmt: skip
    wanted = [
        Wanted(key=key, name=job.name, job=job, formerly=job.spec.get("formerly"))
        for key, job in jobs_of.items()
    ]
    again = plan_source(wanted, after, OURS, prune=True)
    assert {step.change for step in again.steps} <= {Change.NONE}
    assert again.mark == plan_source(wanted, after, OURS, prune=True).mark


def test_the_mark_changes_with_each_thing_that_was_looked_at():
    """Another version, switch, turn, definition or wish to delete is another plan."""

    def mark(turn: int = 1, **more: object) -> str:
        row = kept_job("a", "one", OURS, deleted=False)
        gone = kept_job("b", "one", OURS, deleted=False)
        fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
        changed = KeptJob(**{**fields, **more})
        return plan_source([wish("a", "two", None)], Kept(turn=turn, jobs=[changed, gone]), OURS,
                           prune=True).mark  # fmt: skip

    row = kept_job("a", "one", OURS, deleted=False)
    others = [
        mark(),
        mark(version=2),
        mark(enabled=False),
        mark(turn=2),
        plan_source([wish("a", "two", None)], Kept(turn=2, jobs=[row]), OURS, prune=True).mark,
        plan_source([wish("a", "two", None)], Kept(turn=2, jobs=[row]), OURS, prune=False).mark,
        plan_source([wish("a", "six", None)], Kept(turn=2, jobs=[row]), OURS, prune=True).mark,
    ]
    assert len(set(others)) == len(others)
    assert mark() == mark()
