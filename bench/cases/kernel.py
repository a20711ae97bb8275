"""How long a learner waits: from starting a kernel to the first tensor printed, and for warm cells. Needs `make setup`."""
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time

from kernels import NOTEBOOKS, kernel, run_cell, seconds_to_output
from run import ROOT, row

# Lessons that do not compute for minutes.
QUICK = ("gpt2", "lora_tutorial")
RUST = ':dep gpt_lab = { path = "../gpt_lab" }\nuse gpt_lab::prelude::*;\nprintln!("{}", Tensor::new(&[1f32, 2.0], &Device::Cpu)?);'
# Without gpt_lab, as one would write it for the plain evcxr_jupyter.
PLAIN = ':dep candle-core = "=0.11.1"\nuse candle_core::{Device, Tensor};\nprintln!("{}", Tensor::new(&[1f32, 2.0], &Device::Cpu)?);'
PYTHON = "import torch, transformers, peft\nprint(torch.tensor([1.0, 2.0]))"


def run(bench):
    than = "IPython + torch, transformers, peft"
    starts = bench.in_turn(
        new=lambda: without_kept_cells(lambda: seconds_to_output("gpt_lab", RUST)),
        known=lambda: seconds_to_output("gpt_lab", RUST),
        python=lambda: seconds_to_output("python3", PYTHON),
    )
    starts = {name: statistics.median(times) for name, times in starts.items()}
    bench.say(f"start to first tensor: {starts}")
    plain = with_plain_evcxr()
    cells = without_kept_cells(lambda: warm_cells(bench))
    q95 = statistics.quantiles(cells, n=20)[-1]
    return [
        row("kernel start to first tensor", starts["new"], starts["python"], "s", than, "lower"),
        row("the same, of a cell that has run before", starts["known"], starts["python"], "s", than, "lower"),
        row("kernel start to first tensor", starts["new"], plain, "s", "plain evcxr_jupyter + candle, one round", "lower"),
        row("warm cell, median", statistics.median(cells), None, "s", f"aim 0.2 s; {len(cells)} cells of {' and '.join(QUICK)}", "lower"),
        row("warm cell, 95 %", q95, None, "s", "aim 0.5 s", "lower"),
    ]


def without_kept_cells(measure):
    """As for a cell that nobody has run yet."""
    kept, aside = ROOT / ".lab/cells", ROOT / ".lab/cells.aside"
    if kept.exists():
        kept.rename(aside)
    try:
        return measure()
    finally:
        shutil.rmtree(kept, ignore_errors=True)
        if aside.exists():
            aside.rename(kept)


def with_plain_evcxr():
    """It compiles candle first, so one round is enough. It would rewrite the user's kernelspec, so it gets folders of its own."""
    build = ["cargo", "build", "-q", "--profile", "kernel", "-p", "gpt_lab_assist", "--example", "plain"]
    subprocess.run(build, cwd=ROOT, check=True)
    program = ROOT / "target" / "kernel" / "examples" / "plain"
    with tempfile.TemporaryDirectory() as folder:
        own = {"JUPYTER_DATA_DIR": folder, "JUPYTER_PATH": folder, "EVCXR_CONFIG_DIR": folder}
        argv = [program, "--control_file", "{connection_file}"]
        return seconds_to_output("plain", PLAIN, argv, **{**os.environ, **own})


def warm_cells(bench):
    """Seconds for every code cell of the quick lessons from sending it to idle, the first of each notebook and those tagged
    `long` (they compute for a while) left out."""
    seconds = []
    for path in (NOTEBOOKS / f"{name}.ipynb" for name in QUICK):
        cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
        with kernel("gpt_lab") as client:
            for i, cell in enumerate(cells):
                start = time.perf_counter()
                run_cell(client, "".join(cell["source"]))
                if i > 0 and "long" not in cell["metadata"].get("tags", []):
                    seconds.append((time.perf_counter() - start, f"{path.stem} {i}"))
        bench.say(f"{path.name}: {len(cells)} cells")
    seconds.sort(reverse=True)
    bench.say("the slowest: " + ", ".join(f"{place} {took:.1f} s" for took, place in seconds[:30]))
    return [took for took, _ in seconds]
