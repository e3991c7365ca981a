"""What one process serves to browsers and programs: its ports, who comes in, and the first link."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cronherd.access.keys import Keys
from cronherd.api.access import Door
from cronherd.api.app import build_app
from cronherd.api.ports import Ports, open_ports
from cronherd.api.server import ApiServer
from cronherd.config.load import Config
from cronherd.config.web import DEFAULT_LISTEN
from cronherd.domain.errors import Conflict
from cronherd.pages.app import build_pages, join
from cronherd.pages.entry import PrettyPages
from cronherd.service import Service
from cronherd.service.entrance import Ages, Entrance
from cronherd.store.sqlstore import SqlStore

ELSEWHERE = f"http://{DEFAULT_LISTEN[0]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """`ports` None: nothing listens but the Unix socket."""

    entrance: Entrance
    ports: Ports | None
    say: Callable[[str], None]

    @property
    def address(self) -> str:
        return self.ports.address if self.ports else ELSEWHERE

    def server(self, service: Service, socket: Path | None) -> ApiServer:
        who = Door(self.entrance)
        api = build_app(service, who=who, entrance=self.entrance, entry_pages=PrettyPages())
        app = join(api, build_pages(service, who=who))
        return ApiServer(app, socket, self.ports, leave=api.state.hub.close)

    def tell(self, service: Service) -> None:
        """Where the pages are; while nobody can log in, the link that makes the first admin."""
        if self.ports is None:
            return
        self.say(f"pages: {self.ports.address}/")
        if not self.entrance.has_admin():
            link = service.make_link(None, "local")["link"]
            self.say(f"first login, once and within an hour: {link['url']}")


def open_house(
    config: Config, people: SqlStore, new_id: Callable[[], str], say: Callable[[str], None]
) -> House:
    """Bind the ports. Raises what open_ports does, but for a port that nobody asked for."""
    web = config.web
    entrance = Entrance(
        people,
        Keys(),
        new_id=new_id,
        now_us=people.now_us,
        ages=Ages(idle_us=web.session_idle_us, most_us=web.session_age_us),
        proxy_role=web.default_role,
    )
    ports = None
    if web.listen:
        has_accounts = bool(web.trusted_header) or entrance.has_admin()
        try:
            ports = open_ports(web, has_accounts=has_accounts)
        except Conflict as error:
            if web.asked:
                raise
            say(f"no pages: {error.text}; jobs run all the same ({error.hint})")
    return House(entrance=entrance, ports=ports, say=say)
