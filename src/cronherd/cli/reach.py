"""The way to a fleet: a URL, else the socket of this host, else the database itself.

A database server is spoken to directly when no agent runs here, whatever runs elsewhere. An SQLite
file is never opened around a running agent: the machine room refuses that, and then the socket is
used.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from cronherd.cli.output import talk
from cronherd.cli.session import Session
from cronherd.domain.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from cronherd.client import Fleet

KNOCK_S = 2.0  # a local socket that takes longer to accept belongs to something stuck


@contextmanager
def reach_fleet(session: Session) -> Iterator["Fleet"]:
    """The fleet this command is about. Raises Unavailable or Conflict."""
    running = running_fleet(session)
    if running is not None:
        yield running
        return
    with ExitStack() as stack:
        try:
            opened = session.host.open_fleet(session.config, session.place)
            fleet = stack.enter_context(opened)
        except Conflict:  # an agent has the file: it is the one to ask
            by_socket = running_fleet(session)
            if by_socket is None:
                raise
            fleet = by_socket
        yield fleet


def running_fleet(session: Session) -> "Fleet | None":
    """A fleet that is served already: at the URL that was given, or by this host's socket."""
    url = session.settings.url or session.environ.get("CRONHERD_URL")
    if not url and not answers(session.place.socket):
        return None
    from cronherd.client import Client  # noqa: PLC0415 - http.client: only when it is used

    if session.settings.database is not None:
        talk(f"cronherd: {_passed_over(session.settings.database, by_url=bool(url))}")
    if url:
        return Client.over_url(url, session.environ.get("CRONHERD_TOKEN") or None)
    return Client.over_socket(session.place.socket)


def _passed_over(database: str, *, by_url: bool) -> str:
    """What is said when --database was given and somebody else is asked.

    Two processes on one SQLite file can destroy it. A server takes many, but the agent of this
    host may be of another fleet than the one whose database was named.
    """
    if by_url:
        return "the cronherd at the URL is asked; --database is passed over"
    if database.partition(":")[0].lower() == "sqlite":
        return "a cronherd that runs already is asked; --database is for its start"
    return (
        "the agent of this host is asked, whatever its database; "
        "to ask the one of --database itself, name another --state"
    )


def answers(path: Path) -> bool:
    """Whether somebody accepts connections on this socket."""
    if not path.is_socket():
        return False
    from cronherd.client import connect_to  # noqa: PLC0415 - http.client: only when it is used

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.settimeout(KNOCK_S)
        try:
            connect_to(knock, path)
        except TimeoutError:
            raise Unavailable(
                f"{path} does not answer", hint="is the agent of this host stopped or stuck?"
            ) from None
        except PermissionError:
            raise Unavailable(
                f"{path}: permission denied", hint="ask as the user the agent runs as"
            ) from None
        except OSError:  # nobody listens any more
            return False
    return True
