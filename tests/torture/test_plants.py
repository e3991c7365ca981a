"""A checker that never failed proves nothing: known bugs are put in, and each is caught."""

import subprocess
import sys

import pytest

from tests.conftest import Record, needing_server
from tests.torture import plant
from tests.torture.node import environment
from tests.torture.plant import BUGS
from tests.torture.plants import PLANTS, try_plant, wish_for
from tests.torture.storm import torture

SEED = 20


@pytest.mark.parametrize("name", BUGS)
def test_every_bug_still_fits_what_it_replaces(name: str):
    """Or it would rot until somebody asks for the long form."""
    done = subprocess.run(
        [sys.executable, plant.__file__, name, "--version"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
        env=environment(),
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_bug_is_caught(name: str, kind: str, record_property: Record):
    with needing_server(kind, record_property):
        caught, result = try_plant(name, kind, SEED)
    assert caught, result.text()


@pytest.mark.full
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["postgresql", "mariadb"])
@pytest.mark.parametrize("name", PLANTS)
def test_the_same_torture_without_the_bug_finds_nothing(
    name: str, kind: str, record_property: Record
):
    wish = wish_for(name, kind, SEED, planted=False)
    with needing_server(kind, record_property):
        result = torture(wish)
    assert not result.violations, result.text()
