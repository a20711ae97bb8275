"""The exercises of a lesson: each waits for an answer, and the solution printed below it is right."""

import re

import nbformat

import notebooks
from reading import plain_text

SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```rust\n(.*?)```\s*</details>", re.DOTALL)


def check_exercises(lesson, at_least):
    """The solutions run in a kernel of their own, after the lesson's first code cell."""
    stubs = [cell for cell in lesson.cells if "exercise" in cell.metadata.get("tags", [])]
    solutions = [found[1] for cell in lesson.cells if cell.cell_type == "markdown" and (found := SOLUTION.search(cell.source))]
    assert len(stubs) == len(solutions) >= at_least
    for stub in stubs:
        assert "waiting for your answer" in plain_text(stub), stub.source
    first = next(cell.source for cell in lesson.cells if cell.cell_type == "code")
    path = notebooks.NOTEBOOKS / ".solutions.ipynb"
    try:
        nbformat.write(nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, [first, *solutions]))), path)
        solved = notebooks.execute(path, "gpt_lab", notebooks.CELL_TIMEOUT)
    finally:
        path.unlink(missing_ok=True)
    for cell in solved.cells[1:]:
        assert "✓" in plain_text(cell), f"{cell.source}\n{plain_text(cell)}"
