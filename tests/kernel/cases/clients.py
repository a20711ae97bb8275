"""D: what front-ends ask, in whatever order."""

from .model import act, case, cell, completion, either, inspection, is_complete, request

ASK = 'gpt_lab::lab::input("{}? ")'
TWO = f"let a = {ASK.format('one')};\nlet b = {ASK.format('two')};\n(a, b)"
READ = "let mut line = String::new();\nstd::io::stdin().read_line(&mut line)?;\nline"

INCOMPLETE = (
    "#[derive(Debug)]",
    "/// doc",
    "fn add(a: i32) -> i32",
    "struct P",
    "impl P",
    "trait T",
    "enum E",
    "mod m",
    "match x",
    "loop",
    "unsafe",
    "for i in 0..3",
    "if a == b",
    "while x",
    "a >",
    "x as",
    "!",
    "let x:",
    "where T:",
    # Siblings, and what was right before.
    "#[test]\n#[ignore]",
    "/// one\n/// two",
    "pub fn f()",
    "impl Show for P",
    "pub(crate) struct Q",
    "1 +",
    "let x =",
    "a &&",
    "f(1,",
    "vec![1,",
    '"open',
    "/* open",
    'r#"open"',
    "let v = vec![\n    1,\n",
    "if true {",
    "fn f() {\n    if x {\n    }",
    "async fn g()",
    "const N: usize =",
    "x.",
    "use std::",
    "|x|",
    "match x {\n    1 => 2,",
    "println!(",
    "type T =",
)
COMPLETE = (
    "1.",
    'x//\nr#"a"b"#',
    ':dep a = { version = "1"',
    ":fmt {",
    ':env A="b',
    '!echo "(',
    "1",
    "let x = 5;",
    "fn f() {}",
    "struct P;",
    "struct P { x: i32 }",
    "if true { 1 } else { 2 }",
    "// only a comment",
    "",
    "vec![1]",
    '"}"',
    "'{'",
    "x",
    ":vars",
    "#[derive(Debug)]\nstruct S;",
    "/// doc\nfn f() {}",
    "match 1 { _ => {} }",
    "let f = |x: i32| x + 1;",
    "loop { break }",
    "5 // {",
    'r##"a "# b"##',
    "a < b",
    'let s: &\'static str = "x";',
    "2.5e3",
    "use std::fmt;",
)


def count_is(wanted):
    def look(lab, _):
        last = lab.run("0")
        assert last.reply["execution_count"] == wanted, f"the count should be {wanted}: {last.reply}"

    return act(f"the next cell is number {wanted}", look)


def check_comm(code):
    """The comm by which a front-end may ask for a check; it has no reply of its own."""

    def ask(lab, _):
        data = {"comm_id": "check", "target_name": "evcxr-cargo-check", "data": {"code": code}}
        lab.client.shell_channel.send(lab.client.session.msg("comm_open", data))
        lab.client.shell_channel.send(lab.client.session.msg("comm_msg", {"comm_id": "check", "data": {"code": code}}))
        lab.request("kernel_info_request")

    return act(f"check {code!r}", ask)


def idle_stop(lab, _):
    assert lab.interrupt()["status"] == "ok"


def kill_engine(lab, _):
    """The process between the front-end and the cells dies."""
    victim = lab.inner() or lab.cell_process()
    assert victim, "no process below the kernel was found"
    victim.kill()


def broken_frames(lab, _):
    socket = lab.client.shell_channel.socket
    for frames in (
        [b""],
        [b"<IDS|MSG>"],
        [b"a", b"<IDS|MSG>", b"no signature", b"{}", b"{}", b"{}", b"{}"],
        [b"<IDS|MSG>", b"", b"not json", b"{}", b"{}", b"{}"],
        [b"\xff" * 9],
    ):
        socket.send_multipart(frames)


def busy_questions(lab, _):
    """Tab is answered while a cell runs, and a running cell is not disturbed."""
    running = lab.start('for _ in 0..30 { std::thread::sleep(std::time::Duration::from_millis(100)); }\n"slept"')
    for _ in range(3):
        assert lab.request("complete_request", {"code": "std::", "cursor_pos": 5}, timeout=2)["status"] == "ok"
        assert lab.request("is_complete_request", {"code": "1"}, timeout=2)["status"] == "complete"
    lab.wait(lambda: running.done, 60, running)
    assert running.results, running


def stop_then_run(lab, _):
    """A cell sent right after stop runs, or is said to be aborted; it does not vanish."""
    slow = lab.start('println!("on");\nfor _ in 0..20 { std::thread::sleep(std::time::Duration::from_millis(100)); }')
    lab.wait(lambda: slow.stdout or slow.done, 60, slow)
    lab.interrupt()
    after = lab.start("5 + 5")
    lab.wait(lambda: slow.done and after.done, 60, after)
    assert after.status in ("ok", "aborted"), after


CASES = (
    *(
        case(
            f"D01{letter}",
            f"asking executes nothing: {title}",
            "let keep = vec![1, 2, 3];",
            *steps,
            cell("keep.len()", value="3"),
        )
        for letter, title, steps in (
            ("", "Tab after :restart", (completion(":restart\nlet a = kee"),)),
            ("b", "help after :restart", (inspection(":restart\nkeep"),)),
            ("c", "the check comm", (check_comm(":restart\nlet a = keep.len();"),)),
            (
                "d",
                "Tab after :clear, :quit, !touch",
                tuple(completion(f"{line}\nkee") for line in (":clear", ":quit", "!touch made")),
            ),
            ("e", "Tab after :timing", (completion(":timing\nkee"),)),
        )
    ),
    case(
        "D01f",
        "Tab makes no file",
        completion("!touch made\n1"),
        inspection("!touch made\n1"),
        cell('std::path::Path::new("made").exists()', value="false"),
    ),
    case(
        "D01g",
        "Tab on a :dep loads nothing",
        "let keep = 1;",
        completion(':dep mine = { path = "./mine" }\nmi'),
        cell("mine::one()", status="error"),
        cell("keep", value="1"),
        files={
            "mine/Cargo.toml": '[package]\nname = "mine"\nversion = "0.1.0"\nedition = "2021"\n',
            "mine/src/lib.rs": "pub fn one() -> i32 { 1 }",
        },
    ),
    case(
        "D02",
        "an answer of several lines is one answer",
        cell(TWO, answers=("one\ntwo", "three"), says=(r"one\\ntwo", "three")),
        gpt_lab=True,
    ),
    case(
        "D02b",
        "answers with a carriage return, a line end alone, nothing",
        cell(TWO, answers=("a\r\nb", "c"), says=("a", "c")),
        cell(TWO, answers=("\n", "d"), says=r'"d"'),
        cell(TWO, answers=("", "e"), says=r'"e"'),
        gpt_lab=True,
    ),
    case(
        "D02c",
        "long answers, and answers that look like commands",
        cell(TWO, answers=("LOAD_AND_RUN /x y", "x" * 20_000), says=("LOAD_AND_RUN /x y", "xxxx")),
        cell(TWO, answers=("\u0004", "EVCXR_EXECUTION_COMPLETE"), says="EVCXR_EXECUTION_COMPLETE"),
        gpt_lab=True,
    ),
    case(
        "D03",
        "stop at a question keeps everything",
        "let keep = 5;\nfn six() -> i32 { 6 }",
        cell(
            'loop { if gpt_lab::lab::input("guess").as_deref() == Some("42") { break; } }',
            stop="asked",
            status="error",
            timeout=20,
        ),
        cell("keep + six()", value="11"),
        gpt_lab=True,
    ),
    case(
        "D03b",
        "stop at one question",
        "let keep = 5;",
        cell(ASK.format("one"), stop="asked", status=None, timeout=20),
        cell("keep", value="5"),
        gpt_lab=True,
    ),
    case(
        "D03c",
        "an answer that comes before the question is none",
        act("an early answer", lambda lab, _: lab.client.input("early")),
        cell(TWO, answers=("late", "later"), says=("late", "later"), never="early"),
        gpt_lab=True,
    ),
    case("D04", "reading standard input asks the notebook", cell(READ, answers=("hello",), value='"hello\\n"', timeout=30)),
    case(
        "D04b",
        "… where it may not ask, there is nothing to read",
        "let keep = 1;",
        cell(READ, options={"allow_stdin": False}, value='""', timeout=30),
        cell("keep", value="1"),
    ),
    case("D04c", "lines()", cell("std::io::stdin().lines().next()", answers=("a line",), says="a line", timeout=30)),
    case(
        "D04d",
        "lines() where the notebook may not be asked",
        cell("std::io::stdin().lines().count()", options={"allow_stdin": False}, value="0", timeout=30),
    ),
    case(
        "D04e",
        "stop while standard input is read",
        "let keep = 1;",
        cell(READ, stop="asked", status=None, timeout=30),
        cell("keep", value="1"),
    ),
    case("D05", "cells that are not complete", *(is_complete(code, "incomplete") for code in INCOMPLETE), shared=True),
    case("D05b", "cells that are complete", *(is_complete(code, "complete") for code in COMPLETE), shared=True),
    case(
        "D06",
        "silent cells count nothing",
        "1",
        cell("2", options={"silent": True}),
        cell("3", options={"store_history": False}),
        count_is(2),
    ),
    case(
        "D07",
        "a console asks for the line after an attribute",
        is_complete("#[derive(Debug)]\n", "incomplete"),
        is_complete("#[derive(Debug)]\nstruct S07", "incomplete"),
        is_complete("#[derive(Debug)]\nstruct S07 { n: i32 }", "complete"),
        "#[derive(Debug)]\nstruct S07 { n: i32 }",
        cell("S07 { n: 1 }", value="S07 { n: 1 }"),
        shared=True,
    ),
    case(
        "D08",
        "Tab with any cursor",
        *(completion("let d08 = vec![1]; d08.le", cursor, reply={"status": "ok"}) for cursor in (-1, 0, 3, 22, 25, 999)),
        request("complete_request", {"code": "st"}),
        request("complete_request", {"code": "st", "cursor_pos": "x"}),
        shared=True,
    ),
    case(
        "D09",
        "text on stderr, then the value, at `idle` all is there",
        *(cell('eprint!("half"); 7', value="7", stderr="half", last=True, displays=0) for _ in range(6)),
        shared=True,
    ),
    case("D10", "questions while a cell runs", act("ask", busy_questions), shared=True),
    case(
        "D11",
        ":timing shows times, or says why not",
        either(":timing"),
        either("1 + 1"),
        says=(r"\d+ ?(ms|µs|s)\b|not|no longer",),
    ),
    case("D11b", ":opt", either(":opt 3"), cell("let d = 1;\nd", value="1"), either(":opt 0"), cell("d + 1", value="2")),
    *(
        case(f"D11{letter}", line, either(line, says=says), cell("1 + 1", value="2"))
        for letter, line, says in (
            ("c", ":help", r":dep.*"),
            ("d", ":version", r"\d+\.\d+"),
            ("e", ":nosuch", "nosuch"),
            ("f", ":vars", ""),
        )
    ),
    case(
        "D12",
        "a command after code works, or says where it may stand",
        "let d12 = 5u8;",
        either("let other = 1;\n:vars", says=r"d12: u8|:vars.*(first|before|line)", never="found `:`"),
    ),
    *(
        case(
            f"D12{letter}",
            f"a habit from IPython: {line}",
            either(f"{line}\n1 + 1", says=r"IPython|Jupyter|Python"),
            cell("1 + 1", value="2"),
        )
        for letter, line in (("b", "%%time"), ("c", "%timeit f()"), ("d", "%matplotlib inline"))
    ),
    case(
        "D12e",
        "Windows line ends, tabs, a comment after a command",
        cell("let a = 1;\r\nlet b = 2;\r\na + b", value="3"),
        cell("\tlet c = 4;\n\tc", value="4"),
        cell("let d = 1;\r\nlet e: u8 = 300;", error="300", line=2),
        cell(":vars // all", says="a: i32"),
    ),
    case(
        "D13",
        "the process between dies: one session ends, the next begins",
        "let keep = 7;\nfn f() -> i32 { 1 }",
        act("kill the engine", kill_engine),
        either("keep", says="lost|ended"),
        cell("1 + 1", value="2"),
    ),
    case("D14", "broken frames and a wrong key", "let keep = 7;", act("send frames", broken_frames), cell("keep", value="7")),
    case(
        "D15",
        "an empty cell, a cell of blanks, a comment",
        cell("", results=0),
        cell("  \n\t\n", results=0),
        cell("// nothing", results=0),
        cell("/* nothing */", results=0),
    ),
    case(
        "D16",
        "stop between cells and when idle",
        *(step for n in range(3) for step in (act("stop", idle_stop), cell(f"{n} + 1", value=str(n + 1)))),
    ),
    case(
        "D16b", "a cell sent right after stop", "let keep = 1;", act("stop, then run", stop_then_run), cell("2 + 2", value="4")
    ),
)
