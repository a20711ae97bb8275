"""Kernels are started, restarted, killed at any place: nothing hangs, nothing is spoiled, nothing is left behind."""

import hashlib
import os
import shutil
import signal
import subprocess
import time

import psutil
import pytest
from client import KERNEL, ROOT, STATE, Lab, cmdline, eventually, sessions

LEFT = 5.0  # seconds in which everything of a dead kernel must be gone


def nothing_is_left(lab, before):
    """No process of this kernel and no session directory that was not there before."""
    eventually(
        lambda: not lab.processes(), LEFT, lambda: f"processes left: {[cmdline(p)[:3] for p in lab.processes()]}"
    )
    eventually(lambda: sessions() <= before, LEFT, lambda: f"session directories left: {sessions() - before}")


@pytest.fixture
def before():
    """The session directories of others, who may be at work in this project too."""
    return sessions()


def test_shutdown_leaves_nothing(before):
    lab = Lab()
    lab.run("let a = 1;").ok()
    lab.stop()
    nothing_is_left(lab, before)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_relay_that_is_ended_leaves_nothing(before, name):
    lab = Lab()
    cell = lab.start('println!("up"); loop { std::thread::sleep(std::time::Duration::from_secs(1)); }')
    lab.wait(lambda: "up" in cell.stdout, 60, cell)
    lab.relay().send_signal(getattr(signal, name))
    nothing_is_left(lab, before)
    lab.stop(now=True)


def test_a_kernel_killed_before_it_is_ready_leaves_nothing(before):
    lab = Lab()  # answers kernel_info at once and is still preparing
    lab.relay().kill()
    nothing_is_left(lab, before)
    lab.stop(now=True)


PROCESSES = {"engine": Lab.inner, "cells": Lab.cell_process}


def the_next_cell_works(lab):
    """Perhaps after one that tells the learner what was lost."""
    told = lab.run("1 + 1")
    if told.status == "error":
        told = lab.run("1 + 1")
    assert told.ok().results[0]["data"]["text/plain"] == "2"


@pytest.mark.parametrize("process", PROCESSES)
def test_killing_a_process_ends_the_cell_and_the_next_works(before, process):
    lab = Lab()
    cell = lab.start('println!("up"); loop { std::thread::sleep(std::time::Duration::from_secs(1)); }')
    lab.wait(lambda: "up" in cell.stdout, 60, cell)
    PROCESSES[process](lab).kill()
    lab.wait(lambda: cell.done, 10, cell)
    assert cell.status == "error" and "variables" in str(cell.errors), cell
    assert lab.run("1 + 1").ok().results[0]["data"]["text/plain"] == "2"
    lab.stop()
    nothing_is_left(lab, before)


@pytest.mark.parametrize("process", PROCESSES)
def test_killing_a_process_between_cells(before, process):
    lab = Lab()
    lab.run("let lost = 1;").ok()
    killed = PROCESSES[process](lab)
    killed.kill()
    eventually(lambda: not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE, 5, "it lives")
    the_next_cell_works(lab)
    lab.stop()
    nothing_is_left(lab, before)


def test_killing_the_compiler_is_an_error_and_the_next_works(before):
    lab = Lab()
    lab.run("let kept = 3;").ok()
    slow = "\n".join(f"fn f{i}(x: u64) -> u64 {{ (0..x).flat_map(|a| (0..a).zip(a..)).map(|(a, b)| a * b + {i}).sum() }}" for i in range(500))
    # The mark makes it a cell that nobody has compiled before.
    cell = lab.start(f"// {lab.mark}\n{slow}\n" + "+".join(f"f{i}(2)" for i in range(500)))

    def found():
        for p in lab.processes():
            words = cmdline(p)
            if words and os.path.basename(words[0]) == "rustc" and "cell" in words:
                return p

    eventually(lambda: found() or cell.done, 60, "no rustc was seen")
    victim = found()
    assert victim is not None, "the cell was done before rustc was seen"
    victim.kill()
    lab.wait(lambda: cell.done, 60, cell)
    assert cell.status == "error", cell
    assert lab.run("kept").ok().results[0]["data"]["text/plain"] == "3"
    lab.stop()
    nothing_is_left(lab, before)


def test_restart_under_load(before):
    lab = Lab()
    cell = lab.start('let n = 0; loop { println!("{n}"); }')
    lab.wait(lambda: len(cell.stdout) > 10_000, 60, "nothing was printed")
    lab.restart()
    fresh = lab.run("1 + 1").ok()
    assert fresh.results[0]["data"]["text/plain"] == "2"
    lab.stop()
    nothing_is_left(lab, before)


def test_restart_while_compiling(before):
    lab = Lab()
    lab.start("let a = 1;")
    lab.restart(now=True)
    assert lab.run("1 + 1").ok()
    lab.stop()
    nothing_is_left(lab, before)


@pytest.mark.timeout(600)
def test_ten_restarts_in_a_row(before):
    lab = Lab()
    for turn in range(10):
        lab.restart(now=turn % 2 == 1)
    started = time.monotonic()
    lab.run("2 + 2").ok()
    took = time.monotonic() - started
    eventually(
        lambda: len({name.removesuffix(".lock") for name in sessions() - before}) == 1, LEFT,
        lambda: f"session directories pile up: {sessions() - before}",
    )
    assert took < 60, f"the first cell after ten restarts took {took:.0f} s"
    lab.stop()
    nothing_is_left(lab, before)


def test_two_kernels_at_once_do_not_disturb_each_other(before):
    one, two = Lab(), Lab()
    for lab, value in [(one, 1), (two, 2)]:
        lab.run(f"let mine = {value};").ok()
    cells = [(lab, lab.start("std::thread::sleep(std::time::Duration::from_millis(500)); mine * 10")) for lab in (one, two)]
    for (lab, cell), wanted in zip(cells, ("10", "20")):
        lab.wait(lambda cell=cell: cell.done, 60, cell)
        assert cell.ok().results[0]["data"]["text/plain"] == wanted
    one.stop(now=True)
    assert two.run("mine").ok().results[0]["data"]["text/plain"] == "2"
    two.stop()
    nothing_is_left(one, before)
    nothing_is_left(two, before)


def test_a_directory_left_by_a_dead_kernel_is_removed_by_the_next(before):
    dead = STATE / "sessions" / "left-over-by-a-test"
    dead.mkdir(parents=True)
    (dead / "junk").write_text("x" * 100)
    lock = dead.with_suffix(".lock")
    lock.touch()
    lab = Lab()
    lab.run("1").ok()
    lab.stop()
    assert not dead.exists() and not lock.exists(), "garbage is not collected"


def fingerprint(folder):
    """Names, contents and times of all files below."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink() and path.name != "lock":
            digest.update(str(path.relative_to(folder)).encode())
            digest.update(str(path.stat().st_mtime_ns).encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


@pytest.mark.timeout(1800)
def test_what_sessions_share_is_never_written_even_when_a_learner_edits_gpt_lab(tmp_path):
    """In a copy of the project, where the edit hurts nobody: the kernel is told of the copy by its environment."""
    copy = tmp_path / "project"
    copy.mkdir()
    # Every member of the workspace, since cargo wants to see them all.
    for name in ("gpt_lab", "cpu", "cli", "world", "bench", "Cargo.toml", "Cargo.lock", "kernel", "notebooks"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, copy_function=shutil.copy2)
        elif source.exists():
            shutil.copy2(source, copy / name)
    (copy / "notebooks").mkdir(exist_ok=True)
    # Of what the project has built all but gpt_lab itself is good for the copy too.
    (copy / ".lab").mkdir()
    subprocess.run(["cp", "-a", ROOT / ".lab/base", copy / ".lab/base"], check=True)
    env = {"GPT_LAB_ROOT": str(copy), "GPT_LAB_STATE": str(copy / ".lab")}
    subprocess.run([KERNEL, "prepare"], env={**os.environ, **env}, cwd=copy, check=True, timeout=1200)
    (base,) = (copy / ".lab/base").iterdir()
    before = fingerprint(base)
    lab = Lab(argv=[str(KERNEL), "--connection-file", "{connection_file}"], env=env, cwd=copy / "notebooks")
    lab.run("let a = vec![1.0f32; 3];").ok()
    files = copy / "gpt_lab/src/core/files.rs"
    files.write_text(files.read_text() + "\n/// Added by a learner.\npub fn added_by_a_learner() -> u32 {\n    77\n}\n")
    root = copy / "gpt_lab/src/lib.rs"
    root.write_text(root.read_text() + "\npub use crate::core::files::added_by_a_learner;\n")
    lab.restart()
    cell = lab.run("gpt_lab::added_by_a_learner()", timeout=600)
    assert cell.ok().results[0]["data"]["text/plain"] == "77", "the edited crate is used"
    lab.stop()
    bases = [folder for folder in (copy / ".lab/base").iterdir() if folder.name != "new"]
    assert base not in bases or fingerprint(base) == before, "the new one wrote through to the old one"


