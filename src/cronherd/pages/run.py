"""One run: what became of it, why it was late or waits, its attempts and its output."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from cronherd.api.base import needs
from cronherd.domain.access import Role
from cronherd.domain.errors import CronherdError
from cronherd.domain.whywords import late_words
from cronherd.pages.base import TheView, go, sentence_of, show
from cronherd.pages.forms import TheForm
from cronherd.pages.log import draw_log
from cronherd.pages.output import Screen
from cronherd.pages.said import Said
from cronherd.pages.view import View
from cronherd.views import in_order

routes = APIRouter()

Run = dict[str, Any]

PIECES = 16  # of output that one look at the store brings
SHOWN_BYTES = 512 * 1024  # of output on one page; a link goes on behind
SHOWN_LINES = 5_000  # or as many: a browser takes ten seconds for what has 90,000 of them
LATE_S = 1.0


@routes.get("/runs/{run}", dependencies=[needs(Role.VIEWER, run="run")])
def show_run(view: TheView, run: str) -> Response:
    told = view.fleet.show_run(run)
    attempt = _number(view.query("attempt"))
    attempt = attempt if attempt and attempt <= told["attempt"] else None
    screen, following = _read(view, told["id"], attempt)
    words = view.query("find").strip()[:200]
    clocked, ended = view.query("times") == "1", told["state"] == "finished"
    hits = {line.number for line in screen.lines if words and words.lower() in line.text.lower()}
    return show(
        view,
        "run.html",
        run=told,
        zone=told["job_timezone"],
        ended=ended,
        attempt=attempt,
        lines=screen.lines,
        log=draw_log(screen.lines, hits, view.zone if clocked or not ended else None),
        following=following,
        before=bool(view.query("line")),
        words=words,
        hits=hits,
        clocked=clocked,
        late=_late(view, told),
        params=in_order(told["params"]),
    )


def _read(view: View, run: str, attempt: int | None) -> tuple[Screen, str]:
    """The lines of one page of output, and the address of the next page or nothing.

    A page begins behind the piece `after`, `skip` lines later, with the line that has this number.
    """
    after = _number(view.query("after"))
    after = -1 if after is None else after
    first, skip = _number(view.query("line")) or 1, _number(view.query("skip")) or 0
    screen = Screen(first - skip)
    bytes_shown = 0
    while pieces := view.fleet.run_output(run, attempt, after, PIECES)["items"]:
        for piece in pieces:
            begins = screen.number
            screen.feed([piece])
            if begins < first:  # another page had these
                screen.lines = [line for line in screen.lines if line.number >= first]
            if len(screen.lines) > SHOWN_LINES:
                following = screen.cut(SHOWN_LINES)
                skip = following - begins
                return screen, view.with_query(after=str(after), line=following, skip=skip)
            after = piece["seq"]
            bytes_shown += len(piece["bytes"])
        if len(pieces) < PIECES:
            break
        if bytes_shown >= SHOWN_BYTES:
            following = screen.number
            screen.end()
            return screen, view.with_query(after=str(after), line=following, skip="")
    screen.end()
    return screen, ""


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None


def _late(view: View, run: Run) -> list[str]:
    """Why it started later than its slot, as far as is known."""
    if run["late_s"] is None or run["late_s"] < LATE_S:
        return []
    try:
        answers = view.fleet.why(run["job_id"], run["scheduled_at"])["items"]
    except CronherdError:
        return []
    for answer in answers:
        for told in answer["runs"]:
            if told["id"] == run["id"]:
                return late_words(told)
    return []


@routes.get("/runs/{run}/output.txt", dependencies=[needs(Role.VIEWER, run="run")])
def download(view: TheView, run: str) -> Response:
    """Output as it is kept, of one attempt or of all of them, byte for byte."""
    told = view.fleet.show_run(run)
    attempt = _number(view.query("attempt"))
    name = f"run-{told['id'][:8]}{f'-{attempt}' if attempt else ''}.txt"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
    }
    attempts = [attempt] if attempt else range(1, told["attempt"] + 1)
    content = (piece for one in attempts for piece in _bytes(view, told["id"], one))
    return StreamingResponse(content, headers=headers, media_type="text/plain; charset=utf-8")


def _bytes(view: View, run: str, attempt: int) -> Iterator[bytes]:
    after = -1
    while pieces := view.fleet.run_output(run, attempt, after, PIECES)["items"]:
        yield b"".join(piece["bytes"].encode("latin-1") for piece in pieces)
        after = pieces[-1]["seq"]


@routes.post("/runs/{run}/again", dependencies=[needs(Role.OPERATOR, run="run")])
def again(view: TheView, form: TheForm, run: str) -> Response:
    """A new run of the same job with the same parameters."""
    told = view.fleet.show_run(run)
    try:
        made = view.fleet.run_job(
            told["job_id"], view.actor, request_id=form.once, params=told["params"]
        )["run"]
    except CronherdError as error:
        return go(view, form.back(f"/runs/{run}"), Said(kind="bad", text=sentence_of(error)))
    said = Said(kind="ok", text=f"This is a new run of '{made['job']}', with the same parameters")
    return go(view, f"/runs/{made['id']}", said)
