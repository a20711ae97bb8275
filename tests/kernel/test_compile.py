"""Cells are compiled without cargo as long as nothing changes that cargo would look at, and take only what they mention."""

import os
from pathlib import Path


def traces(session):
    """What cargo writes whenever it builds a cell."""
    return {(str(path), path.stat().st_mtime_ns) for path in Path(session).glob("target/**/.fingerprint/ctx-*/*")}


def test_cargo_is_called_again_only_when_something_has_changed(fresh):
    session = fresh.run('println!("{}", std::env::var("EVCXR_TMPDIR")?);').ok().stdout.strip()
    fresh.run("let a = vec![1.5f32; 3];").ok()
    first = traces(session)
    assert first, "cargo has built the first cells"
    assert fresh.run("a.len() + 1").ok().results[0]["data"]["text/plain"] == "4"
    wrong = fresh.run('let b: u32 = "text";')
    assert wrong.status == "error" and "E0308" in str(wrong), wrong
    assert fresh.run("a[2]").ok().results[0]["data"]["text/plain"] == "1.5"
    assert traces(session) == first, "cargo was called although nothing had changed"
    fresh.run(":opt 0\nlet c = 2usize;").ok()
    assert traces(session) != first, "another manifest, and cargo was not called"
    assert fresh.run("a.len() + c").ok().results[0]["data"]["text/plain"] == "5"


def test_warnings_and_notes_of_the_compiler_are_as_cargo_has_them(fresh):
    """The same error with cargo (the first cell of a kind) and without it."""
    code = "let text = String::new();\nlet moved = text;\nprintln!(\"{text}\");"
    with_cargo = fresh.run(f":opt 1\n{code}")
    again = fresh.run(code)
    for cell in (with_cargo, again):
        assert cell.status == "error" and "E0382" in str(cell), cell
    assert with_cargo.errors[0]["evalue"] == again.errors[0]["evalue"]


def test_a_variable_of_unknown_type_does_not_harm_the_cells_after_it(lab):
    """For such a cell evcxr calls `cargo check`, which must not be taken for how cells are built."""
    lab.run("let length = 3usize;").ok()
    wrong = lab.run("let n = lenght + 1;")
    assert wrong.status == "error" and "E0425" in str(wrong), wrong
    assert lab.run("length + 1").ok().results[0]["data"]["text/plain"] == "4"


def test_a_cell_takes_only_what_it_mentions(lab):
    session = lab.run('println!("{}", std::env::var("EVCXR_TMPDIR")?);').ok().stdout.strip()
    source = Path(session) / "src/lib.rs"
    lab.run("struct Loud(u8);\nimpl Drop for Loud { fn drop(&mut self) { println!(\"dropped\"); } }\nlet kept = Loud(1);").ok()
    lab.run("let mut other = vec![1u8];").ok()
    assert lab.run("other.push(2);").ok().stdout == ""
    text = source.read_text()
    assert "take_variable::<Vec<u8>>" in text and "put_variable::<Vec<u8>>" in text
    assert "take_variable::<Loud>" not in text and "put_variable::<Loud>" not in text
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
    lab.run("struct Point { x: i32, y: i32 }").ok()
    cell = lab.run("other").ok()
    assert cell.results[0]["data"]["text/plain"] == "2"
    assert "The type of the variable point was redefined" in cell.stderr
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
