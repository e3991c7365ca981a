"""What all pages share: the frame around them, who may see them, how an answer looks."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import Depends
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from cronherd import __version__
from cronherd.api.base import by_tls
from cronherd.domain.errors import CronherdError, InvalidInput
from cronherd.pages import said as saying
from cronherd.pages.assets import assets
from cronherd.pages.definitions import diff
from cronherd.pages.forms import Form
from cronherd.pages.parts import draw_badge, draw_icon, draw_order
from cronherd.pages.said import Said
from cronherd.pages.times import show_distance, show_instant
from cronherd.pages.trend import draw_trend
from cronherd.pages.view import View
from cronherd.pages.words import (
    badge_of,
    say_bytes,
    say_count,
    say_duration,
    say_plural,
    say_sentence,
)

# Everything from this host, nothing within a page: what a name holds can never become a script.
WRITTEN_LENGTH = 500  # of what a refused form shows again, by its address
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'; manifest-src 'self'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Vary": "HX-Request",
}
NAV = (
    ("/", "Overview", "layout-dashboard", "o"),
    ("/jobs", "Jobs", "list-checks", "j"),
    ("/runs", "Runs", "square-terminal", "r"),
    ("/timeline", "Timeline", "chart-no-axes-gantt", "t"),
    ("/nodes", "Nodes", "server", "n"),
    ("/pools", "Pools", "ticket", "p"),
    ("/settings", "Settings", "settings", "s"),
)


async def _view(request: Request) -> View:
    return View(request)


TheView = Annotated[View, Depends(_view)]


class Templates(Environment):
    """What templates ask by a dot are mostly members of documents: those are looked for first."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        if type(obj) is dict and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)


@cache
def environment() -> Environment:
    """The templates: what is missing is an error, and every value is text."""
    env = Templates(
        loader=PackageLoader("cronherd.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.globals |= {
        "asset": assets().url,
        "badge_of": badge_of,
        "draw_badge": draw_badge,
        "draw_icon": draw_icon,
        "draw_order": draw_order,
        "draw_trend": draw_trend,
        "plural": say_plural,
        "nav": NAV,
        "version": __version__,
    }
    env.filters |= {
        "moment": _moment,
        "distance": _distance,
        "duration": say_duration,
        "bytes": say_bytes,
        "as_lines": lambda definition: diff(None, definition),
        "count": say_count,
        "sentence": say_sentence,
        "part": lambda text: quote(str(text), safe=""),
    }
    return env


@pass_context
def _moment(
    context: Context, at: str | None, zone: str | None = None, *, exact: bool = False
) -> Markup:
    view: View = context["view"]
    return show_instant(at, view.zone_of(zone), view.now_us, exact=exact)


@pass_context
def _distance(context: Context, at: str | None, zone: str | None = None) -> Markup:
    view: View = context["view"]
    return show_distance(at, view.zone_of(zone), view.now_us)


def show(view: View, template: str, /, http_status: int = 200, **values: Any) -> Response:
    """A page; for a script that asks only its middle, without the frame around it."""
    said = None if view.live else saying.read(view.request)
    text = (
        environment()
        .get_template(template)
        .render(
            view=view,
            frame="part.html" if view.partial else "frame.html",
            csrf_token=lambda: view.csrf,
            said=said,
            **values,
        )
    )
    answer = HTMLResponse(text.encode("utf-8", "replace"), http_status, dict(HEADERS))
    if said:
        answer.delete_cookie(saying.COOKIE)
    return answer


def go(view: View, address: str, said: Said | None = None) -> Response:
    """To another page, and tell there what was done."""
    answer = RedirectResponse(address, 303, {"Cache-Control": "no-store"})
    if said:
        saying.keep(answer, said, secure=by_tls(view.request))
    return answer


def act(
    view: View, form: Form, default: str, doing: Callable[[], str], fields: Sequence[str] = ()
) -> Response:
    """Do what a form asks for and return to where it was; `doing` answers with the sentence.

    `fields`: what was written there is shown again when it was refused.
    """
    try:
        said = Said(kind="ok", text=doing())
    except CronherdError as error:
        if fields:
            return refuse(view, form, default, fields, error)
        said = Said(kind="bad", text=sentence_of(error))
    return go(view, form.back(default), said)


def refuse(
    view: View, form: Form, address: str, fields: Sequence[str], error: CronherdError
) -> Response:
    """To the page of the form, which shows these of its fields as they were written."""
    written = {field: form.one(field)[:WRITTEN_LENGTH] for field in fields if form.one(field)}
    there = f"{address}?{urlencode(written)}" if written else address
    return go(view, there, Said(kind="bad", text=sentence_of(error)))


def sentence_of(error: CronherdError) -> str:
    """One error as a person reads it."""
    return say_sentence(clause_of(error))


def clause_of(error: CronherdError) -> str:
    """The same, to stand within a sentence."""
    if isinstance(error, InvalidInput):
        return "; ".join(clause_of(fault) for fault in error.errors[:5])
    where = f"{error.where}: " if error.where and error.where != "q" else ""
    return f"{where}{error.text}" + (f" – {error.hint}" if error.hint else "")
