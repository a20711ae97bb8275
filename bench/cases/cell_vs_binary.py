"""The same training in a notebook's cell on our kernel and in a release binary (chapter's model, batch 32), in turn."""
import json
import os
import statistics
import sys

from kernels import kernel, run_cell
from run import AS_IN_CELLS, ROOT, row

BATCH, STEPS, WARM_UP = 32, 20, 2
LOOP = (ROOT / "bench" / "rust" / "src" / "train_loop.rs").read_text()
DEP = ':dep gpt_lab = { path = "../gpt_lab" }\nuse gpt_lab::prelude::*;\n'


def run(bench):
    folder = bench.work / "cell_vs_binary"
    bench.prepare("train", "init", folder, "--batch", BATCH, "--batches", STEPS)
    env = {**bench.thread_limits(), **AS_IN_CELLS}  # the kernel sets the latter for its cells anyway
    results = bench.in_turn(
        cell=lambda: in_a_cell(folder, env),
        binary=lambda: bench.ours("train", "run", folder, "--steps", STEPS, **env),
    )
    for cell, binary in zip(results["cell"], results["binary"]):
        if abs(cell["losses"][-1] - binary["losses"][-1]) > 1e-4:
            sys.exit(f"bench: the cell ends at loss {cell['losses'][-1]}, the binary at {binary['losses'][-1]}")
    speed = {name: BATCH * 64 / statistics.median(s for one in runs for s in one["seconds"][WARM_UP:])
             for name, runs in results.items()}
    return [row("training in a cell", speed["cell"], speed["binary"], "tokens/s", "the same in a release binary; aim 0.97", "higher")]


def in_a_cell(folder, env):
    """Losses and seconds of each step, measured by the loop itself as in the binary."""
    with kernel("gpt_lab", **{**os.environ, **env}) as client:
        run_cell(client, DEP + LOOP)
        run_cell(client, f"let (losses, seconds) = train_loop({json.dumps(str(folder))}, {STEPS})?;")
        return json.loads(run_cell(client, 'println!("{{\\"losses\\": {losses:?}, \\"seconds\\": {seconds:?}}}");'))
