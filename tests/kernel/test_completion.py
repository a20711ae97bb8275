"""Completion and inspection: helpful when idle, at once and empty-handed when busy."""

import time

import pytest


def complete(lab, code, at=None):
    return lab.request("complete_request", {"code": code, "cursor_pos": len(code) if at is None else at})


def test_methods_of_a_variable_are_offered(lab):
    lab.run("let numbers = vec![1, 2, 3];").ok()
    reply = complete(lab, "numbers.is_em")
    assert any(match.startswith("is_empty") for match in reply["matches"]), reply
    assert (reply["cursor_start"], reply["cursor_end"]) == (8, 13)


def test_variables_and_functions_of_earlier_cells_are_offered(lab):
    lab.run("fn a_rather_long_name() -> u8 { 1 }\nlet another_long_name = 2;").ok()
    assert any(match.startswith("a_rather_long_name") for match in complete(lab, "a_rath")["matches"])
    assert "another_long_name" in complete(lab, "another_l")["matches"]


@pytest.mark.parametrize("before", ["", "é", "🦀", "e\u0301", "日本"])
def test_positions_are_code_points(lab, before):
    lab.run("let numbers = vec![1, 2, 3];").ok()
    code = f'let s = "{before}"; numbers.is_em'
    reply = complete(lab, code)
    assert any(match.startswith("is_empty") for match in reply["matches"]), reply
    assert code[reply["cursor_start"] : reply["cursor_end"]] == "is_em", reply


def test_completion_in_the_middle_of_a_cell(lab):
    lab.run("let numbers = vec![1, 2, 3];").ok()
    code = "let a = numbers.is_em;\nlet b = 2;"
    reply = complete(lab, code, code.index(";"))
    assert any(match.startswith("is_empty") for match in reply["matches"]), reply


def test_inspection_shows_type_and_help(lab):
    lab.run("/// Adds one, with care.\nfn add_one(x: i32) -> i32 { x + 1 }").ok()
    code = "add_one(3)"
    reply = lab.request("inspect_request", {"code": code, "cursor_pos": 4, "detail_level": 0})
    assert reply["found"], reply
    text = " ".join(map(str, reply["data"].values()))
    assert "fn add_one(x: i32) -> i32" in text, text


@pytest.mark.parametrize("at", [-1, 10_000])
def test_positions_outside_the_code_are_survived(lab, at):
    assert complete(lab, "let a = 1;", at)["status"] in ("ok", "error")
    assert lab.request("inspect_request", {"code": "a", "cursor_pos": at, "detail_level": 0})["status"] in ("ok", "error")


def test_both_answer_at_once_while_a_cell_runs(lab):
    cell = lab.start('println!("busy"); while !stopped() { nap(10); }')
    lab.wait(lambda: "busy" in cell.stdout, 60, cell)
    started = time.monotonic()
    assert complete(lab, "numbers.is_em")["status"] == "ok"
    assert lab.request("inspect_request", {"code": "String", "cursor_pos": 3, "detail_level": 0})["status"] == "ok"
    assert lab.request("kernel_info_request")["status"] == "ok"
    took = time.monotonic() - started
    lab.interrupt()
    lab.wait(lambda: cell.done, 30, cell)
    assert took < 1, f"three requests took {took:.1f} s while a cell ran"
