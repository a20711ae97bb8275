"""Each notebook is executed once, the solutions of its exercises after it; its tests read the outputs.

With GPT_LAB_COMMITTED nothing is executed, and the outputs are those in the files, without solutions: for `make notebooks`, which has
just executed them.
"""

import os
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import notebooks  # noqa: E402
from exercises import solutions_of  # noqa: E402

EXECUTED = {}


@pytest.fixture(scope="session")
def learnt(tmp_path_factory):
    """Where the lessons leave what they learnt: not in the learner's own folder, and each test run begins without."""
    return tmp_path_factory.mktemp("learnt")


@pytest.fixture
def executed(learnt, monkeypatch):
    """`executed("char_gpt")`: the notebook after a run from top to bottom on our kernel; the file is left alone. Its cells for the
    solutions are in `metadata["solved"]`."""

    def run(name):
        path = ROOT / "notebooks" / f"{name}.ipynb"
        if os.environ.get("GPT_LAB_COMMITTED"):
            return nbformat.read(path, as_version=4)
        if name not in EXECUTED:
            # Each lesson alone: what an earlier one has left is not there, only what came with the lab.
            monkeypatch.setenv("GPT_LAB_LEARNT", str(learnt / name))
            solutions = solutions_of(path)
            notebook = notebooks.execute(path, "gpt_lab", notebooks.CELL_TIMEOUT, solutions)
            count = len(notebook.cells) - len(solutions)
            notebook.cells, notebook.metadata["solved"] = notebook.cells[:count], notebook.cells[count:]
            EXECUTED[name] = notebook
        return EXECUTED[name]

    return run
