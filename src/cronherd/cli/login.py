"""`cronherd login` and `logout`: a token for a fleet elsewhere, or a link to a page."""

import os
import re
from typing import TYPE_CHECKING

import click

from cronherd.cli.grammar import Command
from cronherd.cli.keptkeys import file_of, forget_token, keep_token, token_for
from cronherd.cli.output import put_document, talk
from cronherd.cli.password import ask_password
from cronherd.cli.reach import in_the_clear, url_of
from cronherd.cli.session import Session, user_name
from cronherd.cli.user import put_link
from cronherd.domain.errors import CronherdError, Invalid

if TYPE_CHECKING:
    from cronherd.client.oneself import Oneself

_ODD = re.compile(r"[^A-Za-z0-9_.@+-]+")


@click.command("login", cls=Command)
@click.argument("name", required=False)
@click.option("--link", is_flag=True, help="Print a link that sets a password, good once.")
@click.pass_obj
def login_command(session: Session, *, name: str | None, link: bool) -> None:
    """Get a token for the fleet at --url and keep it, so that commands with --url work.

    With --link nothing is kept: it prints a link by which NAME sets a new password; without NAME
    the first admin of a new fleet. Whoever may use the socket or the database of a fleet may do so.
    """
    if link:
        with session.fleet() as fleet:
            put_link(session, fleet.make_link(name, session.actor))
        return
    url = _needed(session)
    if in_the_clear(url):
        raise Invalid(
            f"the password would travel to {url} in the clear",
            code="in_the_clear",
            hint="use https://, or ask on the host itself",
        )
    name = name or click.prompt("name", default=user_name(), err=True)
    password = ask_password(f"password of '{name}' at {url}")
    made = _oneself(url, None).login(name, password, _label(name))
    path = file_of(session.environ, session.home)
    keep_token(path, url, made.pop("token"))
    if not put_document(session, made, lambda: [made["name"]]):
        talk(f"logged in at {url} as '{made['account']}', {made['role']}; kept in {path}")


@click.command("logout", cls=Command)
@click.pass_obj
def logout_command(session: Session) -> None:
    """Revoke and forget the token that `login` keeps for --url."""
    url = _needed(session)
    path = file_of(session.environ, session.home)
    token = token_for(path, url)
    if token is None:
        raise Invalid(f"no login at {url} is kept in {path}", code="no_token")
    try:
        _oneself(url, token).logout()
    except CronherdError as error:
        if error.code != "bad_token":  # it opens nothing anyway
            raise
    forget_token(path, url)
    if not put_document(session, {"logged_out": url}, lambda: [url]):
        talk(f"logged out at {url}")


def _needed(session: Session) -> str:
    url = url_of(session)
    if not url:
        raise click.UsageError("where? give --url URL, or set CRONHERD_URL")
    return url


def _oneself(url: str, token: str | None) -> "Oneself":
    from cronherd.client.oneself import Oneself  # noqa: PLC0415 - http.client: only when it is used

    return Oneself.over_url(url, token)


def _label(name: str) -> str:
    """What the token is called: one for each account and host."""
    return _ODD.sub("-", f"{name[:30]}@{os.uname().nodename}")[:60].strip("-_.@+") or name
