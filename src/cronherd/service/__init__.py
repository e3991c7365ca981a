"""One function per thing a person wants, by noun; answers are the documents of views.py."""

from cronherd.service.accounts import AccountDesk
from cronherd.service.alerts import AlertDesk
from cronherd.service.applying import ApplyDesk
from cronherd.service.audit import AuditDesk
from cronherd.service.changes import ChangeDesk
from cronherd.service.deliveries import DeliveryDesk
from cronherd.service.desk import Waiter
from cronherd.service.fleet import FleetDesk
from cronherd.service.live import LiveDesk
from cronherd.service.load import LoadDesk
from cronherd.service.locks import LockDesk
from cronherd.service.nodes import NodeDesk
from cronherd.service.pools import PoolDesk
from cronherd.service.runs import RunDesk
from cronherd.service.secrets import SecretDesk
from cronherd.service.slots import SlotDesk
from cronherd.service.timeline import TimelineDesk
from cronherd.service.why import WhyDesk

__all__ = ["Service", "Waiter"]


class Service(
    AuditDesk,
    WhyDesk,
    SlotDesk,
    ChangeDesk,
    ApplyDesk,
    RunDesk,
    TimelineDesk,
    DeliveryDesk,
    NodeDesk,
    PoolDesk,
    SecretDesk,
    LockDesk,
    AlertDesk,
    LiveDesk,
    LoadDesk,
    AccountDesk,
    FleetDesk,
):
    """What a person may ask of a fleet."""
