"""Story: a violation as a person reads it, with the command that plays it again."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.sim.world import World

LINES = 200


def tell(world: "World", fault: AssertionError, *, verbose: bool) -> str:
    """The sentence, the replay, and with `verbose` the time line of that job."""
    plot, job = world.plot, getattr(fault, "job", "")
    weeks = f" --weeks {plot.weeks}" if plot.weeks else ""
    words = [
        f"seed {plot.seed} ({plot.mode}): {f'{job}: ' if job else ''}{fault}",
        f"replay: .venv/bin/python -m tests.sim {plot.seed} --mode {plot.mode}{weeks} -v",
    ]
    if verbose:
        if job:
            words.append(f"  {job}: {dict(world.job_named(job).spec)}")
        words += time_line(world, job)
    return "\n".join(words)


def time_line(world: "World", job: str) -> list[str]:
    """What happened to this job and to everybody, the last of it."""
    from tests.sim.world import START_US  # noqa: PLC0415 - world imports what this reads

    lines = []
    for at_us, text, name in world.story:
        if not job or name in {"", job}:
            lines.append(f"  {(at_us - START_US) / 1_000_000:12.3f}  {text}")
    return lines[-LINES:]
