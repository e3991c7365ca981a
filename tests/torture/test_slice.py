"""About a minute of torture for each database, all in all: what every change must survive."""

import os

import pytest

from tests.conftest import Record, needing_server
from tests.torture.database import KINDS
from tests.torture.storm import Wish, torture

# Start, heal and quiet take as long again.
SECONDS = {"sqlite": 20.0, "postgresql": 20.0, "mariadb": 20.0}


@pytest.mark.timeout(420)
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=pytest.mark.full) if kind == "sqlite" else kind for kind in KINDS],
)
def test_every_promise_is_kept(kind: str, record_property: Record):
    """The seed is in the message of a failure, and CRONHERD_TEST_SEED replays it."""
    given = os.environ.get("CRONHERD_TEST_SEED")
    seed = int.from_bytes(os.urandom(3), "big") if given is None else int(given)
    record_property("seed", seed)
    with needing_server(kind, record_property):
        result = torture(Wish(kind=kind, seed=seed, seconds=SECONDS[kind]))
    assert not result.violations, "\n" + result.text()
    assert result.figures["starts"] > 5 * SECONDS[kind], result.text()
