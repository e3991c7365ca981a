"""Which node imported jobs are for: the one that is there, unless another one is named."""

from typing import TYPE_CHECKING

from cronherd.cli.output import talk
from cronherd.cli.session import Session, user_name
from cronherd.domain.errors import Conflict

if TYPE_CHECKING:
    from cronherd.client import Fleet

_SHOWN = 5  # names in a sentence; `node list` has the rest


def choose_node(session: Session, fleet: "Fleet", given: str | None) -> str:
    """The node's name. Raises Conflict when several are there and none is this host's."""
    known = {node["name"]: node["alive"] for node in fleet.list_nodes()["items"]}
    if given is not None:
        if given not in known:
            talk(
                f"cronherd: warning: no node of this fleet is called '{given}': "
                "the jobs wait until one is"
            )
        return given
    if len(known) == 1:
        return str(next(iter(known)))
    configured = session.config.node.name
    if known and configured not in known:
        names = ", ".join([f"'{name}'" for name in known][:_SHOWN])
        more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
        raise Conflict(
            f"this fleet has several nodes, and none is called '{configured}' like this host",
            code="which_node",
            hint=f"say which one runs the jobs with --node: {names}{more}",
        )
    return configured


def agent_user(session: Session) -> str:
    """Whom the agent of this host runs as: whose its state is, or else who asks."""
    import pwd  # noqa: PLC0415 - not every command

    from cronherd.places import NODE_ID  # noqa: PLC0415 - not every command

    try:
        return pwd.getpwuid((session.place.state / NODE_ID).stat().st_uid).pw_name
    except (OSError, KeyError):
        return user_name()


def is_own_node(session: Session, fleet: "Fleet", name: str) -> bool:
    """Whether the node is the one of this host: by its id, or else by the name it would take."""
    from cronherd.places import NODE_ID  # noqa: PLC0415 - not every command

    known = {node["name"]: node["id"] for node in fleet.list_nodes()["items"]}
    try:
        own = (session.place.state / NODE_ID).read_text().strip()
    except OSError:
        return name == session.config.node.name
    return bool(known.get(name, own if name == session.config.node.name else "") == own)
