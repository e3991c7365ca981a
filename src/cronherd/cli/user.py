"""`cronherd user`: people who may log in, and what each may do."""

import click

from cronherd.cli.asking import confirm
from cronherd.cli.grammar import Group, yes_option
from cronherd.cli.output import Json, put, put_document, put_each, say, talk
from cronherd.cli.password import new_password
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.cli.times import Times, times_of
from cronherd.domain.access import MAY, Role
from cronherd.domain.account import check_account_name

ROLES = click.Choice([role.value for role in Role])


@click.group("user", cls=Group, aliases={"ls": "list", "rm": "remove"})
def user_command() -> None:
    """People who may log in, and what each may do.

    Each role may also do what those before it may: viewer, operator, editor, admin.
    """


@user_command.command("list")
@click.pass_obj
def list_command(session: Session) -> None:
    """All accounts, by name."""
    with session.fleet() as fleet:
        document = fleet.list_accounts()
    if not document["items"]:
        talk("nobody can log in yet: cronherd user add NAME --role admin")
    put(
        session,
        document,
        table=lambda: _table(document["items"], times_of(session)),
        names=lambda: [account["name"] for account in document["items"]],
    )


def _table(accounts: list[Json], times: Times) -> Table:
    columns = (
        Column("NAME", cut=True, least=NAME_LEAST),
        Column("ROLE"),
        Column("STATE"),
        Column("LAST LOGIN"),
        Column("MADE", wide=True),
        Column("BY", wide=True, cut=True),
    )
    rows = [
        (
            account["name"],
            account["role"],
            _state(account),
            times.passed(account["last_login_at"]),
            times.at(account["created_at"]),
            account["created_by"],
        )
        for account in accounts
    ]
    return Table(columns, rows)


def _state(account: Json) -> str:
    if not account["enabled"]:
        return "disabled"
    return "enabled" if account["password"] else "invited"


@user_command.command("add")
@click.argument("name")
@click.option("--role", type=ROLES, required=True, help="What this person may do.")
@click.pass_obj
def add_command(session: Session, *, name: str, role: str) -> None:
    """Make an account with a password.

    It is typed at a prompt that does not show it, or read from standard input. `user invite`
    lets its owner choose it.
    """
    check_account_name(name)
    password = new_password(name)
    with session.fleet() as fleet:
        made = fleet.add_account(name, role, session.actor, password=password)
    if not put_document(session, made, lambda: [made["name"]]):
        talk(f"'{made['name']}' may {MAY[Role(role)]}")


@user_command.command("invite")
@click.argument("name")
@click.option("--role", type=ROLES, help="Make the account first, with this role.")
@click.pass_obj
def invite_command(session: Session, *, name: str, role: str | None) -> None:
    """Print a link by which somebody sets a password, once and within an hour.

    With --role for a new account, without for one that is there, such as when its password was
    forgotten. A link that was made before is void.
    """
    with session.fleet() as fleet:
        if role is None:
            made = fleet.make_link(name, session.actor)
        else:
            made = fleet.add_account(name, role, session.actor)
    put_link(session, made)


def put_link(session: Session, made: Json) -> None:
    """The link is the data, what it is for is talk."""
    link = made["link"]
    if not put_document(session, made, lambda: [link["url"]]):
        talk(f"this link is good once, until {times_of(session).at(link['expires_at'])}:")
        say(link["url"])


@user_command.command("role")
@click.argument("name")
@click.argument("role", type=ROLES)
@click.pass_obj
def role_command(session: Session, *, name: str, role: str) -> None:
    """Give somebody another role; it counts at once."""
    with session.fleet() as fleet:
        changed = fleet.set_role(name, role, session.actor)
    put_each(session, [changed], "name", lambda one: f"'{one['name']}' may {MAY[Role(role)]}")


@user_command.command("password")
@click.argument("name")
@click.pass_obj
def password_command(session: Session, *, name: str) -> None:
    """Set a password: every session of this account ends, its own tokens are void."""
    password = new_password(name)
    with session.fleet() as fleet:
        changed = fleet.set_password(name, password, session.actor)
    put_each(session, [changed], "name", lambda one: f"'{one['name']}' has a new password")


@user_command.command("enable")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def enable_command(session: Session, *, names: tuple[str, ...]) -> None:
    """Let somebody log in again."""
    _switch(session, names, enabled=True)


@user_command.command("disable")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def disable_command(session: Session, *, names: tuple[str, ...]) -> None:
    """Lock somebody out: sessions end and tokens open nothing, at once."""
    _switch(session, names, enabled=False)


def _switch(session: Session, names: tuple[str, ...], *, enabled: bool) -> None:
    with session.fleet() as fleet:
        done = [fleet.set_account_enabled(one, session.actor, enabled=enabled) for one in names]
    word = "enabled" if enabled else "disabled"
    put_each(session, done, "name", lambda one: f"'{one['name']}' is {word}")


@user_command.command("remove")
@click.argument("name")
@yes_option
@click.pass_obj
def remove_command(session: Session, *, name: str, yes: bool) -> None:
    """Remove an account with its sessions and its own tokens; what it did stays on record."""
    confirm(f"remove the account '{name}'?", yes=yes)
    with session.fleet() as fleet:
        document = fleet.remove_account(name, session.actor)
    if not put_document(session, document, lambda: [document["removed"]]):
        talk(f"'{document['removed']}' is removed")


@user_command.command("sessions")
@click.argument("name", required=False)
@click.option("--end", is_flag=True, help="Log this account out everywhere.")
@click.pass_obj
def sessions_command(session: Session, *, name: str | None, end: bool) -> None:
    """Who is logged in with a browser, and from where."""
    if end and name is None:
        raise click.UsageError("--end needs the name of an account")
    with session.fleet() as fleet:
        if end and name is not None:
            document = fleet.end_sessions(name, session.actor)
            ended = document["ended"]
            if not put_document(session, document, lambda: [document["account"]]):
                talk(f"{ended} session{'s' * (ended != 1)} ended")
            return
        document = fleet.list_sessions(name)
    put(
        session,
        document,
        table=lambda: _sessions(document["items"], times_of(session)),
        names=lambda: [one["id"] for one in document["items"]],
    )


def _sessions(sessions: list[Json], times: Times) -> Table:
    columns = (
        Column("NAME", cut=True, least=NAME_LEAST),
        Column("FROM", cut=True),
        Column("SEEN"),
        Column("ENDS"),
        Column("WITH", cut=True),
    )
    rows = [
        (
            one["account"],
            one["address"],
            times.passed(one["seen_at"]),
            times.at(one["expires_at"]),
            one["program"],
        )
        for one in sessions
    ]
    return Table(columns, rows)
