"""The reader of results is itself held to known answers."""

import nbformat
import pytest
from reading import checked, number, numbers


def test_numbers_of_a_text():
    assert numbers("2,408,290 parameters, loss 4.61 (ln V = 4.58), -1e-3 and 1_000") == [2408290, 4.61, 4.58, -0.001, 1000]


def test_a_result_is_found_by_its_tag():
    cell = nbformat.v4.new_code_cell("x", metadata={"tags": ["check:loss"]})
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text="untrained loss: 4.61, expected 4.58\n")]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    assert number(notebook, "loss") == 4.61
    assert number(notebook, "loss", after="expected") == 4.58
    with pytest.raises(AssertionError, match="0 cells have the tag check:other"):
        checked(notebook, "other")
