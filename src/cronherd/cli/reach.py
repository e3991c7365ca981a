"""The way to a fleet: a URL, else the socket of this host, else the database itself.

A database server is spoken to directly when no agent runs here, whatever runs elsewhere. An SQLite
file is never opened around a running agent: the machine room refuses that, and then the socket is
used.
"""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from cronherd.cli.output import talk
from cronherd.cli.session import Session
from cronherd.domain.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from cronherd.client import Fleet

KNOCK_S = 2.0  # a local socket that takes longer to accept belongs to something stuck


@contextmanager
def reach_fleet(session: Session, *, quiet: bool = False) -> Iterator["Fleet"]:
    """The fleet this command is about. Raises Unavailable or Conflict.

    `quiet`: what is passed over was said before.
    """
    running = running_fleet(session, quiet=quiet)
    if running is not None:
        yield running
        return
    with ExitStack() as stack:
        try:
            opened = session.host.open_fleet(session.config, session.place)
            fleet = stack.enter_context(opened)
        except Conflict:  # an agent has the file: it is the one to ask
            by_socket = running_fleet(session, quiet=quiet)
            if by_socket is None:
                raise
            fleet = by_socket
        yield fleet


def running_fleet(session: Session, *, quiet: bool = False) -> "Fleet | None":
    """A fleet that is served already: at the URL that was given, or by this host's socket."""
    url = url_of(session)
    if not url and not answers(session.place.socket):
        return None
    from cronherd.client import Client  # noqa: PLC0415 - http.client: only when it is used

    if session.settings.database is not None and not quiet:
        talk(f"cronherd: {_passed_over(session.settings.database, by_url=bool(url))}")
    if url:
        return Client.over_url(url, _token(session, url))
    return Client.over_socket(session.place.socket)


def url_of(session: Session) -> str | None:
    """The fleet elsewhere that is meant, if one is."""
    return session.settings.url or session.environ.get("CRONHERD_URL") or None


def _token(session: Session, url: str) -> str | None:
    """What the environment says, else what `cronherd login` keeps."""
    token = session.environ.get("CRONHERD_TOKEN")
    if not token:
        from cronherd.cli.keptkeys import file_of, token_for  # noqa: PLC0415 - only over a URL

        with suppress(Unavailable):  # no home, so nothing is kept
            token = token_for(file_of(session.environ, session.home), url)
    if token and in_the_clear(url):
        talk(f"cronherd: the token travels to {url} in the clear; https:// would hide it")
    return token or None


def in_the_clear(url: str) -> bool:
    """Whether others on the way could read what is sent there."""
    from cronherd.client.line import address_of  # noqa: PLC0415 - only over a URL

    scheme, host, _, _ = address_of(url)
    return scheme == "http" and host not in {"localhost", "127.0.0.1", "::1"}


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
