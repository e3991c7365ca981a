"""`cronherd job run`: ask for a run now, and stand in for its command when told to wait."""

from typing import TYPE_CHECKING

import click

from cronherd.cli.grammar import Command, pairs
from cronherd.cli.output import Json, put_document, say, talk
from cronherd.cli.playback import CRONHERD_FAILED, Playback, exit_code_of, follow
from cronherd.cli.session import Session
from cronherd.cli.times import span
from cronherd.cli.words import result_of, short

if TYPE_CHECKING:
    from cronherd.client import Fleet

_SENTENCES = {
    "timed_out": "reached its time limit",
    "cancelled": "was cancelled",
    "lost": "was lost: its node went away, and how it ended is unknown",
    "not_started": "was not started",
    "skipped": "was skipped",
}


@click.command("run", cls=Command)
@click.argument("name")
@click.option(
    "--param",
    "params",
    multiple=True,
    callback=pairs,
    metavar="NAME=VALUE",
    help="A parameter of the job; may be repeated.",
)
@click.option("--wait", is_flag=True, help="Until it has ended; exit with the command's code.")
@click.option("--follow", "-f", "following", is_flag=True, help="Wait, and show its output.")
@click.option("--force", is_flag=True, help="Even if it runs as often as it may.")
@click.option("--node", metavar="NODE", help="On this node alone.")
@click.option("--request-id", metavar="ID", help="The same id again answers with the same run.")
@click.pass_obj
def run_command(
    session: Session,
    *,
    name: str,
    params: dict[str, str],
    wait: bool,
    following: bool,
    force: bool,
    node: str | None,
    request_id: str | None,
) -> int:
    """Run a job now, whatever its schedule says.

    With --wait or --follow the exit code is the command's own; 124: time limit, 125: lost,
    cancelled, skipped or not started, 126 and 127: not executable, not found, 128+n: signal n.
    """
    waits = wait or following
    try:
        with session.fleet() as fleet:
            answer = fleet.run_job(
                name,
                session.actor,
                request_id=request_id,
                force=force,
                params=params,
                node=node,
            )
            return _told(session, fleet, answer, wait=waits, following=following)
    except Exception as error:
        if waits:  # 1 and 2 would be taken for the command's own
            error.exit_code = CRONHERD_FAILED  # type: ignore[attr-defined]
        raise


def _told(session: Session, fleet: "Fleet", answer: Json, *, wait: bool, following: bool) -> int:
    run = answer["run"]
    runs = answer.get("runs") or [run]
    for error in answer.get("refused", ()):
        talk(f"not everywhere: {error}")
    if not wait:
        if not put_document(session, answer, lambda: [each["id"] for each in runs]):
            _tell(runs)
        return 0
    if len(runs) > 1:
        return max(_wait(session, fleet, each, following=following) for each in runs)
    return _wait(session, fleet, run, following=following)


def _tell(runs: list[Json]) -> None:
    for run in runs:
        say(short(run["id"]))
    run = runs[0]
    where = f" on {len(runs)} nodes" if len(runs) > 1 else ""
    talk(f"'{run['job']}' is asked to run{where}: cronherd run logs -f {short(run['id'])}")
    if waits := run.get("waits_for"):
        talk(f"it waits for {waits['text']}")


def _wait(session: Session, fleet: "Fleet", run: Json, *, following: bool) -> int:
    """Until it has ended: its exit code."""
    if session.settings.verbose:
        talk(f"waiting for run {short(run['id'])}")
    ended = follow(fleet, run["id"], Playback(session) if following else None)
    document = fleet.show_run(ended["id"])
    if following:
        shown = session.settings.output in {"json", "yaml", "name"}
    else:
        shown = put_document(session, document, lambda: [ended["id"]])
    if not shown:
        how = _SENTENCES.get(ended["outcome"], result_of(ended))
        lasted = f" in {span(ended['duration_s'])}" if ended["duration_s"] is not None else ""
        why = f": {ended['error']}" if ended["error"] else ""
        talk(f"cronherd: run {short(ended['id'])} of '{ended['job']}' {how}{lasted}{why}")
    return exit_code_of(ended, document["attempts"])
