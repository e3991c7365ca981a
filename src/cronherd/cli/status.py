"""`cronherd status`: what one wants to know first."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from cronherd.cli.complaint import printable
from cronherd.cli.grammar import Command
from cronherd.cli.job import missed_table, show_job
from cronherd.cli.maintenance import hold_text
from cronherd.cli.node import node_table, talk_of_mix
from cronherd.cli.output import Json, has_colour, put_document, put_table, say, talk
from cronherd.cli.session import Session
from cronherd.cli.timers import timer_table
from cronherd.cli.times import Times, times_of
from cronherd.cli.words import run_table
from cronherd.domain.run import Outcome
from cronherd.domain.standing import COUNTED

if TYPE_CHECKING:
    from cronherd.client import Fleet

_FEW = 5
_STATES = ("alive", "drained", "silent", "stopped")


@click.command("status", cls=Command)
@click.argument("job", required=False)
@click.pass_obj
def status_command(session: Session, *, job: str | None) -> None:
    """The fleet at a glance, or one job."""
    with session.fleet() as fleet:
        if job is not None:
            show_job(session, fleet.show_job(job))
            return
        document = fleet.status()
        if put_document(session, document, lambda: [n["name"] for n in document["nodes"]]):
            return
        running = fleet.list_runs(None, "running", limit=_FEW)["items"]
        waiting = fleet.list_runs(None, "waiting", limit=_FEW)["items"]
        failures = _failures(fleet)
        timers = fleet.timers(_FEW)["items"]
    runs = (running, waiting, failures)
    _show(session, document, runs, timers, times_of(session, document["now"]))


def _failures(fleet: "Fleet") -> list[Json]:
    """The newest runs that did not end well, whatever the way."""
    found = [
        run
        for outcome in ("failed", "timed_out", "lost", "not_started")
        for run in fleet.list_runs(None, None, outcome, limit=_FEW)["items"]
    ]
    return sorted(found, key=lambda run: str(run["ended_at"]), reverse=True)[:_FEW]


def _show(
    session: Session,
    document: Json,
    runs: Sequence[list[Json]],
    timers: list[Json],
    times: Times,
) -> None:
    nodes = document["nodes"]
    facts = [f"cronherd {document['version']}", times.at(document["now"])]
    facts.append(f"zone {document['timezone']}")
    if document.get("database"):
        facts.append(f"database {document['database']}")
    say(printable(", ".join(facts)))
    if held := hold_text(document["hold"], times):
        loud = click.style(printable(f"MAINTENANCE is {held}"), fg="red", bold=True)
        say(loud, color=has_colour(session))
        talk("end it with: cronherd maintenance off")
    say(f"nodes: {_node_states(nodes)}")
    talk_of_mix(nodes)
    counts = document["counts"]
    if counts:
        say(", ".join(f"{name.replace('_', ' ')}: {_told(name, counts[name])}" for name in counts))
    if nodes:
        _section("Nodes")
        put_table(session, node_table(nodes, times))
    for title, found in zip(("Running", "Waiting", "Last failures"), runs, strict=True):
        if found:
            _section(title)
            put_table(session, run_table(found, times))
    if document["missed"]:
        _section("Missed")
        put_table(session, missed_table(document["missed"], times))
    if timers:
        _section("Next")
        put_table(session, timer_table(timers, times))
    else:
        talk("no job has a next time: make one with `cronherd job create`")


def _told(name: str, count: int) -> str:
    """Of finished runs no more are counted."""
    ended = name.removeprefix("runs_") in set(Outcome)
    return f"{count} or more" if ended and count >= COUNTED else str(count)


def _node_states(nodes: list[Json]) -> str:
    """`3 alive, 1 drained, 1 silent`; alive ones even when there are none."""
    found = Counter(node["state"] for node in nodes)
    words = [state for state in _STATES if found[state] or state == "alive"]
    return ", ".join(f"{found[state]} {state}" for state in words)


def _section(title: str) -> None:
    say("")
    say(title)
