"""What the fourth lesson must show: a run that collapses, one that does not, and answers that only training brings."""

import re

import nbformat
import pytest

import notebooks
from reading import checked, number, plain_text

SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```rust\n(.*?)```\s*</details>", re.DOTALL)


@pytest.fixture
def lesson(executed):
    return executed("gpt2_lora")


def last_loss(text):
    return float(re.search(r"; loss ([\d.]+)", text)[1])


def test_what_is_done_by_hand_is_the_crates(lesson):
    assert "true" in checked(lesson, "same-prompt").splitlines()[0]
    assert "the same as the crate's: true" in checked(lesson, "same-windows")
    assert number(lesson, "same-schedule") < 1e-12


def test_the_chapters_figures(lesson):
    text = checked(lesson, "trainable")
    assert "147,456" in text and "124,587,264" in text and "0.1184" in text


def test_the_largest_rate_is_the_one_that_breaks(lesson):
    losses = [float(found) for found in re.findall(r"steps ([\d.]+)", checked(lesson, "sweep"))]
    assert len(losses) == 4 and max(losses) == losses[3] and losses[3] > losses[2] + 1


def test_the_naive_run_ends_worse_than_the_mended_one(lesson):
    collapsed, mended = last_loss(checked(lesson, "collapsed")), last_loss(checked(lesson, "mended"))
    assert "finished" in checked(lesson, "mended") and collapsed > mended + 1


def test_answer_rates(lesson):
    base = number(lesson, "base-rate", after="base: ")
    collapsed = number(lesson, "collapsed-rate", after="collapsed: ")
    roomy = number(lesson, "roomy-rate", after="projections: ")
    assert base < 20 and collapsed <= base + 2 and roomy > base + 15


def test_the_base_is_untouched(lesson):
    on, off = re.findall(r'adapter (?:on|off): +(".*")', checked(lesson, "adapter-off"))
    assert on != off


def test_every_exercise_waits_for_an_answer_and_its_solution_is_right(lesson):
    cells = lesson.cells
    stubs = [cell for cell in cells if "exercise" in cell.metadata.get("tags", [])]
    solutions = [found[1] for cell in cells if cell.cell_type == "markdown" and (found := SOLUTION.search(cell.source))]
    assert len(stubs) == len(solutions) == 3
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
