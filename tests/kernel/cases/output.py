"""B: values, displays and text."""

import time

from .model import act, case, cell, either

CONTENT = r'println!("EVCXR_BEGIN_CONTENT text/html\n<b>{}</b>\nEVCXR_END_CONTENT", self.0);'
SLOW = """#[derive(Debug)]
struct Slow;
impl Drop for Slow { fn drop(&mut self) { std::thread::sleep(std::time::Duration::from_millis(400)); } }"""
LATE = r"""std::thread::spawn(|| for n in 1..=8 {
    std::thread::sleep(std::time::Duration::from_millis(100));
    println!("late {n}");
});"""


def pause(seconds):
    """Output of threads comes without a request that one could wait for."""

    def look(lab, _):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            lab._handle(end - time.monotonic())

    return act(f"wait {seconds} s", look)


def eight_lines(lab, _):
    """All that the thread has said has come, with one cell or another."""
    said = "".join(cell.stdout for cell in lab.cells.values())
    missing = [n for n in range(1, 9) if f"late {n}\n" not in said]
    assert not missing, f"lines {missing} of the thread never came: {said!r}"


CASES = (
    case(
        "B01",
        "evcxr_display of a trait, on a type with Debug",
        "#[derive(Debug)]\nstruct Grid(u8);\ntrait Show { fn evcxr_display(&self); }\n"
        "impl Show for Grid { fn evcxr_display(&self) { "
        + CONTENT
        + " } }",
        cell("Grid(1)", html="<b>1</b>"),
        cell("vec![1.0, 2.0]", value="[1.0, 2.0]"),
    ),
    case(
        "B01b",
        "evcxr_display of the type itself",
        "#[derive(Debug)]\nstruct Bold(u8);\nimpl Bold { fn evcxr_display(&self) { " + CONTENT + " } }",
        cell("Bold(7)", html="<b>7</b>", results=1),
        cell('format!("{:?}", Bold(7))', value='"Bold(7)"'),
    ),
    case(
        "B02",
        "a marker in the middle of a line is text",
        cell(
            'println!("see EVCXR_BEGIN_CONTENT x");\nprintln!("lost?");',
            stdout="see EVCXR_BEGIN_CONTENT x\nlost?\n",
            displays=0,
        ),
        shared=True,
    ),
    case(
        "B02b",
        "a marker that a child prints in its line",
        cell(
            'std::process::Command::new("echo").arg("a EVCXR_BEGIN_CONTENT text/html").status()?;\nprintln!("after");',
            stdout="a EVCXR_BEGIN_CONTENT text/html\nafter\n",
            displays=0,
        ),
        shared=True,
    ),
    case(
        "B02c",
        "a source that speaks of markers is printed whole",
        cell(
            'let page = r#"    println!("EVCXR_BEGIN_CONTENT text/html\\n<b>{}</b>\\nEVCXR_END_CONTENT", x);\nsecond'
            ' half"#;\nprintln!("{page}");',
            stdout='    println!("EVCXR_BEGIN_CONTENT text/html\\n<b>{}</b>\\nEVCXR_END_CONTENT", x);\nsecond half\n',
            displays=0,
        ),
        shared=True,
    ),
    *(
        case(
            f"B03{letter}",
            f"a marker is only text: {text}",
            "let keep = vec![1, 2, 3];",
            cell(f'println!("{text}");\nprintln!("after");', stdout=f"{text}\nafter\n", timeout=20),
            cell("keep.len()", value="3"),
            cell("keep", value="[1, 2, 3]"),
        )
        for letter, text in (
            ("", "x EVCXR_INPUT_REQUEST: is how a cell asks"),
            ("b", "EVCXR_EXECUTION_COMPLETE"),
            ("c", "EVCXR_VARIABLE_CHANGED_TYPE:keep"),
            ("d", "EVCXR_PANIC_NOTIFICATION"),
            ("e", "EVCXR_ERROR_OCCURRED"),
            ("f", "say EVCXR_RESULT and GPT_LAB_SENT"),
        )
    ),
    case(
        "B04",
        "text and displays in turn, and no stray marker",
        cell(
            'for i in 0..3 {\n    print!("part ");\n    println!("{i}");\n'
            '    println!("EVCXR_BEGIN_CONTENT text/html\\n<i>{i}</i>\\nEVCXR_END_CONTENT");\n}',
            stdout="part 0\npart 1\npart 2\n",
            html="<i>2</i>",
            never=r"EVCXR_|GPT_LAB_",
        ),
        shared=True,
    ),
    case(
        "B05",
        "a value that is slow to drop",
        SLOW,
        cell("Slow", value="Slow", results=1, displays=0),
        cell("(5, Slow)", value="(5, Slow)", results=1, displays=0),
    ),
    case("B05b", "a slow local beside a value", cell(SLOW + "\nlet s = Slow;\nlet n = 5;\ndrop(s);\nn", value="5", displays=0)),
    case(
        "B06",
        "a type that shows itself as text and as HTML: one result",
        "struct Both(u8);\nimpl Both { fn evcxr_display(&self) {\n"
        '    println!("EVCXR_BEGIN_CONTENT text/plain\\nboth\\nEVCXR_END_CONTENT");\n    '
        + CONTENT
        + "\n} }",
        cell("Both(4)", html="<b>4</b>", results=1, displays=0, says="both"),
    ),
    case(
        "B07",
        "a display between the lines of a thread",
        cell(
            'let ticks = std::thread::spawn(|| for n in 0..50 { println!("tick {n}"); });\n'
            'println!("EVCXR_BEGIN_CONTENT text/html\\n<b>mid</b>\\nEVCXR_END_CONTENT");\nticks.join().unwrap();',
            says=(r"tick 0\n", r"tick 49\n"),
            timeout=20,
        ),
        shared=True,
    ),
    *(
        case(f"B08{letter}", f"the value of `{code}`", cell(code, value=value, results=results), shared=True)
        for letter, code, value, results in (
            ("", "let b08 = 5; b08", "5", 1),
            ("b", "{ 5 }", "5", 1),
            ("c", "if true { 1 } else { 2 }", "1", 1),
            ("d", 'match 3 { 3 => "three", _ => "other" }', '"three"', 1),
            ("e", "loop { break 7 }", "7", 1),
            ("f", "unsafe { 8 }", "8", 1),
            ("g", "vec![1, 2].iter().map(|n| n * 2).collect::<Vec<i32>>()", "[2, 4]", 1),
            ("h", "7;", None, 0),
            ("i", "let b08_unused = 7;", None, 0),
            ("j", "5 // five", "5", 1),
            ("k", "5 /* five */\n// end", "5", 1),
            ("l", 'Some("ü")', 'Some("ü")', 1),
            ("m", "()", None, 0),
            ("n", "(1..4).sum::<i32>()", "6", 1),
            ("o", "-1", "-1", 1),
            ("p", "|| 1;", None, 0),
            ("q", "{ let a = 1; a } + 1;", None, 0),
        )
        if letter != "q"
    ),
    case(
        "B09",
        "characters that steer a terminal, and others",
        cell(r'println!("\u{1b}[31mred\u{1b}[0m\ttab 日本 🦀 é");', stdout="\x1b[31mred\x1b[0m\ttab 日本 🦀 é\n"),
        shared=True,
    ),
    case(
        "B10",
        "a flood on standard error",
        cell('for n in 0..300_000 { eprintln!("line {n}"); }', timeout=60),
        cell("1 + 1", value="2"),
        shared=True,
    ),
    case(
        "B10b",
        "a flood of a thread",
        cell('std::thread::spawn(|| for n in 0..300_000 { println!("{n}"); }).join().is_err()', value="false", timeout=60),
        shared=True,
    ),
    case("B11", "a thread goes on printing when its cell is over", LATE, pause(1.5), act("look", eight_lines)),
    case("B11b", "… while silent cells run", LATE, cell("1", options={"silent": True}), pause(1.5), act("look", eight_lines)),
    case(
        "B11c",
        "… while a request has user_expressions",
        LATE,
        *(cell("", options={"user_expressions": {"a": "40 + 2"}}) for _ in range(3)),
        pause(1.5),
        act("look", eight_lines),
    ),
    case(
        "B14",
        "blanks before a command",
        cell("  :fmt {:#?}"),
        cell("vec![1]", value="[\n    1,\n]"),
        cell(":fmt {:?}"),
        cell("vec![1]", value="[1]"),
    ),
    case("B14b", "blanks before :vars", "let shown = 5u8;", cell("  :vars", says=r"shown: u8")),
    case("B14c", "a command and a value", cell(":version\n5", says=(r"(?m)^5$",)), either(":types"), either(":types")),
    case(
        "B15",
        "all text comes before the error",
        cell(
            'print!("one");\neprint!("two");\nprintln!("three");\neprintln!("four");\npanic!("the end")',
            error="the end",
            line=5,
            stdout="onethree\n",
            stderr="twofour\n",
        ),
        shared=True,
    ),
    case(
        "B15b",
        "text of C comes too",
        'unsafe extern "C" { fn printf(f: *const std::ffi::c_char, ...) -> i32; }',
        cell('unsafe { printf(c"from C %d".as_ptr(), 5); }', says="from C 5"),
        cell("1", value="1", never="from C"),
    ),
)
