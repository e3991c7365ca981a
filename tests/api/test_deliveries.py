"""What workers of job servers ask: passed on, and bounded."""

from collections.abc import Callable
from typing import Any

import pytest

from cronherd.client import Client
from cronherd.domain.errors import Invalid
from cronherd.domain.receipt import Delivered, Receipt
from cronherd.service.deliveries import DeliveryDesk
from tests.api.stand_in import StandIn

RUN, TOKEN = "a" * 32, "b" * 32


def test_a_worker_asks_and_tells_over_the_api(client: Client, service: StandIn):
    assert client.deliver_run(RUN, 2, TOKEN, "web-1") == {"receipt": "won", "code": None}
    passed_on = list(service.heard)
    assert passed_on == [("deliver_run", RUN, 2, TOKEN, "web-1")]
    assert client.run_delivered(RUN, 2, TOKEN, None) == {"wanted": True}
    assert client.run_delivered(RUN, 2, TOKEN, 3) == {"wanted": True}
    assert list(service.heard)[1:] == [
        ("run_delivered", RUN, 2, TOKEN, None),
        ("run_delivered", RUN, 2, TOKEN, 3),
    ]


class Rows:
    def deliver(self, *asked: Any) -> Delivered:
        return Delivered(Receipt.ENDED, len(asked))

    def delivered(self, *asked: Any) -> bool:
        return bool(asked[-1] == 0)


@pytest.fixture
def desk() -> DeliveryDesk:
    made = object.__new__(DeliveryDesk)
    made._catalog = Rows()  # type: ignore[assignment]
    return made


def test_the_desk_answers_with_documents(desk: DeliveryDesk):
    assert desk.deliver_run(RUN, 1, TOKEN, "w") == {"receipt": "ended", "code": 4}
    assert desk.run_delivered(RUN, 1, TOKEN, 0) == {"wanted": True}


@pytest.mark.parametrize(
    "ask",
    [
        lambda desk: desk.deliver_run(RUN[:8], 1, TOKEN, "w"),
        lambda desk: desk.deliver_run(RUN, 0, TOKEN, "w"),
        lambda desk: desk.deliver_run(RUN, 1, "token", "w"),
        lambda desk: desk.run_delivered(RUN, 1, TOKEN * 2, 0),
        lambda desk: desk.run_delivered(RUN, 1, TOKEN, 256),
        lambda desk: desk.run_delivered(RUN, 1, TOKEN, -1),
    ],
)
def test_what_cannot_be_is_refused(desk: DeliveryDesk, ask: Callable[[DeliveryDesk], object]):
    with pytest.raises(Invalid):
        ask(desk)
