"""Settings: the look, secrets, alerts, the record of what people did, health."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from cronherd.api.base import needs
from cronherd.domain.access import MAY, Role
from cronherd.domain.alert import ChannelName, PostState
from cronherd.domain.errors import CronherdError
from cronherd.domain.event import EVENT_WORDS, EventKind
from cronherd.domain.instant import DAY_US, SECOND_US, format_instant, zone_names
from cronherd.pages.base import TheView, act, sentence_of, show
from cronherd.pages.forms import TheForm
from cronherd.pages.view import View
from cronherd.pages.words import say_plural

routes = APIRouter()

# A tab: its address, word, icon, and the role that may see it.
TABS = (
    ("/settings", "Look", "sun", Role.VIEWER),
    ("/settings/people", "Accounts", "users", Role.ADMIN),
    ("/settings/tokens", "Tokens", "key-round", Role.ADMIN),
    ("/settings/secrets", "Secrets", "lock", Role.EDITOR),
    ("/settings/alerts", "Alerts", "bell", Role.OPERATOR),
    ("/settings/audit", "Events", "file-clock", Role.VIEWER),
    ("/settings/health", "Health", "heart-pulse", Role.VIEWER),
)
EVENTS_SHOWN = 100
ALERTS_SHOWN = 100
UNTAKEN_US = 30 * SECOND_US
AUDITED_JOBS = 10


def show_tab(view: View, template: str, **values: Any) -> Response:
    """A page of the settings, with the tabs that whoever looks may open."""
    tabs = [tab for tab in TABS if view.may(tab[3])]
    return show(view, template, tabs=tabs, **values)


@routes.get("/settings", dependencies=[needs(Role.VIEWER)])
def look(view: TheView) -> Response:
    return show_tab(view, "settings.html", zones=sorted(zone_names()), roles=MAY)


@routes.get("/settings/secrets", dependencies=[needs(Role.EDITOR)])
def secrets(view: TheView) -> Response:
    return show_tab(view, "secrets.html", items=view.fleet.list_secrets()["items"])


@routes.post("/settings/secrets", dependencies=[needs(Role.ADMIN)])
def set_secret(view: TheView, form: TheForm) -> Response:
    def doing() -> str:
        told = view.fleet.set_secret(form.one("name").strip(), form.one("value"), view.actor)
        hidden = "" if told["masked"] else "; it is too short to be hidden in output"
        return f"The secret '{told['name']}' is set{hidden}"

    return act(view, form, "/settings/secrets", doing)


@routes.post("/settings/secrets/{name}/remove", dependencies=[needs(Role.ADMIN)])
def remove_secret(view: TheView, form: TheForm, name: str) -> Response:
    def doing() -> str:
        force = form.one("force") == "yes"
        told = view.fleet.remove_secret(name, view.actor, force=force)
        return f"The secret '{told['removed']}' is removed"

    return act(view, form, "/settings/secrets", doing)


@routes.get("/settings/alerts", dependencies=[needs(Role.OPERATOR)])
def alerts(view: TheView) -> Response:
    state = view.query("state")
    known = [each.value for each in PostState]
    found = view.fleet.list_alerts(
        state if state in known else None, ALERTS_SHOWN, cursor=view.query("before") or None
    )
    # What is long past its next try and was not even tried: nobody takes it.
    before = format_instant(view.now_us - UNTAKEN_US) or ""
    left = {post["id"] for post in found["items"] if (post["next_at"] or before) < before}
    return show_tab(
        view,
        "alerts.html",
        items=found["items"],
        left=left,
        counts=found["counts"],
        state=state if state in known else "",
        channels=[each.value for each in ChannelName],
        **_onward(view, found),
    )


@routes.post("/settings/alerts/retry", dependencies=[needs(Role.OPERATOR)])
def retry_alerts(view: TheView, form: TheForm) -> Response:
    def doing() -> str:
        count = view.fleet.retry_alerts(view.actor)["retried"]
        return f"{say_plural(count, 'message')} will be sent again"

    return act(view, form, "/settings/alerts", doing)


@routes.post("/settings/alerts/test", dependencies=[needs(Role.ADMIN)])
def test_alert(view: TheView, form: TheForm) -> Response:
    def doing() -> str:
        view.fleet.send_test(form.one("channel"), form.one("target").strip(), view.actor)
        return "A test message is in the outbox"

    return act(view, form, "/settings/alerts", doing)


@routes.get("/settings/audit", dependencies=[needs(Role.VIEWER)])
def events(view: TheView) -> Response:
    kind, about = view.query("kind"), view.query("about").strip()
    kind = kind if kind in set(EventKind) else ""
    found = view.fleet.list_events(
        EVENTS_SHOWN,
        cursor=view.query("before") or None,
        kind=kind or None,
        subject=about or None,
    )
    return show_tab(
        view,
        "events.html",
        items=found["items"],
        means=EVENT_WORDS,
        kinds=sorted(EventKind),
        kind=kind,
        about=about,
        **_onward(view, found),
    )


def _onward(view: View, found: dict[str, Any]) -> dict[str, str]:
    """Where a list goes on, and back to its first page."""
    return {
        "following": view.with_query(before=found["next"]) if found["next"] else "",
        "first": view.with_query(before="") if view.query("before") else "",
    }


@routes.get("/settings/health", dependencies=[needs(Role.VIEWER)])
def health(view: TheView) -> Response:
    status = view.fleet.status()
    fault, accounts = "", []
    try:
        since = format_instant(view.now_us - DAY_US)
        accounts = view.fleet.audit(start=since, limit=AUDITED_JOBS)["items"]
    except CronherdError as error:
        fault = sentence_of(error)
    return show_tab(
        view,
        "health.html",
        status=status,
        fault=fault,
        accounts=accounts,
        unsound=[each for each in accounts if not each["sound"]],
        most=AUDITED_JOBS,
    )
