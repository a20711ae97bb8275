"""DPO's key results, with tolerances that no correct run leaves."""

import math
import re

import nbformat
import pytest

import notebooks
from reading import checked, number, plain_text

SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```rust\n(.*?)```\s*</details>", re.DOTALL)


@pytest.fixture
def lesson(executed):
    return executed("gpt2_dpo")


def test_by_hand_is_the_crates(lesson):
    assert number(lesson, "same-log-prob") < 1e-3


def test_it_begins_at_ln_2(lesson):
    assert number(lesson, "start", after="loss ") == pytest.approx(math.log(2), abs=1e-4)
    assert number(lesson, "start", after="margin ") == pytest.approx(0, abs=1e-3)


def test_it_learns_the_preferences(lesson):
    assert "finished" in checked(lesson, "sft") and "finished" in checked(lesson, "training")
    assert number(lesson, "after", after="loss ") < 0.6
    assert number(lesson, "after", after="accuracy ") > 75
    assert number(lesson, "after", after="margin ") > 0.3


def test_the_samples_move_and_the_distance_is_reported(lesson):
    text = checked(lesson, "habits")
    before, after = (float(found) for found in re.search(r"words, mean: before ([\d.]+), after ([\d.]+)", text).groups())
    assert after < before
    assert 0 < number(lesson, "kl") < 100
    assert "reference unchanged: true" in checked(lesson, "reference")


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    cells = lesson.cells
    stubs = [cell for cell in cells if "exercise" in cell.metadata.get("tags", [])]
    solutions = [found[1] for cell in cells if cell.cell_type == "markdown" for found in SOLUTION.finditer(cell.source)]
    assert len(stubs) == len(solutions) >= 3
    for stub in stubs:
        assert "waiting for your answer" in plain_text(stub), stub.source
    first = next(cell.source for cell in cells if cell.cell_type == "code")
    path = notebooks.NOTEBOOKS / ".solutions.ipynb"
    try:
        nbformat.write(nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, [first, *solutions]))), path)
        solved = notebooks.execute(path, "gpt_lab", notebooks.CELL_TIMEOUT)
    finally:
        path.unlink(missing_ok=True)
    for cell in solved.cells[1:]:
        assert "✓" in plain_text(cell), f"{cell.source}\n{plain_text(cell)}"
