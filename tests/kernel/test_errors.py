"""A cell that fails says so to Jupyter, and points at the line."""

import re

import pytest


def plain(lines):
    """Text of a traceback without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(lines))


def failed(cell):
    """The error of a cell that must have failed, seen alike in the reply and in the notebook."""
    assert cell.status == "error", f"expected an error:\n{cell}"
    assert cell.errors, f"no error message on iopub:\n{cell}"
    assert cell.errors[0]["ename"] == cell.reply["ename"]
    assert cell.errors[0]["evalue"] == cell.reply["evalue"]
    assert cell.errors[0]["traceback"], cell
    return cell.errors[0]


def test_a_panic_is_an_error_with_its_line_and_no_backtrace(lab):
    lab.run("let before_panic = 7;").ok()
    error = failed(lab.run('let a = 1;\nlet b = 2;\npanic!("the sum is {}", a + b);'))
    text = plain(error["traceback"])
    assert "the sum is 3" in error["evalue"]
    assert 'panic!("the sum is {}", a + b);' in text, f"the line is not shown:\n{text}"
    assert "3" in re.findall(r"\d+", text)
    assert "stack backtrace" not in text.lower() and len(text.splitlines()) < 12, f"too long:\n{text}"
    kept = lab.run("before_panic").ok()
    assert kept.results[0]["data"]["text/plain"] == "7", "variables are kept after a panic"


def test_a_panic_is_not_printed_twice(lab):
    cell = lab.run('panic!("only once please")')
    text = cell.stderr + plain(failed(cell)["traceback"])
    assert text.count("only once please") <= 2, cell  # the message and the quoted line of code
    assert "only once please" not in cell.stderr, cell


def test_a_panic_in_a_function_of_an_earlier_cell(lab):
    lab.run("fn divide(a: i32, b: i32) -> i32 {\n    a / b\n}").ok()
    error = failed(lab.run("divide(1, 0)"))
    assert "divide by zero" in error["evalue"]


def test_a_question_mark_error_is_an_error_and_keeps_variables(lab):
    lab.run("let before_question = vec![1, 2];").ok()
    error = failed(lab.run('let n: i32 = "12".parse()?;\nlet bad: i32 = "twelve".parse()?;'))
    text = plain(error["traceback"])
    assert "invalid digit" in error["evalue"], error
    assert "backtrace" not in text.lower()
    assert '"twelve".parse()?' in text, f"the line is not shown:\n{text}"
    assert lab.run("before_question.len()").ok().results[0]["data"]["text/plain"] == "2"


@pytest.mark.parametrize("code", ['panic!("first")', 'Err::<(), String>("first".into())?;', "let x: u8 = 300;"])
def test_queued_cells_are_aborted(lab, code):
    cells = [lab.start(code), lab.start('println!("must not run")'), lab.start("1 + 1")]
    lab.wait(lambda: all(cell.done for cell in cells), 60, "\n".join(map(str, cells)))
    assert cells[0].status == "error", cells[0]
    for later in cells[1:]:
        assert later.status == "aborted", f"the queue went on after an error:\n{later}"
        assert not later.stdout and not later.results
    lab.run("1").ok()


def test_stop_on_error_false_lets_the_queue_go_on(lab):
    cells = [lab.start('panic!("first")', stop_on_error=False), lab.start("1 + 1")]
    lab.wait(lambda: all(cell.done for cell in cells), 60, "\n".join(map(str, cells)))
    assert [cell.status for cell in cells] == ["error", "ok"]


def test_a_compile_error_names_code_and_line(lab):
    error = failed(lab.run('let ok = 1;\nlet wrong: u32 = "text";'))
    text = plain(error["traceback"])
    assert "mismatched types" in error["evalue"] + text
    assert "E0308" in error["ename"] + text
    assert 'let wrong: u32 = "text";' in text, text


def test_all_compile_errors_of_a_cell_are_shown(lab):
    cell = lab.run("let a: u32 = \"one\";\nlet b: u32 = 'c';")
    text = "".join(plain(error["traceback"]) for error in cell.errors)
    assert '"one"' in text and "'c'" in text, text


@pytest.mark.parametrize("before", ["let s = \"abc\"; ", "let s = \"äöü\"; ", "let s = \"日本語\"; ", "let s = \"🦀e\u0301\"; "])
def test_columns_after_unicode_are_right(lab, before):
    """The marker must stand under `oops`, counted in characters of the line as it is printed."""
    code = f"{before}oops();"
    text = plain(failed(lab.run(code))["traceback"])
    lines = text.splitlines()
    place = next((i for i, line in enumerate(lines) if code in line), None)
    assert place is not None, f"the line is not shown whole:\n{text}"
    wanted = lines[place].index("oops")
    under = lines[place + 1]
    marked = next(i for i, c in enumerate(under) if i > 3 and c not in " │|·")
    width = sum(2 if ord(c) > 0x2E80 and ord(c) != 0x301 else 0 if ord(c) == 0x301 else 1 for c in lines[place][:wanted])
    assert marked in (wanted, width), f"marker in column {marked}, wanted {wanted}:\n{text}"


def test_a_cell_that_ends_the_process_says_what_was_lost(fresh):
    fresh.run("let precious = 5;").ok()
    fresh.run('send(r#"{"type":"checkpoint","path":"/tmp/run/step-120.safetensors","step":120}"#);').ok()
    error = failed(fresh.run("std::process::exit(3);"))
    text = error["evalue"] + plain(error["traceback"])
    assert "variable" in text.lower(), f"does not say that variables are lost:\n{text}"
    assert "/tmp/run/step-120.safetensors" in text, f"does not name the latest checkpoint:\n{text}"
    assert failed(fresh.run("precious"))
    fresh.run("1 + 1").ok()


@pytest.mark.parametrize("code", ["std::process::abort();", "unsafe { *(8 as *mut u8) = 1; }"])
def test_abort_and_segfault_are_errors_and_the_next_cell_works(fresh, code):
    failed(fresh.run(code))
    fresh.run("1 + 1").ok()
