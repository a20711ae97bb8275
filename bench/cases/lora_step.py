"""A training step of LoRA (r 4 on c_attn) on GPT-2 of the 124M shape with random weights, 4 x 256 tokens, against transformers
and PEFT: the same weights, the same adapter, the same batches, float32, without dropout. The losses must agree. Measured in the
environment as it is and in that of our kernel's cells."""
import statistics
import sys

from run import AS_IN_CELLS, ROOT, row

BATCH, CONTEXT, STEPS, WARM_UP = 4, 256, 4, 1
# The first loss is one forward pass of both; later ones follow updates, whose rounding AdamW amplifies.
CLOSE_AT_FIRST, CLOSE_AT_LAST = 1e-4, 5e-3


def run(bench):
    folder = bench.work / "lora"
    bench.prepare("lora", "init", folder, "--batch", BATCH, "--context", CONTEXT, "--batches", STEPS)
    rows = []
    for note, env in (("", {}), ("environment of our cells", AS_IN_CELLS)):
        rows += compare(bench, folder, note, {**bench.thread_limits(), **env})
    return rows


def compare(bench, folder, note, env):
    torch_program = [bench.python, ROOT / "bench" / "torch_lora.py", folder, "--steps", STEPS, "--threads", bench.threads]
    results = bench.in_turn(
        ours=lambda: bench.ours("lora", "run", folder, "--steps", STEPS, **env),
        peft=lambda: bench.json_from(torch_program, **env),
    )
    gaps = [abs(a - b) for a, b in zip(results["ours"][0]["losses"], results["peft"][0]["losses"])]
    bench.say(f"loss {results['ours'][0]['losses'][0]:.4f}, gap at step 1 {gaps[0]:.1e}, largest {max(gaps):.1e}")
    if gaps[0] > CLOSE_AT_FIRST or max(gaps) > CLOSE_AT_LAST:
        sys.exit(f"bench: the losses differ by {gaps[0]:.2e} at step 1 and by up to {max(gaps):.2e}: not the same training")
    versions = results["peft"][0]["versions"]
    seconds = {name: statistics.median(s for r in runs for s in r["seconds"][WARM_UP:]) for name, runs in results.items()}
    peak = {name: statistics.median(r["peak_mib"] for r in runs) for name, runs in results.items()}
    what = f"LoRA step on GPT-2 124M, {BATCH} x {CONTEXT} tokens"
    gap = f"largest gap of the losses {max(gaps):.1e}"
    return [row(what, seconds["ours"], seconds["peft"], "s", versions, "lower", f"{note}; {gap}" if note else gap),
            row("peak memory of that", peak["ours"], peak["peft"], "MiB", versions, "lower", note)]
