"""Siblings: the same kinds as the cases of the other files, with other content."""

from .clients import ASK, READ, count_is
from .life import CHILD, no_program
from .model import act, case, cell, completion, crate, either, inspection, is_complete, write
from .output import CONTENT

NESTED = 'let deep = vec![(1, "a"), (2, "}")]; /* one /* two */ { */ println!("{:?} {}", deep, \'{\');'

CASES = (
    case(
        "A13b",
        "an assignment to a name with a letter missing",
        "let count = 1;",
        cell("cuont = 2;", error="E0425", line=1, says="count"),
        cell("count", value="1"),
    ),
    case(
        "A14b",
        "a slice of a variable",
        'let mut text = String::from("abc");',
        either("let part = &text[..2];", says="part"),
        cell("text.push('d');\ntext", value='"abcd"'),
    ),
    case(
        "A14c",
        "an iterator over a variable",
        "let row = vec![1, 2];",
        either("let mut walk = row.iter();\nwalk.next();", says="walk|^$"),
        cell("row", value="[1, 2]"),
    ),
    case(
        "A17b",
        "three types in three cells",
        "let x = vec![1];",
        "let x = x.len();",
        "let x = x as f64 / 2.0;",
        cell("x", value="0.5"),
        cell(":vars", says="x: f64", never="Vec"),
    ),
    case(
        "A22b",
        "closures that count, that take text, in a Vec",
        "let mut n = 0;\nlet mut calls: Vec<Box<dyn Fn(&str) -> usize>> = vec![Box::new(|s| s.len())];\ncalls.push(Box::new(|s|"
        " s.len() * 2));",
        cell('calls.iter().map(|f| f("abc")).collect::<Vec<_>>()', value="[3, 6]"),
        "n += 1;",
        cell("n", value="1"),
    ),
    case(
        "A23b",
        "nested comments and braces in characters",
        cell(NESTED, stdout='[(1, "a"), (2, "}")] {\n'),
        is_complete(NESTED, "complete"),
        act(
            "every prefix is answered",
            lambda lab, _: [
                lab.request("is_complete_request", {"code": NESTED[:end]}, timeout=2) for end in range(len(NESTED))
            ],
        ),
        shared=True,
    ),
    case(
        "A24b",
        "attributes on statements and functions",
        cell("#[allow(unused_variables)]\nlet a24 = { let inner = 1; 2 };\na24", value="2"),
        "#[inline]\n#[must_use]\nfn f24() -> u8 { 1 }",
        cell("f24()", value="1"),
        shared=True,
    ),
    case(
        "A27b",
        "formats of structs come out exactly",
        "#[derive(Debug)]\nstruct R27 { a: u8, b: Option<&'static str> }",
        cell(
            'println!("{:#?}", R27 { a: 1, b: Some("x") });', stdout='R27 {\n    a: 1,\n    b: Some(\n        "x",\n    ),\n}\n'
        ),
        shared=True,
    ),
    case(
        "A02i",
        "a field more at the front, in a HashMap of them",
        "use std::collections::HashMap;\nstruct Item { n: u64 }\nlet map = HashMap::from([(1, Item { n: 2 })]);\nlet plain ="
        " HashMap::from([(1, 2)]);",
        cell("struct Item { name: String, n: u64 }", lost="map", kept="plain"),
        cell("map[&1].n", error="E0425", says="lost"),
        cell("plain[&1]", value="2"),
    ),
    case(
        "A02j",
        "a type in a module",
        "mod geo { pub struct Pt { pub x: u8 } }\nlet pt = geo::Pt { x: 1 };",
        cell("mod geo { pub struct Pt { pub x: f64 } }", lost="pt"),
        cell("pt.x", error="E0425", says="lost"),
    ),
    case(
        "A02k",
        "a type behind Rc, RefCell and Option",
        "use std::{cell::RefCell, rc::Rc};\nstruct Node { n: u8 }\nlet node = Some(Rc::new(RefCell::new(Node { n: 1 })));",
        cell("struct Node { n: u8, next: Option<Box<Node>> }", lost="node"),
        "let node = Node { n: 2, next: None };",
        cell("node.n", value="2"),
    ),
    case(
        "A02l",
        "what derives is part of a type",
        "#[derive(Debug, Clone)]\nstruct D { n: u8 }\nlet d = D { n: 1 };",
        either("#[derive(Debug, Clone, PartialEq)]\nstruct D { n: u8 }"),
        either("d.clone() == d", says=r"(?m)^true$|lost"),
    ),
    case(
        "A10e",
        "impl of a trait of one's own for a type of std, twice",
        "trait Double { fn double(&self) -> Self; }",
        *("impl Double for i32 { fn double(&self) -> i32 { self * 2 } }",) * 2,
        "impl Double for i32 { fn double(&self) -> i32 { self * 20 } }",
        cell("4.double()", value="80"),
    ),
    case(
        "A10f",
        "a generic impl, and one for a concrete type",
        "struct W<T>(T);",
        *("impl<T: Copy> W<T> { fn get(&self) -> T { self.0 } }",) * 2,
        *("impl W<u8> { fn twice(&self) -> u8 { self.0 * 2 } }",) * 2,
        cell("(W(1.5).get(), W(4u8).twice())", value="(1.5, 8)"),
    ),
    case(
        "A11c",
        "one enum of the cell again",
        "enum Left { A }\nenum Right { B }\nimpl Right { fn n(&self) -> u8 { 2 } }\nlet right = Right::B;",
        cell("enum Left { A, C }", kept="right"),
        cell("right.n()", value="2"),
    ),
    case(
        "B01c",
        "evcxr_display of an enum",
        "enum Face { Smile(u8) }\nimpl Face { fn evcxr_display(&self) { let Face::Smile(n) = self;"
        ' println!("EVCXR_BEGIN_CONTENT text/html\\n<i>{n}</i>\\nEVCXR_END_CONTENT"); } }',
        cell("Face::Smile(3)", html="<i>3</i>", results=1),
    ),
    case(
        "B04b",
        "a picture shown midway is a display",
        "struct Pic(u8);\nimpl Pic { fn evcxr_display(&self) { " + CONTENT + " } }",
        cell('Pic(1).evcxr_display();\nprintln!("then");\nPic(2)', html="<b>2</b>", results=1, displays=1, stdout="then\n"),
    ),
    case(
        "B07b",
        "two threads print, lines stay whole",
        cell(
            'std::thread::scope(|s| for t in 0..2 { s.spawn(move || for n in 0..50 { println!("t{t} n{n:02}"); }); });',
            timeout=20,
            says=("t0 n49", "t1 n49"),
            never=r"n\d\dt",
        ),
        shared=True,
    ),
    case(
        "B09b",
        "carriage returns, zero bytes, long lines",
        cell(r'print!("10%\r20%\r"); println!("a\0b"); println!("{}", "x".repeat(5000));', says=("20%", "x{5000}")),
        shared=True,
    ),
    case(
        "B15c",
        "text without a line end before an error of ?",
        cell('print!("half a line");\nlet n: i32 = "x".parse()?;', error="invalid digit", line=2, stdout="half a line"),
        shared=True,
    ),
    case(
        "F2o",
        "a wrong type of a field, at the end",
        "#[derive(Debug)]\nstruct Opt { lr: f64 }",
        cell("let lr = 1;\nOpt { lr: lr }", error="E0308", line=2, says="f64"),
    ),
    case(
        "F2p",
        "a private function of a module, at the end",
        "mod hidden { fn inner() -> u8 { 1 } }",
        cell("hidden::inner()", error="E0603", line=1, says="private"),
    ),
    case(
        "F2q",
        "a moved value, at the end",
        "fn eat(v: Vec<u8>) -> usize { v.len() }",
        cell("let food = vec![1];\neat(food);\nfood.len()", error="E0382", line=3, says="moved"),
    ),
    case(
        "F2r",
        "a generic that cannot be known, at the end",
        "fn make<T: Default>() -> T { T::default() }",
        cell("make()", status="error", error="E028", line=1),
    ),
    case(
        "F4c",
        "three cells of a lesson edited in turn",
        "struct Net { w: f64 }",
        "impl Net { fn new() -> Net { Net { w: 1.0 } } }",
        "let net = Net::new();",
        cell("struct Net { w: f64, b: f64 }", lost="net", says="set aside.*new"),
        "impl Net { fn new() -> Net { Net { w: 1.0, b: 0.5 } } }",
        "let net = Net::new();",
        cell("net.w + net.b", value="1.5"),
    ),
    case(
        "F5c",
        "return from a nested loop, text before it is shown",
        "let keep = 1;",
        cell('for i in 0..3 { for j in 0..3 { if i + j == 3 { println!("{i} {j}"); return; } } }', stdout="1 2\n"),
        cell("keep", value="1"),
    ),
    case(
        "F6g",
        "partly moved",
        'let pair = (String::from("a"), 1);',
        "let first = pair.0;",
        cell("pair.1", error="E0425", says="moved by cell"),
        cell("first", value='"a"'),
    ),
    case(
        "F6h",
        "moved by a for loop that fails",
        'let words = vec!["1", "x"];\nlet mut sum = 0;',
        cell("for word in words { sum += word.parse::<i32>()?; }", error="invalid digit", line=1, lost="words"),
        either("sum", says=r"(?m)^[01]$|lost"),
    ),
    case(
        "F7h", "unreachable code in a cell", cell('loop { break; }\nfn f() { return; println!("never"); }', says="unreachable")
    ),
    case(
        "F8d",
        "own names for what every cell may need",
        "#[allow(non_camel_case_types)]\nstruct u8;\nmod core { }\nfn print() {}\nfn format() {}\nconst RESULT: i32 = 1;",
        cell("RESULT + 1", value="2"),
        "let v = vec![1, 2];",
        cell("v", value="[1, 2]"),
    ),
    case(
        "F10b",
        "markers on standard error and of a child",
        "let keep = 1;",
        cell(
            'eprintln!("EVCXR_EXECUTION_COMPLETE");\nstd::process::Command::new("echo").arg("EVCXR_EXECUTION_COMPLETE").status()?;',
            timeout=20,
            says="EVCXR_EXECUTION_COMPLETE",
        ),
        cell("keep", value="1"),
        cell("3", value="3"),
    ),
    case(
        "F11b",
        "an evcxr_display that is not in scope",
        "#[derive(Debug)]\nstruct Two(i32);\nmod a { pub trait Pic { fn evcxr_display(&self) {} } impl Pic for super::Two {} }",
        cell("Two(1)", value="Two(1)"),
    ),
    case(
        "N5b",
        "a struct moved into another",
        "#[derive(Debug)]\nstruct In(u8);\nlet inner = In(1);",
        "let outer = Some(inner);",
        cell("inner.0", error="E0425", line=1, says="moved by cell 2|moved by cell"),
        cell("outer", value="Some(In(1))"),
    ),
    case(
        "N10c",
        "a module of tests",
        either("#[cfg(test)]\nmod tests { #[test]\nfn works() { assert!(true); } }", says="(?i)test"),
        cell("1 + 1", value="2"),
    ),
    case(
        "N11b",
        "dbg! in a function of an earlier cell",
        "fn shown(n: i32) -> i32 {\n    dbg!(n * 2)\n}",
        cell("shown(4)", value="8", says=r"n \* 2 = 8", never=r"\.rs:", last=True),
    ),
    case(
        "S14b",
        "unwrap in a closure of an earlier cell",
        "fn pick(v: &[i32]) -> i32 {\n    *v.iter().find(|n| **n > 5).unwrap()\n}",
        cell("let v = vec![1];\n\nlet n = pick(&v);", error="None", place=(1, 2), line=3),
    ),
    case(
        "S16b",
        "a file that may not be read as text",
        'std::fs::write("raw.bin", [255u8, 254])?;',
        cell('let a = 1;\nstd::fs::read_to_string("raw.bin")?', error="UTF-8", line=2, says="io::Error"),
    ),
    case(
        "C02d",
        "two threads panic, the cell panics by itself",
        cell(
            'let a = std::thread::spawn(|| panic!("one")).join().is_err();\nlet b = std::thread::spawn(||'
            ' panic!("two")).join().is_err();\nassert!(!(a && b), "both");',
            error="both",
            line=3,
        ),
    ),
    case(
        "C05b",
        "functions, types and imports after a crash",
        "use std::collections::BTreeMap;",
        cell("#[derive(Debug)]\nstruct Kept(u8);\nfn make() -> Kept { Kept(3) }\nstd::process::abort();", status="error"),
        cell("make()", value="Kept(3)"),
        cell("BTreeMap::from([(1, 2)])", value="{1: 2}"),
    ),
    case(
        "C06c",
        "an enum loses a variant that an older function uses",
        'enum Op { Add, Sub }\nfn name(op: &Op) -> &\'static str {\n    match op {\n        Op::Add => "+",\n        Op::Sub =>'
        ' "-",\n    }\n}',
        cell("enum Op { Add }", says=("set aside: fn name of cell 1", "E0599", r"Op::Sub")),
        cell("1 + 1", value="2"),
    ),
    case(
        "C06d",
        "what was set aside comes back when its cell runs again",
        "struct T { a: i32 }\nfn look(t: &T) -> i32 { t.a }",
        cell("struct T { b: i32 }", says="set aside: fn look"),
        "struct T { a: i32 }",
        "fn look(t: &T) -> i32 { t.a }",
        cell("look(&T { a: 4 })", value="4"),
    ),
    case(
        "C09b",
        "a failing cell aborts those behind it",
        cell('panic!("stop here")', error="stop here", line=1),
        cell("1", value="1"),
        shared=True,
    ),
    case(
        "C14b",
        "a collection of unknown items",
        cell("let empty = Vec::new();", error="E0282", line=1, says="empty"),
        cell("let mut kinds = std::collections::HashMap::new();", error="E0282", line=1),
        shared=True,
    ),
    case(
        "C15b",
        "memory that is not there",
        cell(
            "let n = std::hint::black_box(usize::MAX / 2);\nlet v: Vec<u8> = Vec::with_capacity(n + 10);",
            error="capacity overflow",
            line=2,
        ),
        cell("1", value="1"),
    ),
    case(
        "D02d",
        "a question in a function of an earlier cell",
        f"fn ask() -> String {{ {ASK.format('name')}.unwrap_or_default() }}",
        cell('ask() + "!"', answers=("Zoë",), value='"Zoë!"'),
        gpt_lab=True,
    ),
    case(
        "D04f",
        "read_to_string where the notebook may not be asked",
        cell("std::io::read_to_string(std::io::stdin())?.len()", options={"allow_stdin": False}, value="0", timeout=30),
    ),
    case(
        "D04g",
        "two lines, two questions",
        cell(
            READ.replace("?;\nline", "?;\nstd::io::stdin().read_line(&mut line)?;\nline"),
            answers=("one", "two"),
            value='"one\\ntwo\\n"',
            timeout=30,
        ),
    ),
    case(
        "D06b",
        "a failing cell counts, a silent failing cell does not",
        cell("missing_d06", error="E0425"),
        cell("missing_d06", status="error", options={"silent": True}),
        count_is(2),
    ),
    case(
        "D08b",
        "Tab after characters of several bytes",
        "let größe = vec![1u8];",
        completion('let s = "日本"; größe.le', says="len"),
        inspection("größe", 3),
        cell("größe.len()", value="1"),
    ),
    case(
        "D12f",
        "a command between statements",
        "let d12f = 1u8;",
        either("let a = 2u8;\n:vars\nlet b = 3u8;", says=r"d12f: u8|:vars.*(first|before|line)"),
        cell("1 + 1", value="2"),
    ),
    case(
        "E03d",
        "stop ends a pipeline",
        cell(
            'println!("on");\nlet a = std::process::Command::new("sleep").arg("65").spawn()?;\nlet b ='
            ' std::process::Command::new("sleep").arg("66").status()?;',
            stop="printed",
            status="error",
            timeout=30,
        ),
        no_program("sleep"),
    ),
    case(
        "E04f",
        ":restart in the middle of a session with types",
        "struct P(u8);\nlet p = P(1);",
        ":restart",
        "struct P { x: f64 }\nlet p = P { x: 2.0 };",
        cell("p.x", value="2.0"),
    ),
    case(
        "E12c",
        "a function of a crate is edited, variables stay",
        cell(':dep tools = { path = "./tools" }', timeout=280),
        "let keep = vec![tools::k()];",
        write("tools/src/lib.rs", "pub fn k() -> u16 { 50 }"),
        cell("tools::k()", value="50", timeout=120),
        cell("keep", value="[5]"),
        files=crate("tools", "pub fn k() -> u16 { 5 }"),
    ),
    case("E17b", "forty cells that each use the one before", "let n = 0u64;", *("let n = n + 1;",) * 40, cell("n", value="40")),
    case(
        "X1c",
        "a crate that needs another local crate",
        cell(':dep outer = { path = "./outer" }\nouter::both()', value="3", timeout=280),
        files={
            **crate("inner", "pub fn two() -> i32 { 2 }"),
            **crate("outer", "pub fn both() -> i32 { inner::two() + 1 }"),
            "outer/Cargo.toml": (
                '[package]\nname = "outer"\nversion = "0.1.0"\nedition = "2021"\n\n[dependencies]\ninner = { path = "../inner"'
                " }\n\n[workspace]\n"
            ),
        },
    ),
    case(
        "X4e",
        "a trait that is not imported, at the end",
        "fn f() {}",
        cell('let mut s = String::new();\nwrite!(s, "x")', error="E0599", line=2, says=("std::fmt::Write", "write_fmt")),
    ),
    case(
        "X11b",
        "three presses in a row",
        "let keep = 6;",
        cell(
            'println!("on");\nfor _ in 0..25 { std::thread::sleep(std::time::Duration::from_millis(100)); }',
            stop="twice",
            status=None,
            timeout=30,
        ),
        cell("keep", value="6"),
    ),
    case(
        "G1c",
        "a child that asks gets nothing, the cell goes on",
        cell(
            CHILD.format("head", '["-n", "1"]', "status()") + '\nprintln!("after");',
            options={"allow_stdin": False},
            says="after",
            timeout=30,
        ),
    ),
)
