"""Measures gpt_lab and what one would otherwise use, on the same work, in turn, in one run.

    make bench                     every case
    make bench CASES="train_step"  only these

A case is a file in bench/cases/ with a function `run(bench)` that returns rows made by `row(...)`. The rows of all cases
go to bench/results.json and bench/RESULTS.md.
"""
import argparse
import functools
import importlib.util
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "bench"

# What gpt_lab's kernel sets for its cells: glibc keeps large freed blocks instead of giving them back to the system,
# only to fault them in again (which helps PyTorch as well), and candle's idle threads go to sleep.
AS_IN_CELLS = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
    "MALLOC_ARENA_MAX": "1",
    "CANDLE_BARRIER_POOL_SPIN_LIMIT": "100",
}


def row(what, ours, theirs, unit, than, better, note=""):
    """One line of the table. `better` is "lower" or "higher"; the ratio is above 1 where gpt_lab is better."""
    ratio = None
    if ours and theirs:
        ratio = theirs / ours if better == "lower" else ours / theirs
    return {"what": what, "ours": ours, "theirs": theirs, "unit": unit, "than": than, "ratio": ratio, "note": note}


class Bench:
    """What a case needs: where things are, how long to measure, and a way to run a program."""

    def __init__(self, rounds):
        self.rounds = rounds
        self.threads = min(2, os.cpu_count() or 1)
        self.work = ROOT / "target" / "bench"
        self.work.mkdir(parents=True, exist_ok=True)
        self.python = sys.executable

    def say(self, text):
        print(f"  {text}", flush=True)

    def thread_limits(self):
        """Environment variables that give both sides the same number of threads."""
        return {name: str(self.threads) for name in ("RAYON_NUM_THREADS", "CANDLE_NUM_THREADS", "OMP_NUM_THREADS")}

    @functools.cached_property
    def program(self):
        """Our side, bench/rust, built when a case first asks for it."""
        subprocess.run(["cargo", "build", "--locked", "--release", "-q", "-p", "gpt_lab_bench"], cwd=ROOT, check=True)
        return ROOT / "target" / "release" / "gpt_lab_bench"

    def prepare(self, *arguments):
        """Has our side write what both sides work on."""
        subprocess.run([self.program, *map(str, arguments)], cwd=ROOT, check=True)

    def ours(self, *arguments, **env):
        """Runs our side and reads what it measured."""
        return self.json_from([self.program, *arguments], **env)

    def json_from(self, command, **env):
        """Runs a command and reads the JSON object on the last line that it prints."""
        done = subprocess.run([str(part) for part in command], cwd=ROOT, env={**os.environ, **env},
                              stdout=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit(f"bench: {' '.join(map(str, command))} ended with status {done.returncode}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    def in_turn(self, **sides):
        """Calls each function once a round, one after the other, so that both meet the same noise; all results by name."""
        results = {name: [] for name in sides}
        for _ in range(self.rounds):
            for name, side in sides.items():
                results[name].append(side())
        return results


def load_case(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(results):
    lines = ["| what | gpt_lab | the other | ratio (above 1: gpt_lab is better) | compared with |", "|---|---|---|---|---|"]
    for rows in results["cases"].values():
        for r in rows:
            ratio = "–" if r["ratio"] is None else f"{r['ratio']:.2f}"
            note = f"; {r['note']}" if r["note"] else ""
            lines.append(f"| {r['what']} | {number(r['ours'])} {r['unit']} | {number(r['theirs'])} {r['unit']} "
                         f"| {ratio} | {r['than']}{note} |")
    lines += ["", "Medians, measured on:", ""]
    for case, machine in results["machines"].items():
        lines.append(f"- `{case}`: {machine['cpu']}, {machine['threads']} threads, {machine['system']}; {machine['date']}")
    return "\n".join(lines)


def machine(bench):
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    system, date = platform.platform(terse=True), time.strftime("%Y-%m-%d")
    return {"cpu": cpu, "threads": bench.threads, "system": system, "date": date}


def write(results):
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "RESULTS.md").write_text(f"# Benches\n\nWritten by `make bench`.\n\n{table(results)}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help="names of files in bench/cases; all by default")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    bench = Bench(args.rounds)
    paths = sorted((HERE / "cases").glob("*.py"))
    unknown = set(args.cases) - {p.stem for p in paths}
    if unknown:
        sys.exit(f"bench: no such case: {', '.join(sorted(unknown))}; there are {', '.join(p.stem for p in paths)}")
    file = HERE / "results.json"
    results = json.loads(file.read_text()) if file.exists() else {"cases": {}, "machines": {}}
    for path in paths:
        if not args.cases or path.stem in args.cases:
            print(f"bench: {path.stem}", flush=True)
            results["cases"][path.stem] = load_case(path).run(bench)
            results["machines"][path.stem] = machine(bench)
            write(results)
    print(table(results))


if __name__ == "__main__":
    main()
