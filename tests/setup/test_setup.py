"""Every missing prerequisite is one clear sentence with its cure; an interrupted set-up can be run again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import prerequisites  # noqa: E402
import progress  # noqa: E402
import setup  # noqa: E402


@pytest.fixture
def path(tmp_path):
    """A folder that is the whole PATH, with the tools that a test leaves in."""
    folder = tmp_path / "bin"
    folder.mkdir()

    def keep(*names):
        for name in names:
            (folder / name).symlink_to(shutil.which(name))
        return folder

    return keep


def check(bin_folder):
    """`setup.py --check` with this PATH: exit code and what it said."""
    done = subprocess.run(
        [sys.executable, ROOT / "tools/setup.py", "--check"], env={**os.environ, "PATH": str(bin_folder)},
        capture_output=True, text=True, timeout=60,
    )
    return done.returncode, done.stderr


def script(folder, name, text):
    file = folder / name
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def one_sentence(said, *words):
    """Exactly one problem, and it names what is wrong and what to do."""
    lines = said.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("Problem: "), said
    for word in words:
        assert word in lines[0], f"{word!r} is not in: {lines[0]}"


def test_a_good_machine_has_no_problem(path):
    code, said = check(path("cargo", "rustc", "cc"))
    assert code == 0, said


def test_no_cargo(path):
    code, said = check(path("cc"))
    assert code != 0
    one_sentence(said, "cargo", "https://rustup.rs")


def test_a_toolchain_that_is_too_old(path):
    folder = path("cargo", "cc")
    script(folder, "rustc", 'echo "rustc 1.80.1 (3f5fd8dd4 2024-08-06)"')
    code, said = check(folder)
    assert code != 0
    one_sentence(said, "1.80", "1.95", "rustup update")


def test_a_rustc_that_does_not_run(path):
    folder = path("cargo", "cc")
    script(folder, "rustc", 'echo "error: no default toolchain" >&2; exit 1')
    code, said = check(folder)
    assert code != 0
    one_sentence(said, "rustc does not run", "rustup")


def test_no_linker(path):
    code, said = check(path("cargo", "rustc"))
    assert code != 0
    one_sentence(said, "cc", "apt-get install gcc")


@pytest.mark.parametrize("module", ["venv", "ensurepip"])
def test_no_venv(monkeypatch, module):
    monkeypatch.setitem(sys.modules, module, None)
    real = prerequisites.importlib.util.find_spec
    monkeypatch.setattr(prerequisites.importlib.util, "find_spec", lambda name: None if name == module else real(name))
    (problem,) = prerequisites.python_problems()
    assert "python3-venv" in problem


def test_a_python_that_is_too_old(monkeypatch):
    monkeypatch.setattr(prerequisites, "MIN_PYTHON", (9, 0))
    (problem,) = prerequisites.python_problems()
    assert "too old" in problem and "PYTHON=" in problem


def test_no_disk_space(monkeypatch):
    usage = shutil.disk_usage(ROOT)
    monkeypatch.setattr(prerequisites.shutil, "disk_usage", lambda _: usage._replace(free=2_000_000_000))
    (problem,) = prerequisites.disk_problems(ROOT, ready=False)
    assert "2.0 GB" in problem and "make room" in problem
    assert not list(prerequisites.disk_problems(ROOT, ready=True)), "a finished set-up needs less"


def runner_error(command, name, env):
    with pytest.raises(setup.SetupError) as error:
        setup.Runner().run(command, name, lambda line: None, env)
    return str(error.value)


@pytest.fixture
def state(monkeypatch, tmp_path):
    """Logs of these tests do not overwrite the learner's."""
    monkeypatch.setattr(setup, "STATE", tmp_path)


def test_no_network_for_cargo(state, tmp_path):
    env = {
        "CARGO_HOME": str(tmp_path / "cargo"), "CARGO_NET_RETRY": "0", "CARGO_HTTP_PROXY": "127.0.0.1:9",
        "RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup")),
    }
    said = runner_error(["cargo", "fetch", "--locked"], "no-network-cargo", env)
    assert "could not download" in said and "HTTPS_PROXY" in said, said


def test_no_network_for_pip(state, tmp_path):
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    env = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_FIND_LINKS": "", "PIP_NO_CACHE_DIR": "1"}
    said = runner_error([folder / "bin/pip", "install", "jupyterlab==4.6.6"], "no-network-pip", env)
    assert "could not download" in said, said


def test_a_full_disk_while_working_is_named(state):
    said = runner_error(["sh", "-c", "echo 'error: No space left on device (os error 28)'; exit 101"], "full", None)
    assert "disk is full" in said


def test_another_failure_shows_the_end_of_the_log(state):
    said = runner_error(["sh", "-c", "echo first; echo error: it broke >&2; exit 7"], "broke", None)
    assert "exit code 7" in said and "error: it broke" in said


def test_progress_lines_without_a_terminal(capsys):
    board = progress.Board(2, stream=sys.stdout)
    with board.step(1, "one thing") as step:
        step.say("half of it")
    with pytest.raises(ValueError), board.step(2, "another"):
        raise ValueError
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["[1/2] one thing …", "[1/2] one thing · 0 s · done", "[2/2] another …", "[2/2] another · 0 s · failed"]


def test_cargos_progress_is_translated():
    said = []
    step = type("Step", (), {"say": staticmethod(said.append), "done": staticmethod(lambda share: None)})
    setup.cargo_say(step)("    Building [====>     ] 143/341: ra_ap_hir, salsa     ")
    assert said == ["143 of 341 crates, now ra_ap_hir, salsa     "] or said == ["143 of 341 crates, now ra_ap_hir, salsa"]


@pytest.mark.timeout(400)
def test_a_second_run_takes_seconds():
    started = time.monotonic()
    done = subprocess.run(["make", "setup"], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    took = time.monotonic() - started
    assert took < 15, f"{took:.1f} s\n{done.stderr}"


@pytest.mark.timeout(400)
def test_an_interrupted_set_up_can_be_run_again(tmp_path):
    """Ended while the virtual environment is half made; the next run makes it whole."""
    stamp = ROOT / ".venv/.gpt_lab-requirements"
    assert stamp.exists(), "run `make setup` first"
    process = subprocess.Popen(
        [sys.executable, ROOT / "tools/setup.py"], cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    process.stderr.readline()  # the first step has begun
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in (0, 130), process.returncode
    assert subprocess.run([sys.executable, ROOT / "tools/setup.py"], cwd=ROOT, timeout=300).returncode == 0


def test_make_help_lists_the_commands():
    said = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for command in ("setup", "lab", "check", "test", "test-kernel", "test-lessons", "notebooks"):
        assert f"make {command}" in said


def test_the_time_left_comes_from_the_pace_so_far(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    board = progress.Board(2, weight=200, stream=open(os.devnull, "w"))
    with board.step(1, "one", 100) as step:
        now[0] += 10
        step.done(0.5)
        assert board.left() == "", "too early to tell"
        now[0] += 40
        assert board.left() == " · about 2 min left"
    with board.step(2, "two", 100) as step:
        now[0] += 100
        step.done(0.8)
        assert board.left() == " · less than a minute left"
    assert board.left() == ""
