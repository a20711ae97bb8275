"""The reward model's key results, with tolerances that no correct run leaves."""

import math
import re

import nbformat
import pytest

import notebooks
from reading import checked, number, numbers, plain_text

SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```rust\n(.*?)```\s*</details>", re.DOTALL)


@pytest.fixture
def lesson(executed):
    return executed("gpt2_reward_modeling")


def test_ties_are_dropped_and_counted(lesson):
    text = checked(lesson, "data")
    assert "2897 pairs to learn from, 103 ties and 0 over-long rows dropped" in text
    assert "390 pairs held out, 10 ties dropped" in text


def test_the_chapters_pair(lesson):
    assert numbers(checked(lesson, "by-hand"))[3] == pytest.approx(3.02, abs=0.02)
    assert numbers(checked(lesson, "by-hand"))[7] == pytest.approx(0.98, abs=0.02)


def test_by_hand_is_the_crates(lesson):
    assert number(lesson, "same-loss") < 1e-6
    assert number(lesson, "last-token") < 1e-5


def test_the_chapters_parameters(lesson):
    assert "38400 of 124478208 (0.031 %)" in checked(lesson, "report")


def test_an_untrained_judge_knows_nothing(lesson):
    assert number(lesson, "before", after="loss ") == pytest.approx(math.log(2), abs=0.05)


def test_both_judges_beat_the_goal(lesson):
    assert "finished" in checked(lesson, "training") and "finished" in checked(lesson, "mended-training")
    assert number(lesson, "after", after="accuracy ") > 75
    assert number(lesson, "mended", after="mended ") > 75


def test_the_length_bias_is_found_and_mended(lesson):
    assert number(lesson, "by-reason", after="length_bias: ") > 90
    fooled = number(lesson, "fooled", after="once, not twice: ")
    assert number(lesson, "mended-tricks", after="once, not twice: ") > fooled + 20


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
