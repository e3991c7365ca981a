"""What an agent is made of; wiring puts the parts together."""

from collections.abc import Callable
from dataclasses import dataclass, field

from cronherd.domain.node import Node
from cronherd.engine.accounts import Account
from cronherd.engine.clock import Clock
from cronherd.engine.mailroom import Mailroom, NoMailroom
from cronherd.engine.secrets import Reveal, no_secrets
from cronherd.store.base import Beats, Store
from cronherd.supervisor.base import Supervisor


def _wait_on(seconds: float | None) -> None:
    """A database that is never waited for needs no giving up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """`give_up`: in so many seconds the database's calls end and others are refused; None: no."""

    store: Store
    beats: Beats
    clock: Clock
    launch: Callable[[], Supervisor]
    node: Node
    account: Account
    ledger_age_us: int
    new_id: Callable[[], str]
    chance: Callable[[], float]
    owned: Callable[[], bool]
    halt: Callable[[], None]
    reveal: Reveal = no_secrets
    give_up: Callable[[float | None], None] = _wait_on
    mailroom: Mailroom | NoMailroom = field(default_factory=NoMailroom)
