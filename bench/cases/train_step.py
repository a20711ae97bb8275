"""A training step of the chapter's model (2,408,290 parameters, context 64) against PyTorch, eager and compiled, from the same
weights on the same batches, without dropout. First 200 steps to see that the losses agree; then the speed at three batch
sizes, in the environment as it is and in that of our kernel's cells, whose memory settings help both sides."""
import shutil
import statistics
import sys

from run import AS_IN_CELLS, ROOT, row

CURVE_STEPS = 200
STEPS = {8: 30, 32: 10, 128: 5}
WARM_UP = 2
# Losses of two correct float32 programs drift apart, since AdamW amplifies rounding: after some thirty steps PyTorch is as far
# from itself on another number of threads as from us. A wrong gradient shows before that.
BEGINNING, CLOSE_AT_FIRST, CLOSE_ON_AVERAGE = 15, 1e-4, 0.05


def run(bench):
    rows = [curves(bench)]
    for batch, steps in STEPS.items():
        for note, env in (("", {}), ("environment of our cells", AS_IN_CELLS)):
            results = bench.in_turn(**sides(bench, batch, steps, steps, env))
            rows += compare(bench, batch, results, note)
    return rows


def sides(bench, batch, batches, steps, env, threads=None):
    """A function for each side that trains for so many steps and returns what it found."""
    folder = bench.work / f"train_{batch}_{batches}"
    bench.prepare("train", "init", folder, "--batch", batch, "--batches", batches)
    env = {**bench.thread_limits(), **env}
    torch = [bench.python, ROOT / "bench" / "torch_gpt.py", folder, "--steps", steps, "--threads", threads or bench.threads]
    found = {
        "ours": lambda: bench.ours("train", "run", folder, "--steps", steps, **env),
        "eager": lambda: bench.json_from(torch, **env),
    }
    if shutil.which("c++") or shutil.which("g++"):
        found["compile"] = lambda: bench.json_from([*torch, "--compile"], **env)
    else:
        bench.say("no C++ compiler, so no torch.compile")
    return found


def curves(bench):
    results = {name: side() for name, side in sides(bench, 8, CURVE_STEPS, CURVE_STEPS, {}).items()}
    require_same_training(results)
    one_thread = sides(bench, 8, CURVE_STEPS, CURVE_STEPS, {}, threads=1)["eager"]()
    gap, own = (largest_gap(results["eager"], other) for other in (results["ours"], one_thread))
    ours, theirs = results["ours"]["losses"], results["eager"]["losses"]
    bench.say(f"loss {ours[0]:.4f} -> {ours[-1]:.4f}, PyTorch {theirs[0]:.4f} -> {theirs[-1]:.4f}; largest gap {gap:.1e}, of PyTorch to itself on one thread {own:.1e}")
    return row(f"loss after {CURVE_STEPS} steps, same weights and batches", ours[-1], theirs[-1], "",
               f"PyTorch {results['eager']['version']}", "lower",
               f"largest gap of the losses {gap:.1e}; PyTorch on two threads and on one: {own:.1e}")


def largest_gap(one, other):
    return max(abs(a - b) for a, b in zip(one["losses"], other["losses"], strict=True))


def require_same_training(results):
    """Ends the bench if a side computes something else: its first losses differ, or the mean of the last quarter does."""
    ours = results["ours"]["losses"]
    last = max(1, len(ours) // 4)
    for name, result in results.items():
        theirs = result["losses"]
        first = max(abs(a - b) for a, b in zip(ours[:BEGINNING], theirs[:BEGINNING], strict=True))
        mean = abs(statistics.fmean(ours[-last:]) - statistics.fmean(theirs[-last:]))
        if first > CLOSE_AT_FIRST or mean > CLOSE_ON_AVERAGE:
            sys.exit(f"bench: the losses of ours and {name} differ by up to {first:.2e} in the first {BEGINNING} steps and by "
                     f"{mean:.2e} in the mean of the last {last}")


def compare(bench, batch, results, note):
    for turn in zip(*results.values()):
        require_same_training(dict(zip(results, turn)))
    speed = {name: batch * 64 / statistics.median(s for one in runs for s in one["seconds"][WARM_UP:])
             for name, runs in results.items()}
    peak = {name: statistics.median(one["peak_mib"] for one in runs) for name, runs in results.items()}
    bench.say(f"batch {batch} {note}: " + ", ".join(f"{name} {speed[name]:,.0f} tokens/s {peak[name]:,.0f} MiB" for name in speed))
    torch = f"PyTorch {results['eager'][0]['version']}"
    rows = []
    for other, what in (("eager", f"{torch} eager, fused attention"), ("compile", f"{torch}, torch.compile")):
        if other in results:
            rows.append(row(f"training step, batch {batch}", speed["ours"], speed[other], "tokens/s", what, "higher", note))
    if not note:
        rows.append(row(f"peak memory of that, batch {batch}", peak["ours"], peak["eager"], "MiB", f"{torch} eager", "lower"))
    return rows
