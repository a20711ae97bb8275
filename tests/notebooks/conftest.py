"""Each notebook is executed once; its tests read the outputs."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import notebooks  # noqa: E402

EXECUTED = {}


@pytest.fixture
def executed():
    """`executed("char_gpt")`: the notebook after a run from top to bottom on our kernel; the file is left alone."""

    def run(name):
        if name not in EXECUTED:
            EXECUTED[name] = notebooks.execute(ROOT / "notebooks" / f"{name}.ipynb", "gpt_lab", notebooks.CELL_TIMEOUT)
        return EXECUTED[name]

    return run
