"""Each case of `cases/` on our kernel.

`-k A02` runs some, `-m "not network and not slow"` those that need neither crates.io nor minutes.
"""

import pytest
from cases import ALL, Kernels, run


@pytest.fixture(scope="module")
def kernels():
    """Cases that leave nothing behind share a kernel."""
    kept = Kernels()
    yield kept
    kept.close()


def parameter(case):
    marks = [getattr(pytest.mark, name) for name in ("network", "slow") if getattr(case, name)]
    return pytest.param(case, id=case.id, marks=[*marks, pytest.mark.timeout(900 if marks else 300)])


@pytest.mark.parametrize("case", [parameter(case) for case in ALL])
def test_case(case, kernels):
    __tracebackhide__ = True
    run(case, kernels)
