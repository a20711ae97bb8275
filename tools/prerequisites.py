"""What a machine must have before anything is built. Each problem is one sentence that says how to cure it.

`make setup` imports this file. `gpt-lab doctor` runs it and reads the JSON that it prints:

    python3 prerequisites.py ROOT RUST_VERSION
"""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

FRESH_GB = 6.0  # what a set-up from nothing writes: crates, two target folders, the virtual environment
AGAIN_GB = 1.0
MIN_PYTHON = (3, 10)


def required_rust(root):
    """The `rust-version` of the workspace, as numbers: `(1, 95)`."""
    text = (Path(root) / "Cargo.toml").read_text()
    return tuple(int(n) for n in re.search(r'rust-version = "([\d.]+)"', text).group(1).split("."))


def ask(command, cwd):
    """A command's output, or None if it cannot be run."""
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def rust_problems(root, need):
    """`need`: the oldest Rust that compiles the lab."""
    if shutil.which("cargo") is None:
        yield "cargo was not found: install Rust from https://rustup.rs, open a new terminal and try again."
        return
    out = ask(["rustc", "--version"], root)
    found = re.search(r"rustc (\d+)\.(\d+)", out or "")
    if not found:
        yield "rustc does not run (`rustc --version` fails): install Rust from https://rustup.rs or run `rustup default stable`."
        return
    if (int(found[1]), int(found[2])) < need[:2]:
        wanted = ".".join(map(str, need))
        yield f"rustc {found[1]}.{found[2]} is too old, {wanted} or newer is needed: run `rustup update stable`."


def linker_problems():
    if shutil.which("cc") is None:
        yield (
            "no C linker (`cc`) was found, and Rust cannot link without one: install a C compiler "
            "(Debian, Ubuntu: `sudo apt-get install gcc libc6-dev`; Fedora: `sudo dnf install gcc`)."
        )


def python_problems():
    if sys.version_info[:2] < MIN_PYTHON:
        wanted = ".".join(map(str, MIN_PYTHON))
        yield f"Python {sys.version.split()[0]} is too old for JupyterLab: use {wanted} or newer, `make setup PYTHON=python3.12` for instance."
        return
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        yield (
            f"{sys.executable} cannot make virtual environments (module venv or ensurepip is missing): "
            "install it (Debian, Ubuntu: `sudo apt-get install python3-venv`)."
        )


def disk_problems(root, ready):
    need = AGAIN_GB if ready else FRESH_GB
    free = shutil.disk_usage(root).free / 1e9
    if free < need:
        yield f"only {free:.1f} GB are free on the disk of {root}, about {need:.0f} GB are needed: make room and try again."


def is_ready(root):
    """Whether an earlier set-up was finished."""
    return (Path(root) / ".lab/base").exists() and (Path(root) / "target/kernel/gpt_lab_kernel").exists()


def problems(root):
    """All that stands in the way, in the order in which to cure it."""
    disk = disk_problems(root, is_ready(root))
    return [*rust_problems(root, required_rust(root)), *linker_problems(), *python_problems(), *disk]


def has_rust_sources(root):
    """Whether the component rust-src is there: rust-analyzer reads it for types and completion."""
    sysroot = (ask(["rustc", "--print", "sysroot"], root) or "").strip()
    return (Path(sysroot) / "lib/rustlib/src/rust/library/core/src/lib.rs").exists()


NO_RUST_SOURCES = (
    "Rust's own sources are not installed, and completion by Tab needs them: "
    "run `rustup component add rust-src`, or install your distribution's package of that name."
)


def report(root, need):
    """An entry for each prerequisite: its name, what was found, the problems with their cures, and what is only a warning."""
    python = f"Python {sys.version.split()[0]}, {sys.executable}"
    free = f"{shutil.disk_usage(root).free / 1e9:.1f} GB free"
    sources = has_rust_sources(root)
    return [
        entry("rustc", ask(["rustc", "--version"], root), rust_problems(root, need)),
        entry("rust-src", "found" if sources else None, warnings=[] if sources else [NO_RUST_SOURCES]),
        entry("linker", ask(["cc", "--version"], root), linker_problems()),
        entry("python3", python, python_problems()),
        entry("disk", free, disk_problems(root, is_ready(root))),
    ]


def entry(what, found, problems=(), warnings=()):
    lines = (found or "").strip().splitlines() or ["not found"]
    return {"what": what, "found": lines[0], "problems": list(problems), "warnings": list(warnings)}


if __name__ == "__main__":
    root, rust = sys.argv[1:]
    print(json.dumps(report(root, tuple(int(n) for n in rust.split(".")))))
