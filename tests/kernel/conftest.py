"""Kernels for tests. Starting one takes seconds, so a file of tests shares one unless a test spoils it."""

import pytest
from client import KERNEL, STATE, Lab

# What a cell needs to speak docs/channel.md by itself, so that these tests hold the kernel to the contract and not to gpt_lab.
CHANNEL = r'''
fn send_marked(line: &str) {
    send(&line.replacen('{', r#"{"marked":true,"#, 1));
    println!("{}", std::env::var("GPT_LAB_MARK").expect("GPT_LAB_MARK is not set"));
}
fn send(line: &str) {
    use std::io::Write;
    static PIPE: std::sync::Mutex<Option<std::fs::File>> = std::sync::Mutex::new(None);
    std::io::stdout().flush().unwrap();
    let mut pipe = PIPE.lock().unwrap();
    let pipe = pipe.get_or_insert_with(|| {
        let path = std::env::var("GPT_LAB_CHANNEL").expect("GPT_LAB_CHANNEL is not set");
        std::fs::OpenOptions::new().write(true).open(path).expect("the channel cannot be opened")
    });
    pipe.write_all(line.as_bytes()).unwrap();
    pipe.write_all(b"\n").unwrap();
}
fn stopped() -> bool {
    std::path::Path::new(&std::env::var("GPT_LAB_INTERRUPT").expect("GPT_LAB_INTERRUPT is not set")).exists()
}
fn nap(milliseconds: u64) {
    std::thread::sleep(std::time::Duration::from_millis(milliseconds));
}
'''


@pytest.fixture(scope="session", autouse=True)
def built():
    """Without a set-up there is nothing to test."""
    if not KERNEL.exists() or not (STATE / "base").exists():
        pytest.exit("run `make setup` first: the kernel or its session directory is missing", returncode=2)


@pytest.fixture(scope="module")
def shared():
    """One kernel for the tests of a file, with the helpers of CHANNEL loaded."""
    lab = Lab()
    lab.run(CHANNEL).ok()
    yield lab
    lab.stop()


@pytest.fixture
def lab(shared):
    """The file's kernel, as it should be: alive and able to run a cell."""
    yield shared
    after = shared.run("40 + 2")
    assert after.results and after.results[0]["data"]["text/plain"] == "42", f"the kernel was spoiled by this test:\n{after}"


@pytest.fixture
def fresh():
    """A kernel of its own, for tests that kill or restart."""
    lab = Lab()
    lab.run(CHANNEL).ok()
    yield lab
    if lab.manager.is_alive():
        lab.stop()
