"""Cold `make setup` in a fresh clone: everything compiled from nothing, Rust crates and wheels from their caches if there."""
import shutil
import subprocess
import time

from run import ROOT, row


def run(bench):
    clone = bench.work / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(["git", "clone", "-q", ROOT, clone], check=True)
    cold, again = (timed_setup(clone) for _ in range(2))
    shutil.rmtree(clone, ignore_errors=True)
    return [row("`make setup`, cold", cold / 60, None, "min", "aim 8 min", "lower"),
            row("`make setup`, again", again, None, "s", "aim: seconds", "lower")]


def timed_setup(folder):
    start = time.perf_counter()
    subprocess.run(["make", "setup"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start
