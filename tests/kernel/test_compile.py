"""What is compiled, and what a cell takes of the session: no more than it needs."""

import os
from pathlib import Path


def sources(lab):
    """The sources of cells that were compiled in this session, with the times at which they were written."""
    folder = lab.run(":last_compile_dir").ok().results[0]["data"]["text/plain"]
    return {path: path.stat().st_mtime_ns for path in Path(folder).glob("cell-*.rs")}


def test_what_has_run_before_is_not_compiled_again(fresh):
    fresh.run("let a = vec![1.5f32; 3];").ok()
    cell = f"// {fresh.mark}\na.len() + 1"
    assert fresh.run(cell).ok().results[0]["data"]["text/plain"] == "4"
    first = sources(fresh)
    assert fresh.run(cell).ok().results[0]["data"]["text/plain"] == "4"
    assert sources(fresh) == first, "the same cell was compiled again"
    fresh.run(f":opt 0\n// {fresh.mark}\nlet c = 2usize;").ok()
    assert sources(fresh) != first, "nothing was compiled at another level of optimisation"


def test_a_cell_that_runs_again_has_statics_of_its_own(fresh):
    cell = "use std::sync::atomic::{AtomicU8, Ordering};\nstatic COUNT: AtomicU8 = AtomicU8::new(0);\nCOUNT.fetch_add(1, Ordering::SeqCst)"
    for _ in range(3):
        assert fresh.run(cell).ok().results[0]["data"]["text/plain"] == "0"


def test_an_error_is_the_same_when_it_is_told_again(fresh):
    """The second time it is not the compiler that tells it."""
    code = "let text = String::new();\nlet moved = text;\nprintln!(\"{text}\");"
    first, again = fresh.run(code), fresh.run(code)
    for cell in (first, again):
        assert cell.status == "error" and "E0382" in str(cell), cell
    plain = lambda cell: [line.replace("cell 2", "cell 3") for line in cell.errors[0]["traceback"]]
    assert plain(first) == plain(again)


def test_a_variable_of_unknown_type_does_not_harm_the_cells_after_it(lab):
    lab.run("let length = 3usize;").ok()
    wrong = lab.run("let n = lenght + 1;")
    assert wrong.status == "error" and "E0425" in str(wrong), wrong
    assert lab.run("length + 1").ok().results[0]["data"]["text/plain"] == "4"


def test_a_cell_takes_only_what_it_mentions(lab):
    lab.run("struct Loud(u8);\nimpl Drop for Loud { fn drop(&mut self) { println!(\"dropped\"); } }\nlet kept = Loud(1);").ok()
    lab.run("let mut other = vec![1u8];").ok()
    assert lab.run("other.push(2);").ok().stdout == ""
    newest = max(sources(lab).items(), key=lambda item: item[1])[0].read_text()
    assert '("other")' in newest and '("kept")' not in newest
    assert lab.run('println!("{}", kept.0 + other[1]);').ok().stdout == "3\n"
    assert lab.run('println!("{other:?}");').ok().stdout == "[1, 2]\n", "named in a string only"
    assert lab.run("drop(kept);").ok().stdout == "dropped\n"
    assert "E0425" in str(lab.run("kept.0")), "moved away"
    assert lab.run("other.len()").ok().results[0]["data"]["text/plain"] == "2"


def test_the_compiler_still_proposes_names_that_the_cell_does_not_mention(lab):
    lab.run("let tokenizer = 1;\nlet other = 2;").ok()
    wrong = lab.run('println!("{}", tokenzer + other);')
    said = "\n".join(wrong.errors[0]["traceback"])
    assert "similar name" in said and "tokenizer" in said.replace("tokenzer", ""), said


def test_a_variable_whose_type_is_defined_anew_is_lost_before_the_next_one_is_made(lab):
    lab.run("struct Point { x: i32 }\nlet point = Point { x: 1 };\nlet other = 2;").ok()
    cell = lab.run("struct Point { x: i32, y: i32 }").ok()
    assert "lost: point (" in cell.stderr and "other" not in cell.stderr, cell
    assert lab.run("other").ok().results[0]["data"]["text/plain"] == "2"
    lab.run("let point = Point { x: 1, y: 2 };").ok()
    assert lab.run("point.y").ok().results[0]["data"]["text/plain"] == "2"


def test_a_name_that_is_a_keyword_or_not_ascii_is_kept(lab):
    lab.run("let r#type = 1;\nlet संख्या = 3;").ok()
    assert lab.run("r#type + 1").ok().results[0]["data"]["text/plain"] == "2"
    lab.run("let r#type = 4;").ok()
    assert lab.run("r#type + संख्या").ok().results[0]["data"]["text/plain"] == "7"


def test_items_named_as_evcxrs_own_do_no_harm(lab):
    lab.run("pub struct VariableStore {\n    n: u8,\n}\npub fn create_variable_store() {}").ok()
    lab.run("let stored = VariableStore { n: 5 };").ok()
    assert lab.run("stored.n").ok().results[0]["data"]["text/plain"] == "5"


def test_the_home_that_rust_analyzer_is_lent_is_nobody_elses(lab):
    expected = os.environ.get("CARGO_HOME", "")
    assert lab.run('println!("home={}", std::env::var("CARGO_HOME").unwrap_or_default());').ok().stdout == f"home={expected}\n"
    assert f"home={expected}" in str(lab.run('!echo "home=$CARGO_HOME"').ok().messages)
    assert "/sessions/" not in str(lab.run('!echo "home=$CARGO_HOME"').ok().messages)
    lab.run("let after = 1;").ok()
