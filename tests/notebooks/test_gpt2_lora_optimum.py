"""What the fifth lesson must show: masked rows, an answer rate that training raises, an adapter that comes back from disk."""

import re

import nbformat
import pytest

import notebooks
from reading import checked, number, plain_text

SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```rust\n(.*?)```\s*</details>", re.DOTALL)


@pytest.fixture
def lesson(executed):
    return executed("gpt2_lora_optimum")


def test_the_row_by_hand_is_the_crates(lesson):
    assert "the same as the crate's: true" in checked(lesson, "same-row")


def test_only_a_part_of_the_tokens_is_learnt_from(lesson):
    assert 1 < number(lesson, "rows", after="learnt from: ") < 50


def test_two_measures_of_one_model_differ(lesson):
    text = checked(lesson, "two-losses")
    answers, everything = (float(found) for found in re.findall(r"([\d.]+) on", text))
    assert abs(answers - everything) > 0.1


def test_tuning_raises_the_answer_rate(lesson):
    base = number(lesson, "base-rate", after="base: ")
    tuned = number(lesson, "masked-rate", after="mask on: ")
    assert "finished" in checked(lesson, "masked") and "finished" in checked(lesson, "unmasked")
    assert base < 20 and tuned > base + 25


def test_the_adapter_comes_back_from_disk(lesson):
    text = checked(lesson, "saved")
    assert "adapter_config.json" in text and "adapter_model.safetensors" in text
    assert "loaded adapter says the same: true" in checked(lesson, "loaded")


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    cells = lesson.cells
    stubs = [cell for cell in cells if "exercise" in cell.metadata.get("tags", [])]
    solutions = [found[1] for cell in cells if cell.cell_type == "markdown" and (found := SOLUTION.search(cell.source))]
    assert len(stubs) == len(solutions) == 2
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
