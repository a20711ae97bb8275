"""Each case of `cases/` on our kernel.

`-k A02` runs some, `-m "not network and not slow"` those that need neither crates.io nor minutes.
"""

import re

import pytest
from cases import ALL, Kernels, run
from cases.first_version import BEFORE, ELSEWHERE
from client import ROOT


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


def test_the_table_of_the_first_version_is_whole():
    """Its ids are cases, its tests are there, and `cases.md` has a row for each."""
    assert BEFORE.keys() <= {case.id for case in ALL}
    for _, test in ELSEWHERE.values():
        path, name = re.fullmatch(r"(.+)::(\w+)(?:\[.+\])?", test).groups()
        word = "def" if path.endswith(".py") else "fn"
        assert f"{word} {name}(" in (ROOT / path).read_text(encoding="utf-8"), test
    table = (ROOT / "tests/kernel/cases.md").read_text(encoding="utf-8")
    missing = [name for name in BEFORE if f"\n| {name} | " not in table]
    assert not missing, f"not in cases.md: {missing}; tools/kernel_cases.py --table writes it"
