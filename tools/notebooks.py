#!/usr/bin/env python3
"""Runs every notebook without a browser and refreshes the outputs that are committed: `make notebooks`.

Each notebook is executed top to bottom on our kernel, in notebooks/. It ends at the first error, which is named with
notebook, cell and message. What differs from run to run (times, ids, versions) is left out of the file, and a hash of
what the outputs depend on (code cells, and what Cargo.lock says of gpt_lab's crates) is kept in the notebook's metadata: `--check` compares it without
running anything, so that CI sees outputs that are older than their code.

Lessons leave what they have learnt to later ones. Here that goes to .lab/learnt, apart from a learner's own; `--ship` puts it into
assets/learnt, where it comes with the lab.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
LEARNT = ROOT / ".lab" / "learnt"
SHIPPED = ROOT / "assets" / "learnt"
KERNELSPEC = {"display_name": "Rust (gpt_lab)", "language": "rust", "name": "gpt_lab"}
LANGUAGE = {"name": "rust", "file_extension": ".rs", "mimetype": "text/x-rust", "pygments_lexer": "rust"}
HASH = "gpt_lab_outputs_of"  # notebook metadata: what the committed outputs were made from
CELL_TIMEOUT = 1800
# What a lesson should take on two cores, and all of them together, in seconds.
LESSON, LADDER = 300, 1800


def lessons(readme):
    """The lessons in the order in which they are read and run, which is that of README's table."""
    section = next(part for part in readme.split("\n## ") if part.startswith("The lessons\n"))
    return re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)


LESSONS = lessons((ROOT / "README.md").read_text(encoding="utf-8"))


class NotebookError(Exception):
    """A notebook, a cell and what went wrong there."""


def source_hash(notebook):
    """Changes when a code cell or a locked crate that cells use changes. Prose may be edited without running anything."""
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    lock = locked("gpt_lab", (ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    return hashlib.sha256((json.dumps(code) + lock).encode()).hexdigest()[:16]


def locked(name, lock):
    """What a lock file says of a crate and of all that it needs."""
    blocks = {}
    for block in lock.split("[[package]]")[1:]:
        blocks.setdefault(re.search(r'name = "(.+?)"', block)[1], []).append(block.strip())
    needed, left = set(), [name]
    while left:
        crate = left.pop()
        if crate not in needed:
            needed.add(crate)
            left += [found for block in blocks.get(crate, []) for found in re.findall(r'(?m)^ "([^" ]+)', block)]
    return "\n\n".join(block for crate in sorted(needed) for block in blocks.get(crate, []))


def execute(path, kernel_name, timeout, more=()):
    """The notebook with fresh outputs, and after it these further code cells; not yet written."""
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

    notebook = nbformat.read(path, as_version=4)
    notebook.cells += [nbformat.v4.new_code_cell(code) for code in more]
    at = {"cell": 0}

    def begin(cell, cell_index):
        at["cell"] = cell_index
        show_progress(path, cell_index, len(notebook.cells))

    client = NotebookClient(
        notebook, timeout=timeout, startup_timeout=120, kernel_name=kernel_name, on_cell_start=begin, allow_errors=False,
        resources={"metadata": {"path": str(NOTEBOOKS)}}, record_timing=False, store_widget_state=False,
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise NotebookError(f"{path.name}, cell {at['cell'] + 1}: {error.ename}: {error.evalue}") from None
    except CellTimeoutError:
        raise NotebookError(f"{path.name}, cell {at['cell'] + 1}: not done after {timeout} s") from None
    except DeadKernelError:
        raise NotebookError(f"{path.name}, cell {at['cell'] + 1}: the kernel died") from None
    finally:
        show_progress(path, None, None)
    return notebook


def show_progress(path, index, total):
    """One moving line on a terminal, silence elsewhere."""
    if sys.stderr.isatty():
        text = "" if index is None else f"{path.name}: cell {index + 1} of {total}"
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def normalise(notebook):
    """Leaves out what differs from run to run although nothing changed."""
    notebook.metadata = {"kernelspec": KERNELSPEC, "language_info": LANGUAGE, HASH: source_hash(notebook)}
    count = 0
    for cell in notebook.cells:
        kept = {key: cell.metadata[key] for key in ("tags", "jupyter", "slideshow") if key in cell.metadata}
        cell.metadata = kept
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count
        outputs = [tidy(output, count) for output in merged(cell.outputs)]
        cell.outputs = [output for output in outputs if output.get("text", True)]
    return notebook


def merged(outputs):
    """Pieces of one stream that arrived one after another become one output, as on the page."""
    result = []
    for output in outputs:
        if result and output.output_type == "stream" == result[-1].output_type and output.name == result[-1].name:
            result[-1].text += output.text
        else:
            result.append(output)
    return result


def tidy(output, count):
    """An output without display ids, and streams as they look in the end."""
    if output.output_type == "execute_result":
        output.execution_count = count
    if output.output_type == "stream":
        output.text = final_lines(output.text)
    output.pop("transient", None)
    return output


def final_lines(text):
    """What remains of each line that a carriage return wrote over, without what a kernel says that builds itself first."""
    text = re.sub(r"[^\n]*\r(?!\n)", "", text.replace("\r\n", "\n"))
    return re.sub(r"^building gpt_lab for the cells:.*\n", "", text, flags=re.MULTILINE)


def write(notebook, path):
    """Writes to a temporary file first: an interrupted run leaves the old notebook."""
    import nbformat

    temporary = path.with_suffix(".tmp")
    temporary.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
    temporary.replace(path)


def stale(path):
    """Why the committed outputs do not belong to the committed code, or None."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    if HASH not in notebook.metadata:
        return "was never run by `make notebooks`"
    if notebook.metadata[HASH] != source_hash(notebook):
        return "code, or a crate that it uses, changed since the outputs were made"
    failed = [i for i, cell in enumerate(notebook.cells) if any(o.output_type == "error" for o in cell.get("outputs", []))]
    return f"cell {failed[0] + 1} shows an error" if failed else None


def check(paths):
    """Names every notebook whose outputs are stale; the exit code."""
    reasons = {path.name: stale(path) for path in paths}
    for name, reason in reasons.items():
        if reason:
            print(f"{name}: {reason}: run `make notebooks` and commit the result", file=sys.stderr)
    return 1 if any(reasons.values()) else 0


def ladder():
    """All notebooks, the lessons first and in their order."""
    place = {name: i for i, name in enumerate(LESSONS)}
    return sorted(NOTEBOOKS.glob("*.ipynb"), key=lambda path: (place.get(path.stem, len(place)), path.name))


def ship():
    """Copies what the lessons have learnt to where it comes with the lab."""
    lessons = sorted(folder.name for folder in LEARNT.iterdir() if folder.is_dir())
    for lesson in lessons:
        shutil.rmtree(SHIPPED / lesson, ignore_errors=True)
        shutil.copytree(LEARNT / lesson, SHIPPED / lesson)
    adapters = sorted(str(path.parent.relative_to(SHIPPED)) for path in SHIPPED.rglob("adapter_model.safetensors"))
    lines = ["# What the lessons have learnt", "",
             "Adapters in PEFT's layout for the model in the box (`../gpt2_box`), each saved by the notebook whose name its folder has,",
             "with that notebook's seeds, and put here by `python tools/notebooks.py --ship` after `make notebooks`. MIT or Apache-2.0.", "",
             *[f"- `{name}`" for name in adapters], "",
             "The stages of one folder act together, one on top of the other: `masked` is lesson 5's fine-tuned model, `bad_day` is trained on it,",
             "and `dpo`, `ppo`, `unleashed`, `grpo` and `distilled` each on both; `first` and `judge` belong to score models on `masked`.",
             "`SEEDS.md` has the figures of the last lessons with other seeds.", ""]
    (SHIPPED / "PROVENANCE.md").write_text("\n".join(lines), encoding="utf-8")
    print("\n".join(adapters))
    return 0


def refresh(paths, kernel_name, timeout, keep):
    """Runs the notebooks one after another; the exit code."""
    os.environ.setdefault("GPT_LAB_LEARNT", str(LEARNT))
    began = time.monotonic()
    for path in paths:
        started = time.monotonic()
        try:
            notebook = normalise(execute(path, kernel_name, timeout))
        except NotebookError as error:
            print(f"Error: {error}", file=sys.stderr)
            return 1
        if not keep:
            write(notebook, path)
        seconds = time.monotonic() - started
        print(f"{path.name}: {len(notebook.cells)} cells, {seconds:.0f} s{too_long(seconds, LESSON)}")
    seconds = time.monotonic() - began
    print(f"{len(paths)} notebooks, {seconds:.0f} s{too_long(seconds, LADDER)}")
    return 0


def too_long(seconds, limit):
    """A remark for whoever works on the lessons; machines differ, so it is no error."""
    return f" (should be at most {limit} s on two cores)" if seconds > limit else ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all of notebooks/")
    parser.add_argument("--check", action="store_true", help="only look whether committed outputs belong to their code")
    parser.add_argument("--names", action="store_true", help="only print the lessons' files, in their order")
    parser.add_argument("--ship", action="store_true", help="only put what the lessons have learnt into the assets")
    parser.add_argument("--kernel", default="gpt_lab", help="the kernelspec to run on (default: gpt_lab)")
    parser.add_argument("--keep", action="store_true", help="run, but leave the files as they are")
    parser.add_argument("--timeout", type=int, default=CELL_TIMEOUT, help="seconds that one cell may take")
    arguments = parser.parse_args()
    if arguments.names:
        print("\n".join(f"{name}.ipynb" for name in LESSONS))
        return 0
    if arguments.ship:
        return ship()
    paths = arguments.notebooks or ladder()
    if not paths:
        print("there is no notebook in notebooks/", file=sys.stderr)
        return 1
    if arguments.check:
        return check(paths)
    return refresh(paths, arguments.kernel, arguments.timeout, arguments.keep)


if __name__ == "__main__":
    sys.exit(main())
