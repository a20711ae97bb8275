"""The reader of results is itself held to known answers."""

import nbformat
import pytest
from reading import bars, checked, duels, number, numbers, points


def test_numbers_of_a_text():
    assert numbers("2,408,290 parameters, loss 4.61 (ln V = 4.58), -1e-3, −2 and 1_000") == [2408290, 4.61, 4.58, -0.001, -2, 1000]


def notebook_of(name, text):
    cell = nbformat.v4.new_code_cell("x", metadata={"tags": [f"check:{name}"]})
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    return nbformat.v4.new_notebook(cells=[cell])


def test_a_result_is_found_by_its_tag():
    notebook = notebook_of("loss", "untrained loss: 4.61, expected 4.58\n")
    assert number(notebook, "loss") == 4.61
    assert number(notebook, "loss", after="expected") == 4.58
    with pytest.raises(AssertionError, match="0 cells have the tag check:other"):
        checked(notebook, "other")


def test_bars_points_and_duels():
    shown = notebook_of("exam", " bad day, drawn ███   16.6 % (14–20 %)\n   GRPO, greedy ████ 85.6 % (82–88 %)\nn = 500\n")
    assert bars(shown, "exam") == {"bad day, drawn": (16.6, 14, 20), "GRPO, greedy": (85.6, 82, 88)}
    assert points(notebook_of("curve", "y over x\nlog p: (0, 0) (10, −1.5)\n"), "curve", "log p") == [(0, 0), (10, -1.5)]
    with pytest.raises(AssertionError, match="no line 'other'"):
        points(notebook_of("curve", "y over x\n"), "curve", "other")
    lines = "drawn:  242 wins, 15 losses, 243 draws (sign test: p = 6.5e-54)\nb against a, greedy: 1 wins, 2 losses, 3 draws (sign test: p = 1.000)\n"
    assert duels(notebook_of("duel", lines), "duel") == {"drawn": (242, 15, 6.5e-54), "b against a, greedy": (1, 2, 1)}
