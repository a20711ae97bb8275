"""Generation with GPT-2 of the 124M shape (random weights, float32) against transformers: the time to the first token after a
prompt of 512, then tokens per second, greedy and with three beams, and the peak memory. The ids must be the same. With weights in
8 bits they need not be: the row says how many of them are."""
import statistics
import sys

from run import ROOT, row

PROMPT, TOKENS, BEAMS = 512, 64, 3


def run(bench):
    folder = bench.work / "generate"
    bench.prepare("generate", "init", folder, "--prompt", PROMPT)
    threads = bench.thread_limits()
    rows = []
    for name, beams in [("greedy", 1), (f"{BEAMS} beams", BEAMS)]:
        work = [folder, "--tokens", TOKENS, "--beams", beams]
        theirs = [bench.python, ROOT / "bench" / "hf_generate.py", *work, "--threads", bench.threads]
        results = bench.in_turn(
            ours=lambda: bench.ours("generate", "run", *work, **threads),
            theirs=lambda: bench.json_from(theirs, **threads),
        )
        compare(name, results["ours"][0]["ids"], results["theirs"][0]["ids"])
        than = f"transformers {results['theirs'][0]['version']}"
        median = {side: {key: statistics.median(r[key] for r in runs) for key in ("first_seconds", "seconds", "peak_mib")}
                  for side, runs in results.items()}
        ours, other = median["ours"], median["theirs"]
        rows += [
            row(f"first token after {PROMPT}, {name}", ours["first_seconds"], other["first_seconds"], "s", than, "lower"),
            row(f"generation, {name}", (TOKENS - 1) / ours["seconds"], (TOKENS - 1) / other["seconds"], "tokens/s", than,
                "higher", "the same ids"),
            row(f"peak memory of that, {name}", ours["peak_mib"], other["peak_mib"], "MiB", than, "lower"),
        ]
    work = [folder, "--tokens", TOKENS]
    theirs = [bench.python, ROOT / "bench" / "hf_generate.py", *work, "--beams", 1, "--threads", bench.threads]
    results = bench.in_turn(
        ours=lambda: bench.ours("generate", "run", *work, "--int8", **threads),
        theirs=lambda: bench.json_from(theirs, **threads),
    )
    speed = {side: (TOKENS - 1) / statistics.median(r["seconds"] for r in runs) for side, runs in results.items()}
    ids = [results[side][0]["ids"] for side in ("ours", "theirs")]
    same = next((i for i, pair in enumerate(zip(*ids)) if pair[0] != pair[1]), TOKENS)
    rows.append(row("generation, greedy, weights in 8 bits", speed["ours"], speed["theirs"], "tokens/s", than, "higher",
                    f"the other in float32; the first {same} of {TOKENS} ids are the same"))
    return rows


def compare(name, ours, theirs):
    if ours != theirs:
        at = next((i for i, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]), min(len(ours), len(theirs)))
        sys.exit(f"bench: {name}: the ids differ from token {at} on: not the same generation")
