"""The exercises of a lesson: each waits for an answer, and the solution printed below it is right."""

import re

import nbformat

from reading import plain_text

SOLUTION = re.compile(r"<details><summary>Solution</summary>\s*```rust\n(.*?)```\s*</details>", re.DOTALL)


def solutions_of(path):
    """The code of every solution in a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    return [found[1] for cell in cells if cell.cell_type == "markdown" and (found := SOLUTION.search(cell.source))]


def check_exercises(lesson, at_least):
    """The solutions ran after the lesson, in its kernel."""
    stubs = [cell for cell in lesson.cells if "exercise" in cell.metadata.get("tags", [])]
    assert len(stubs) == len(lesson.metadata["solved"]) >= at_least
    for stub in stubs:
        assert "waiting for your answer" in plain_text(stub), stub.source
    for cell in lesson.metadata["solved"]:
        assert "✓" in plain_text(cell), f"{cell.source}\n{plain_text(cell)}"
