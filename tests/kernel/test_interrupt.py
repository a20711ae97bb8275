"""Stop means stop, and nothing is lost that need not be."""

import time

from test_errors import plain

TRAIN = """let mut steps = 0;
for _ in 0..100_000 {
    if stopped() { break; }
    steps += 1;
    if steps == 1 { println!("training"); }
    nap(10);
}
let model = vec![0.5f32; 1000];"""


def begin(lab, code, until="", queue=()):
    """Starts a cell, and others behind it, and waits until it has printed `until`."""
    cell = lab.start(code)
    later = [lab.start(other) for other in queue]
    lab.wait(lambda: (until and until in cell.stdout) or cell.done, 60, cell)
    assert not cell.done, f"ended by itself:\n{cell}"
    return cell, later


def stopped(cell):
    assert cell.status == "error", f"an interrupted cell must end with an error:\n{cell}"
    assert cell.errors and cell.errors[0]["ename"] == cell.reply["ename"] == "Interrupted", cell
    return cell.errors[0]["evalue"] + plain(cell.errors[0]["traceback"])


def test_a_training_loop_stops_within_2_seconds_and_keeps_everything(lab):
    lab.run("let earlier = 11;").ok()
    cell, later = begin(lab, TRAIN, "training", queue=['println!("queued")'])
    pressed = time.monotonic()
    assert lab.interrupt()["status"] == "ok"
    lab.wait(lambda: cell.done and later[0].done, 30, cell)
    assert time.monotonic() - pressed < 2, f"took {time.monotonic() - pressed:.1f} s"
    stopped(cell)
    assert later[0].status == "aborted" and not later[0].stdout
    kept = lab.run("(earlier, steps > 0, model.len())").ok()
    assert kept.results[0]["data"]["text/plain"] == "(11, true, 1000)", "variables of the interrupted cell are kept"


def test_the_flag_is_gone_in_the_next_cell(lab):
    cell, _ = begin(lab, TRAIN, "training")
    lab.interrupt()
    lab.wait(lambda: cell.done, 30, cell)
    assert lab.run("stopped()").ok().results[0]["data"]["text/plain"] == "false"


def test_an_interrupt_while_nothing_runs_does_no_harm(lab):
    assert lab.interrupt()["status"] == "ok"
    assert lab.run("stopped()").ok().results[0]["data"]["text/plain"] == "false"


def test_an_endless_loop_is_killed_after_the_grace_time_and_said_so(fresh):
    fresh.run("let precious = 5;").ok()
    cell, _ = begin(fresh, 'println!("spinning"); loop { std::hint::spin_loop(); }', "spinning")
    pressed = time.monotonic()
    fresh.interrupt()
    fresh.wait(lambda: cell.done, 30, cell)
    took = time.monotonic() - pressed
    assert 3 < took < 9, f"killed after {took:.1f} s"
    assert "variable" in stopped(cell).lower(), f"does not say what was lost:\n{cell}"
    fresh.run("1 + 1").ok()


def test_a_second_interrupt_kills_at_once(fresh):
    cell, _ = begin(fresh, 'println!("spinning"); loop { std::hint::spin_loop(); }', "spinning")
    pressed = time.monotonic()
    fresh.interrupt()
    time.sleep(1)  # sooner it would be a double click
    fresh.interrupt()
    fresh.wait(lambda: cell.done, 30, cell)
    assert time.monotonic() - pressed < 3, f"took {time.monotonic() - pressed:.1f} s"
    stopped(cell)
    fresh.run("1 + 1").ok()


def test_interrupt_during_compilation_keeps_variables(lab):
    lab.run("let earlier = 12;").ok()
    # Many functions of many closures: seconds of work for rustc, none for the cell.
    slow = "\n".join(
        f"fn work{i}(x: u64) -> u64 {{ (0..x).map(|a| a ^ {i}).filter(|a| a % 3 == 0).flat_map(|a| (0..a).zip(a..)).map(|(a, b)| a * b).sum() }}"
        for i in range(600)
    )
    calls = " + ".join(f"work{i}(3)" for i in range(600))
    # The mark makes it a cell that nobody has compiled before.
    cell = lab.start(f'// {lab.mark}\n{slow}\nprintln!("compiled {{}}", {calls});')
    lab.wait(lambda: compiling(lab) or cell.done, 60, cell)
    assert not cell.done, "the cell compiled too fast for this test"
    pressed = time.monotonic()
    lab.interrupt()
    lab.wait(lambda: cell.done, 30, cell)
    assert time.monotonic() - pressed < 3, f"took {time.monotonic() - pressed:.1f} s"
    stopped(cell)
    assert "compiled" not in cell.stdout
    assert lab.run("earlier").ok().results[0]["data"]["text/plain"] == "12"


def compiling(lab):
    """A rustc that has the cell in hand and is not only asked for its version."""
    from client import cmdline

    return any("--crate-name" in cmdline(p) and "cell" in cmdline(p) for p in lab.processes())


def test_sigint_is_an_interrupt_too(lab):
    import signal

    cell, _ = begin(lab, TRAIN, "training")
    lab.relay().send_signal(signal.SIGINT)
    lab.wait(lambda: cell.done, 30, cell)
    stopped(cell)
