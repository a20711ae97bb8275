"""Cells are compiled without cargo as long as nothing changes that cargo would look at."""

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
