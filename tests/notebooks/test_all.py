"""Every notebook runs from top to bottom, and its committed outputs belong to its code."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import notebooks

ROOT = Path(__file__).resolve().parent.parent.parent
ALL = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


def test_every_notebook_has_its_place_in_the_ladder():
    assert sorted(notebooks.LESSONS) == ALL


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ALL)
def test_it_runs(executed, name):
    executed(name)


# The others compute for minutes in each pass.
QUICK = {"gpt2", "lora_tutorial"}


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ALL])
def test_it_runs_again_in_the_same_session(name, tmp_path, monkeypatch):
    """*Run All* twice: each definition meets the one of the first pass, and nothing is lost on the way."""
    monkeypatch.setenv("GPT_LAB_LEARNT", str(tmp_path))
    path = ROOT / "notebooks" / f"{name}.ipynb"
    again = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    notebook = notebooks.execute(path, "gpt_lab", notebooks.CELL_TIMEOUT, again)
    second = notebook.cells[-len(again):]
    for number, cell in enumerate(second, 1):
        said = "".join(output.get("text", "") for output in cell.outputs if output.output_type == "stream" and output.name == "stderr")
        assert "set aside" not in said, f"code cell {number}, second pass: {said}"
        assert all(output.output_type != "error" for output in cell.outputs), f"code cell {number}, second pass"


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ALL)
def test_pictures_are_shown_and_not_spelt_out(executed, name):
    """evcxr falls back to Debug where the last expression moves out of a variable."""
    for number, cell in enumerate(executed(name).cells, 1):
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/plain", "")
            assert not text.startswith(("Picture {", "Right(", "Wrong(", "Waiting")), f"cell {number}: {text[:80]}"


@pytest.mark.parametrize("name", ALL)
def test_its_committed_outputs_are_not_stale(name):
    assert notebooks.stale(ROOT / "notebooks" / f"{name}.ipynb") is None


def make(folder, *codes):
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": notebooks.KERNELSPEC})
    notebook.cells = [nbformat.v4.new_markdown_cell("# A notebook"), *map(nbformat.v4.new_code_cell, codes)]
    path = folder / "made.ipynb"
    nbformat.write(notebook, path)
    return path


def runner(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "tools/notebooks.py", *map(str, arguments)], capture_output=True, text=True,
        timeout=300, env={**os.environ},
    )


def test_outputs_are_the_same_on_every_run(tmp_path):
    path = make(tmp_path, 'print!("a\\rb");\nprintln!("c");', "1 + 1", 'println!("EVCXR_BEGIN_CONTENT text/html\\n<b>x</b>\\nEVCXR_END_CONTENT");')
    assert runner(path).returncode == 0
    first = path.read_text()
    assert runner(path).returncode == 0
    assert path.read_text() == first
    cells = nbformat.reads(first, as_version=4).cells
    assert cells[1].outputs[0].text == "bc\n" and cells[2].outputs[0].data["text/plain"] == "2"
    assert runner("--check", path).returncode == 0


def test_the_first_error_ends_the_run_and_is_named(tmp_path):
    path = make(tmp_path, "let a = 1;", 'panic!("the second code cell")', 'println!("never");')
    before = path.read_text()
    done = runner(path)
    assert done.returncode == 1
    assert "made.ipynb, cell 3" in done.stderr and "the second code cell" in done.stderr, done.stderr
    assert path.read_text() == before, "a notebook that fails is left as it was"


def test_stale_outputs_are_found(tmp_path):
    path = make(tmp_path, "1 + 1")
    assert "never run" in runner("--check", path).stderr
    notebook = notebooks.normalise(nbformat.read(path, as_version=4))
    notebooks.write(notebook, path)
    assert runner("--check", path).returncode == 0
    notebook.cells[0].source = "# Prose may change"
    notebooks.write(notebook, path)
    assert runner("--check", path).returncode == 0
    notebook.cells[1].source = "1 + 2"
    notebooks.write(notebook, path)
    done = runner("--check", path)
    assert done.returncode == 1 and "code, or a crate that it uses, changed" in done.stderr
