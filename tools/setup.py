#!/usr/bin/env python3
"""Builds everything that JupyterLab needs to run the lessons: `make setup`.

Five steps: Python packages into .venv (while cargo works), crates, the kernel and, beside it, gpt_lab as cells use it, and
the kernelspec. Each step finds out for itself whether there is anything to do, so a second run takes seconds and an
interrupted one goes on where it stopped. Completion by Tab is built after that, in the background: it takes as long as
all the rest, and the lessons can begin without it. Standard library only: this runs before anything is installed.
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

import prerequisites
from progress import Board

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STATE = ROOT / ".lab"
TARGET = ROOT / "target"
KERNEL = TARGET / "kernel" / "gpt_lab_kernel"
PREPARE = TARGET / "kernel" / "gpt_lab_prepare"
ASSIST = TARGET / "kernel" / "gpt_lab_assist"
STAMP = VENV / ".gpt_lab-requirements"

NETWORK_SIGNS = re.compile(
    r"could not resolve host|temporary failure in name resolution|failed to establish a new connection|"
    r"couldn't connect|connection refused|max retries exceeded|network is unreachable|failed to download|"
    r"download of .* failed|connection timed out|proxyerror|name or service not known|"
    r"could not find a version that satisfies",
    re.IGNORECASE,
)
STOPPED = "another step failed"
# Seconds that the long steps take on two cores, for the time that is left; the last of many crates takes a fifth of each.
WEIGHTS = {"kernel": 65, "cells": 180}
LAST_CRATE = 0.8
DISK_SIGNS = re.compile(r"no space left on device|disk quota exceeded", re.IGNORECASE)


class SetupError(Exception):
    """One sentence for the learner, and where to read more."""


class Runner:
    """Starts the commands of the set-up and can end them all."""

    def __init__(self):
        self.lock = threading.Lock()
        self.running = set()
        self.ended = False

    def run(self, command, log_name, say, env=None):
        """Runs a command, hands each line it prints to `say`, keeps all of them in .lab/log/NAME.log."""
        log_path = STATE / "log" / f"{log_name}.log"
        log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.lock:
            if self.ended:
                raise SetupError(STOPPED)
            process = subprocess.Popen(
                [str(part) for part in command], cwd=ROOT, env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            )
            self.running.add(process)
        try:
            with open(log_path, "w", encoding="utf-8") as log:
                for line in lines_of(process.stdout):
                    if not line.lstrip().startswith("Building ["):
                        log.write(line + "\n")
                    say(line)
            code = process.wait()
        finally:
            with self.lock:
                self.running.discard(process)
        if code != 0 and self.ended:
            raise SetupError(STOPPED)
        if code != 0:
            raise failure(command, code, log_path)

    def end(self):
        """Ends whatever still runs, with all its children."""
        with self.lock:
            self.ended = True
            for process in self.running:
                try:
                    os.killpg(process.pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass


def lines_of(stream):
    """Lines ended by a newline or, as progress bars do, by a carriage return."""
    rest = b""
    while chunk := stream.read1(65536):
        *lines, rest = re.split(rb"[\r\n]+", rest + chunk)
        yield from (line.decode("utf-8", "replace") for line in lines if line.strip())
    if rest.strip():
        yield rest.decode("utf-8", "replace")


def failure(command, code, log_path):
    """The sentence for a command that failed."""
    text = log_path.read_text(encoding="utf-8")
    name = Path(str(command[0])).name
    shown = os.path.relpath(log_path, ROOT)
    if DISK_SIGNS.search(text):
        return SetupError(f"the disk is full (`{name}` could not write, see {shown}): make room and run `make setup` again.")
    if NETWORK_SIGNS.search(text):
        return SetupError(
            f"`{name}` could not download what it needs (see {shown}): connect this machine to the network, or set "
            "HTTPS_PROXY if it needs a proxy, and run `make setup` again."
        )
    tail = "\n".join("    " + line for line in text.splitlines()[-25:])
    how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
    return SetupError(f"`{name}` {how}; the end of {shown}:\n{tail}")


def cargo_say(step):
    """Turns cargo's progress line into `143 of 341 crates, now ra_ap_hir`, and the kernel's about cells likewise."""

    def say(line):
        found = re.search(r"Building \[.*\] (\d+)/(\d+): (.*)|(\d+) of at most (\d+): ", line)
        if found:
            made, all_ = int(found[1] or found[4]), int(found[2] or found[5])
            step.done(LAST_CRATE * made / all_)
        if found and found[3]:
            step.say(f"{made} of {all_} crates, now {found[3]}")
        else:
            step.say(line.strip()[:80])

    return say


def cargo_env():
    width = "160"
    return {"CARGO_TERM_PROGRESS_WHEN": "always", "CARGO_TERM_PROGRESS_WIDTH": width, "CARGO_TERM_COLOR": "never"}


def requirements_stamp():
    """Changes when the pins, the Python or the place of the project change."""
    files = [ROOT / "tools/requirements-lab.txt", ROOT / "tools/constraints.txt"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files))
    digest.update(f"{sys.version}{VENV}".encode())
    return digest.hexdigest()


def python_packages(board, runner):
    """Step 1: the virtual environment with JupyterLab, and how JupyterLab is to behave."""
    with board.step(1, "Python packages") as step:
        stamp = requirements_stamp()
        if STAMP.exists() and STAMP.read_text() == stamp and (VENV / "bin/jupyter").exists():
            step.say("nothing to do")
        else:
            STAMP.unlink(missing_ok=True)
            pip = [VENV / "bin/python", "-m", "pip", "--disable-pip-version-check", "--no-input"]
            step.say("making .venv")
            runner.run([sys.executable, "-m", "venv", "--clear", VENV], "venv", step.say)
            pinned = ["-c", ROOT / "tools/constraints.txt"] if sys.version_info >= (3, 11) else []
            runner.run([*pip, "install", "-r", ROOT / "tools/requirements-lab.txt", *pinned], "pip", lambda line: step.say(line[:80]))
            STAMP.write_text(stamp)
        configure_jupyter()


def configure_jupyter():
    """No news, no update questions, our kernel first; pictures of several MB may pass."""
    server = {
        "MultiKernelManager": {"default_kernel_name": "gpt_lab"},
        "ZMQChannelsWebsocketConnection": {"iopub_data_rate_limit": 1e8, "iopub_msg_rate_limit": 1e4},
        "LabApp": {"news_url": None, "check_for_updates_class": "jupyterlab.NeverCheckForUpdate"},
    }
    settings = {
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
        "@jupyterlab/docmanager-extension:plugin": {"autosaveInterval": 60},
    }
    write_json(VENV / "etc/jupyter/jupyter_server_config.json", server)
    write_json(VENV / "share/jupyter/lab/settings/overrides.json", settings)


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def rust_sources(board, step, runner):
    """Adds rust-src where rustup can; otherwise rust-analyzer would try to, silently, in the learner's first cell."""
    if prerequisites.has_rust_sources(ROOT) or shutil.which("rustup") is None:
        return
    try:
        runner.run(["rustup", "component", "add", "rust-src"], "rust-src", step.say)
    except SetupError:
        board.line(f"Warning: {prerequisites.NO_RUST_SOURCES}")


def cargo_build(package):
    return ["cargo", "build", "--locked", "--profile", "kernel", "-p", package, "--target-dir", TARGET]


def crates(board, runner):
    """Step 2: the crates of Cargo.lock, and the small program that can build those of the cells before there is a kernel."""
    host = prerequisites.ask(["rustc", "--print", "host-tuple"], ROOT)
    target = ["--target", host.strip()] if host else []
    with board.step(2, "crates") as step:
        rust_sources(board, step, runner)
        runner.run(["cargo", "fetch", "--locked", *target], "cargo-fetch", cargo_say(step), cargo_env())
        runner.run(cargo_build("gpt_lab_prepare"), "cargo-prepare", cargo_say(step), cargo_env())


def kernel_binary(board, runner):
    """Step 3: the kernel. It has time until the crates of the cells are there, which one core alone builds at the end."""
    with board.step(3, "the kernel", WEIGHTS["kernel"]) as step:
        runner.run(["nice", "-n", "5", *cargo_build("gpt_lab_kernel")], "cargo-build", cargo_say(step), cargo_env())


def crates_of_cells(board, runner):
    """Step 4: the crates that cells use."""
    with board.step(4, "gpt_lab for the cells", WEIGHTS["cells"]) as step:
        runner.run([PREPARE], "prepare-crates", cargo_say(step), cargo_env())


def install_kernel(board, runner):
    """Step 5: the kernelspec in .venv, and what the kernel itself has to say about the crates of the cells."""
    with board.step(5, "kernelspec") as step:
        runner.run([KERNEL, "install", "--prefix", VENV], "kernelspec", lambda line: None)
        runner.run([KERNEL, "prepare"], "prepare", cargo_say(step), cargo_env())


def assist(board, runner):
    """Completion and documentation: a program of its own, built while the learner has begun already."""
    command = cargo_build("gpt_lab_assist")
    if os.environ.get("CI"):
        with board.step(6, "completion") as step:
            return runner.run(command, "cargo-assist", cargo_say(step), cargo_env())
    is_new = not ASSIST.exists()
    with open(STATE / "log" / "cargo-assist.log", "w", encoding="utf-8") as log:
        subprocess.Popen(
            ["nice", "-n", "15", *[str(part) for part in command]], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )
    if is_new:
        board.line("Ready. Completion by Tab follows in some minutes; it is being built in the background.")
    return None


def built(board, runner):
    """Steps 2 to 4."""
    crates(board, runner)
    together(board, runner, kernel_binary, crates_of_cells)


def together(board, runner, *parts):
    """Does these at the same time; the first that fails ends the others."""
    with ThreadPoolExecutor(max_workers=len(parts)) as pool:
        work = [pool.submit(part, board, runner) for part in parts]
        try:
            wait(work, return_when=FIRST_EXCEPTION)
        finally:
            if not all(future.done() and future.exception() is None for future in work):
                runner.end()
        failed = [future.exception() for future in work if future.exception() is not None]
        if failed:
            raise next((error for error in failed if str(error) != STOPPED), failed[0])


def set_up(board, runner):
    """All steps; Python packages are fetched while cargo works."""
    together(board, runner, python_packages, built)
    install_kernel(board, runner)
    assist(board, runner)


def locked():
    """Held while a set-up runs; a second one waits for the first."""
    STATE.mkdir(exist_ok=True)
    lock = open(STATE / "setup.lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another set-up of this folder is running; waiting for it …", file=sys.stderr)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def check():
    """Prints every problem and warning; the exit code."""
    found = prerequisites.problems(ROOT)
    for problem in found:
        print(f"Problem: {problem}", file=sys.stderr)
    if not found and not prerequisites.has_rust_sources(ROOT) and shutil.which("rustup") is None:
        print(f"Warning: {prerequisites.NO_RUST_SOURCES}", file=sys.stderr)
    return 1 if found else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only look whether this machine has what is needed")
    arguments = parser.parse_args()
    if check():
        return 1
    if arguments.check:
        return 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lock, board, runner = locked(), Board(6 if os.environ.get("CI") else 5, sum(WEIGHTS.values())), Runner()
    try:
        set_up(board, runner)
    except SetupError as error:
        board.close()
        print(f"Set-up stopped: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        runner.end()
        board.close()
        print("Interrupted. What is finished is kept: `make setup` goes on from there.", file=sys.stderr)
        return 130
    finally:
        runner.end()
        lock.close()
    board.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
