"""Who looks at a page, and how: theme, zone, the instant that all times on it are told from."""

from collections.abc import Mapping
from functools import cached_property
from secrets import token_hex
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request

from cronherd.api.base import fleet_of
from cronherd.client import Fleet
from cronherd.domain.access import Caller, Role
from cronherd.domain.errors import Refused
from cronherd.domain.instant import format_instant, load_zone, parse_instant
from cronherd.pages.times import say_instant, zone_or

THEMES = ("system", "light", "dark")
THEME_COOKIE = "cronherd_theme"
ZONE_COOKIE = "cronherd_zone"
CHOSEN_ZONE_COOKIE = "cronherd_zone_chosen"


class View:
    """One request as templates see it."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.path = quote(request.scope["path"])  # a name may have blanks, an address has none
        self.fleet: Fleet = fleet_of(request)

    @property
    def theme(self) -> str:
        chosen = self.request.cookies.get(THEME_COOKIE, "")
        return chosen if chosen in THEMES else THEMES[0]

    @property
    def chosen_zone(self) -> str:
        return self.request.cookies.get(CHOSEN_ZONE_COOKIE, "").replace("%2F", "/")

    @cached_property
    def zone(self) -> ZoneInfo:
        """What somebody chose, else what the browser told, else UTC."""
        told = self.request.cookies.get(ZONE_COOKIE, "").replace("%2F", "/")
        return zone_or(self.chosen_zone or told, "UTC")

    @cached_property
    def now_us(self) -> int:
        """By the clock that decides: the database's."""
        return parse_instant(self.fleet.health()["now"])

    @property
    def now_text(self) -> str:
        return say_instant(format_instant(self.now_us) or "", self.zone, self.now_us)

    def zone_of(self, name: str | None) -> ZoneInfo:
        return load_zone(name) if name else self.zone

    @cached_property
    def caller(self) -> Caller | None:
        """Who looks; None on a page that is open to everybody."""
        found: Caller | None = getattr(self.request.state, "caller", None)
        return found or (self.refused[0] if self.refused else None)

    @property
    def refused(self) -> tuple[Caller, Role] | None:
        """Who asked for this and may not, and the role that it needs."""
        found: tuple[Caller, Role] | None = getattr(self.request.state, "refused", None)
        return found if found and not found[0].may(found[1]) else None

    @property
    def actor(self) -> str:
        """The name that events keep. Raises Refused on a page that is open to everybody."""
        if self.caller is None:
            raise Refused("log in first")
        return self.caller.actor

    @cached_property
    def once(self) -> str:
        """What each form of this page sends along: pressed twice, it asks for one thing."""
        return token_hex(16)

    @property
    def csrf(self) -> str:
        """What each form of a session sends along."""
        return self.caller.csrf if self.caller else ""

    def may(self, role: str) -> bool:
        """Whether who looks may do what this role is needed for; pages offer nothing else."""
        return self.caller is not None and self.caller.may(Role(role))

    @property
    def partial(self) -> bool:
        """Whether a script asks for a part of a page that is there already."""
        return self.request.headers.get("hx-request") == "true"

    @property
    def live(self) -> bool:
        """Whether nobody asked: the page keeps itself up to date."""
        return self.request.headers.get("x-live") == "1"

    @cached_property
    def here(self) -> str:
        """The page with its state, as a form's `back`."""
        query = self.request.url.query
        return f"{self.path}?{query}" if query else self.path

    def query(self, name: str, default: str = "") -> str:
        return self.request.query_params.get(name, default)

    def with_query(self, changes: Mapping[str, object] | None = None, **more: object) -> str:
        """The page with other values in its address; an empty value takes one out."""
        values = {**dict(self.request.query_params), **(changes or {}), **more}
        kept = {key: value for key, value in values.items() if value not in {"", None, False}}
        return f"{self.path}?{urlencode(kept)}" if kept else self.path
