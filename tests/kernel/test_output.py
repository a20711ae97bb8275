"""Text, results and pictures: nothing is lost, nothing hangs, nothing floods."""

import base64
import time

import pytest

RELEASE = 'let mut gate = String::new(); println!("EVCXR_INPUT_REQUEST:go"); std::io::stdin().read_line(&mut gate).unwrap();'


def test_print_without_newline_arrives_before_the_cell_ends(lab):
    cell = lab.start('print!("now"); nap(3000); print!(" and then");')
    lab.wait(lambda: "now" in cell.stdout or cell.done, 60, cell)
    assert not cell.done, f"the text came only at the end:\n{cell}"
    lab.wait(lambda: cell.done, 60, cell)
    assert cell.ok().stdout == "now and then"


def test_carriage_returns_are_passed_on(lab):
    cell = lab.start('for i in 0..4 { print!("\\r{i} of 3"); nap(300); }')
    lab.wait(lambda: "1 of 3" in cell.stdout or cell.done, 60, cell)
    assert not cell.done
    lab.wait(lambda: cell.done, 60, cell)
    assert cell.stdout == "\r0 of 3\r1 of 3\r2 of 3\r3 of 3"


def test_text_without_newline_before_a_result_a_panic_and_an_error(lab):
    cell = lab.run('print!("glued"); 5').ok()
    assert cell.stdout == "glued" and cell.results[0]["data"]["text/plain"] == "5", cell
    for end in ['panic!("glued panic")', 'Err::<(), String>("glued error".into())?;']:
        cell = lab.run(f'print!("before"); eprint!("too"); {end}')
        assert cell.status == "error" and cell.stdout == "before" and "too" in cell.stderr, cell


def test_order_of_text_and_displays_is_kept(lab):
    """Each marked message at its place in the text, however late the kernel gets to read both."""
    cell = lab.run(
        'for n in 0..40 { print!("a{n}\\nb{n}"); send_marked(r#"{"type":"display","data":{"text/plain":"two"}}"#); }'
    ).ok()
    seen = [
        message["content"]["text"] if message["header"]["msg_type"] == "stream" else "|"
        for _, message in cell.messages
        if message["header"]["msg_type"] in ("stream", "display_data")
    ]
    assert "".join(seen) == "".join(f"a{n}\nb{n}|" for n in range(40)), cell


def test_a_display_of_gpt_lab_is_where_it_was_shown(lab):
    lab.run(':dep gpt_lab = { path = "../gpt_lab" }\nuse gpt_lab::prelude::*;').ok()
    cell = lab.run('for n in 0..20 { println!("before {n}"); show::text("shown").show(); println!("after {n}"); }').ok()
    kinds = [m["header"]["msg_type"] for _, m in cell.messages if m["header"]["msg_type"] in ("stream", "display_data")]
    assert kinds.count("display_data") == 20 and kinds[0] == "stream" == kinds[-1], kinds
    assert all(pair != ("display_data", "display_data") for pair in zip(kinds, kinds[1:])), kinds


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_bytes_that_are_not_utf8(lab, stream):
    cell = lab.run(
        f"use std::io::Write;\nstd::io::{stream}().write_all(b\"caf\\xc3\\xa9 \\xff\\xfe end\\n\").unwrap();"
    ).ok()
    assert cell.stream(stream) == "café \ufffd\ufffd end\n"
    assert lab.run(f'{"e" if stream == "stderr" else ""}println!("still here");').ok().stream(stream) == "still here\n"


def test_a_character_cut_in_two_writes_comes_out_whole(lab):
    cell = lab.run(
        "use std::io::Write;\nlet mut out = std::io::stdout();\n"
        'out.write_all(b"\\xf0\\x9f").unwrap(); out.flush().unwrap(); nap(300); out.write_all(b"\\xa6\\x80\\n").unwrap();'
    ).ok()
    assert cell.stdout == "🦀\n"


def test_a_million_lines_are_capped_with_a_notice_and_soon_over(lab):
    started = time.monotonic()
    cell = lab.run('for i in 0..1_000_000 { println!("line number {i}"); }', timeout=90).ok()
    took = time.monotonic() - started
    size = len(cell.stdout) + len(cell.stderr)
    assert size < 3_000_000, f"{size} characters reached the notebook"
    assert "line number 0\n" in cell.stdout
    notice = cell.stdout + cell.stderr
    assert any(word in notice.lower() for word in ("not shown", "capped", "cut", "discarded", "too much")), notice[-400:]
    assert took < 20, f"took {took:.1f} s"
    assert lab.run('println!("next")').ok().stdout == "next\n", "the cap is per cell"


def test_a_5_mb_picture_and_then_idle(lab):
    cell = lab.run(
        'let big = format!("{{\\"type\\":\\"display\\",\\"data\\":{{\\"image/png\\":\\"{}\\"}}}}", "iVBORw0KGgo=".repeat(560_000));\n'
        "send(&big);",
        timeout=60,
    ).ok()
    picture = cell.displays[0]["data"]["image/png"]
    assert len(picture) == 12 * 560_000 and base64.b64decode(picture[:12])
    assert cell.states == ["busy", "idle"]


def test_a_5_mb_picture_through_evcxrs_own_convention(lab):
    cell = lab.run(
        'println!("EVCXR_BEGIN_CONTENT image/png\\n{}\\nEVCXR_END_CONTENT", "iVBORw0KGgo=".repeat(560_000));', timeout=60
    ).ok()
    shown = (cell.displays + cell.results)[0]["data"]["image/png"]
    assert len(shown) == 12 * 560_000


def test_two_contents_of_one_type_are_both_shown(lab):
    code = "\n".join(f'println!("EVCXR_BEGIN_CONTENT text/html\\n<b>{n}</b>\\nEVCXR_END_CONTENT");' for n in (1, 2))
    cell = lab.run(code).ok()
    assert [shown["data"]["text/html"].strip() for shown in cell.displays + cell.results] == ["<b>1</b>", "<b>2</b>"], cell


def test_a_thread_that_prints_after_its_cell_does_no_harm(lab):
    lab.run('std::thread::spawn(|| for i in 0..20 { println!("late {i}"); nap(50); });').ok()
    cell = lab.run('nap(1500); println!("mine"); 3').ok()
    assert "mine\n" in cell.stdout and cell.results[0]["data"]["text/plain"] == "3", cell


def test_output_of_a_child_process_is_shown(lab):
    cell = lab.run('std::process::Command::new("echo").arg("from outside").status()?;').ok()
    assert cell.stdout == "from outside\n"


def test_stdin(lab):
    cell = lab.start(RELEASE + ' println!("got {}", gate.trim());')
    question = lab.answer(cell, "an answer with ünicode")
    assert question == {"prompt": "go", "password": False}
    lab.wait(lambda: cell.done, 60, cell)
    assert cell.ok().stdout == "got an answer with ünicode\n"


def test_stdin_that_the_front_end_does_not_offer_does_not_hang(lab):
    cell = lab.run(RELEASE, timeout=60, allow_stdin=False)
    assert cell.done
