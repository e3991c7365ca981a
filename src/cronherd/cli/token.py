"""`cronherd token`: what programs show instead of a password."""

import click

from cronherd.cli.grammar import Group
from cronherd.cli.output import Json, put, put_document, put_each, say, talk
from cronherd.cli.session import Session
from cronherd.cli.table import NAME_LEAST, Column, Table
from cronherd.cli.times import NOTHING, Times, times_of
from cronherd.cli.user import ROLES
from cronherd.domain.access import BY_TAG


@click.group("token", cls=Group, aliases={"ls": "list", "rm": "revoke"})
def token_command() -> None:
    """What programs show instead of a password."""


@token_command.command("list")
@click.pass_obj
def list_command(session: Session) -> None:
    """All tokens, by name. Never a token itself."""
    with session.fleet() as fleet:
        document = fleet.list_tokens()
    if not document["items"]:
        talk("there is no token: cronherd token create NAME --role viewer")
    put(
        session,
        document,
        table=lambda: _table(document["items"], times_of(session)),
        names=lambda: [token["name"] for token in document["items"]],
    )


def _table(tokens: list[Json], times: Times) -> Table:
    columns = (
        Column("NAME", cut=True, least=NAME_LEAST),
        Column("ROLE"),
        Column("JOBS", cut=True),
        Column("OF", cut=True),
        Column("USED"),
        Column("EXPIRES"),
        Column("MADE", wide=True),
        Column("BY", wide=True, cut=True),
    )
    rows = [
        (
            token["name"],
            token["role"],
            "all" if token["jobs"] is None else " ".join(token["jobs"]),
            token["account"] or NOTHING,
            times.passed(token["used_at"]),
            times.left(token["expires_at"]) if token["expires_at"] else "never",
            times.at(token["created_at"]),
            token["created_by"],
        )
        for token in tokens
    ]
    return Table(columns, rows)


@token_command.command("create")
@click.argument("name")
@click.option("--role", type=ROLES, required=True, help="What it may do.")
@click.option("--expires", metavar="DURATION", help="When it runs out, such as 90d; never else.")
@click.option(
    "--job",
    "jobs",
    multiple=True,
    metavar="NAME",
    help="Only this job and its runs, * for any characters; may be given again.",
)
@click.option(
    "--tag",
    "tags",
    multiple=True,
    metavar="TAG",
    help="Only jobs that have this tag, and their runs; may be given again.",
)
@click.pass_obj
def create_command(
    session: Session,
    *,
    name: str,
    role: str,
    expires: str | None,
    jobs: tuple[str, ...],
    tags: tuple[str, ...],
) -> None:
    """Make a token and print it, this once."""
    limit = [*jobs, *(f"{BY_TAG}{tag}" for tag in tags)]
    with session.fleet() as fleet:
        made = fleet.create_token(name, role, session.actor, expires=expires, jobs=limit)
    if not put_document(session, made, lambda: [made["token"]]):
        talk("it is shown this once; programs take it from the variable CRONHERD_TOKEN:")
        say(made["token"])


@token_command.command("revoke")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.pass_obj
def revoke_command(session: Session, *, names: tuple[str, ...]) -> None:
    """Let a token open nothing any more, at once."""
    with session.fleet() as fleet:
        done = [fleet.revoke_token(name, session.actor) for name in names]
    put_each(session, done, "revoked", lambda one: f"'{one['revoked']}' is revoked")
