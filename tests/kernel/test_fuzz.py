"""Some random sessions of redefinitions with fixed seeds; `python tests/kernel/fuzz.py` runs as many as one wants."""

import pytest
from fuzz import Host, play, random_cells, report


@pytest.fixture(scope="module")
def host():
    host = Host()
    yield host
    host.stop()


@pytest.mark.parametrize("seed", range(1, 9))
def test_redefinitions(host, seed):
    _, log, wrong = play(host, random_cells(seed, 20))
    assert wrong is None, report(seed, log, wrong)
