"""A: what the language promises over several cells."""

from .model import act, case, cell, completion, either, is_complete, write

SHAPE = r"""trait Shape { fn area(&self) -> f64; }
struct Square(f64);
impl Shape for Square { fn area(&self) -> f64 { self.0 * self.0 } }
let s: Box<dyn Shape> = Box::new(Square(2.0));"""
NAMED = r"""trait Shape { fn name(&self) -> String; fn area(&self) -> f64; }
impl Shape for Square {
    fn name(&self) -> String { String::from("square") }
    fn area(&self) -> f64 { self.0 * self.0 }
}"""
RAW = 'let text = r##"a "quote", // no comment, /* nor this, } and "# too"##;\nprintln!("{text}");'
RAW_TEXT = 'a "quote", // no comment, /* nor this, } and "# too\n'


def prefixes(lab, _):
    """Every beginning of a cell is answered at once."""
    for end in range(len(RAW) + 1):
        reply = lab.request("is_complete_request", {"code": RAW[:end]}, timeout=2)
        assert reply["status"] in ("complete", "incomplete", "invalid"), (RAW[:end], reply)


def redefined(id, first, second, **options):
    """A type that changes takes its variable along, and says so; nothing reads the old bytes."""
    gone = cell('println!("{:?}", p.x);', error="E0425", line=1, says=r"lost")
    return case(id, f"old bytes under a new type: {second[:40]}", first, cell(second, lost="p"), gone, **options)


CASES = (
    case(
        "A01",
        "a struct and its variable again, in one cell",
        "struct P { x: i32 }\nlet p = P { x: 1 };",
        "struct P { x: i32, y: i32 }\nlet p = P { x: 2, y: 5 };",
        cell("(p.x, p.y)", value="(2, 5)"),
    ),
    case(
        "A01b",
        "a struct and its variable again, in two cells",
        "struct P { x: i32 }",
        "let p = P { x: 1 };",
        cell("struct P { x: i32, y: i32 }", lost="p"),
        "let p = P { x: 2, y: 5 };",
        cell("(p.x, p.y)", value="(2, 5)"),
    ),
    case(
        "A01c",
        "an enum with a variant more; what does not depend on it stays",
        "#[derive(Debug)]\nenum Mode { On, Off }\nlet mode = Mode::Off;\nlet other = 4;",
        cell("#[derive(Debug)]\nenum Mode { On, Dim(u8), Off }", lost="mode", kept="other"),
        "let mode = Mode::Dim(7);",
        cell("(mode, other)", value="(Dim(7), 4)"),
    ),
    redefined("A02", "struct P { x: i32 }\nlet p = P { x: 7 };", "struct P { x: u64 }"),
    case(
        "A02b",
        "a Vec of a type that changes",
        "struct P { x: i32 }\nlet ps = vec![P { x: 7 }, P { x: 8 }];",
        cell("struct P { x: u64 }", lost="ps"),
        cell('println!("{}", ps[0].x);', error="E0425", line=1, says="lost"),
    ),
    case(
        "A02c",
        "an enum whose payload changes",
        "enum E { A(u32), B }\nlet e = E::A(5);",
        cell("enum E { A(String), B }", lost="e"),
        cell('if let E::A(text) = &e { println!("{text}"); }', error="E0425", line=1, says="lost"),
    ),
    redefined("A02d", "struct P { x: [usize; 3] }\nlet p = P { x: [1, 2, 3] };", "struct P { x: String }"),
    case(
        "A02e",
        "a constant in the type changes",
        "const N: usize = 2;\nstruct Row { v: [f32; N] }\nlet row = Row { v: [1.0, 2.0] };",
        cell("const N: usize = 5;", lost="row"),
        cell("row.v.len()", error="E0425", line=1, says="lost"),
    ),
    case(
        "A02f",
        "a type alias in the type changes",
        "type Num = u8;\nstruct Cup { n: Num }\nlet cup = Cup { n: 3 };",
        cell("type Num = f64;", lost="cup"),
        cell("cup.n", error="E0425", line=1, says="lost"),
    ),
    case(
        "A02g",
        "a macro that makes the type changes",
        "macro_rules! fields { () => { u32 } }\nstruct M { n: fields!() }\nlet m = M { n: 1 };",
        cell("macro_rules! fields { () => { String } }", lost="m"),
        cell('println!("{}", m.n);', error="E0425", line=1, says="lost"),
    ),
    case(
        "A02h",
        "the same text again changes nothing",
        "struct P { x: i32 }\nlet p = P { x: 7 };",
        cell("struct P { x: i32 }", kept="p"),
        cell("p.x", value="7"),
    ),
    case("A03", "a trait with a method more", SHAPE, cell(NAMED, lost="s"), cell("s.area()", error="E0425", says="lost")),
    case(
        "A03b",
        "trait and impl again in the cell of a new variable",
        SHAPE,
        f"{NAMED}\nlet s: Box<dyn Shape> = Box::new(Square(3.0));",
        cell("(s.name(), s.area())", value='("square", 9.0)'),
    ),
    case(
        "A03c",
        "a trait whose methods change places",
        "trait Talk { fn one(&self) -> u64; fn two(&self) -> u64; }\nstruct T;\n"
        "impl Talk for T { fn one(&self) -> u64 { 1 } fn two(&self) -> u64 { 2 } }\nlet t: Box<dyn Talk> = Box::new(T);",
        cell("trait Talk { fn two(&self) -> u64; fn one(&self) -> u64; }", lost="t"),
        cell("t.one()", error="E0425", says="lost"),
    ),
    case(
        "A04",
        "return ends a cell and costs nothing",
        'let earlier = String::from("here");',
        "let n = 1; if n == 1 { return; }",
        cell("1 + 1", value="2"),
        either("n", says=r"(?m)^1$|not made|ended"),
        cell("earlier.len()", value="4"),
    ),
    case(
        "A04b",
        "let else with return",
        "let keep = vec![1, 2];",
        'let Some(first) = Vec::<i32>::new().pop() else { println!("empty"); return };\nlet later = first;',
        cell("keep.len()", value="2"),
        cell("1 + 1", value="2"),
    ),
    case(
        "A04c",
        "return Ok(()) after a question mark",
        'let keep = 3;\nlet k: i32 = "5".parse()?;',
        either('let q: i32 = "5".parse()?;\nlet w = 1;\nif q == 5 { return Ok(()); }'),
        cell("1 + 1", value="2"),
        cell("keep + k", value="8"),
    ),
    case(
        "A04d",
        "return in a loop of a cell with a question mark",
        "let keep = 3;",
        either('for word in ["1", "two"] { let n: i32 = word.parse()?; if n == 1 { return; } }'),
        cell("keep", value="3"),
    ),
    case(
        "A05",
        "an import of the same name",
        "use std::collections::HashMap as Map;\nlet m: Map<i32, i32> = Map::new();\nlet a = 1;",
        "use std::collections::BTreeMap as Map;",
        cell("1 + 1", value="2"),
        "let m = 5;",
        cell("(m, a)", value="(5, 1)"),
    ),
    case(
        "A05b",
        "an import that changes the type of a field",
        "use std::collections::HashMap as Map;\nstruct Shelf { m: Map<i32, i32> }\nlet shelf = Shelf { m: Map::new() };",
        cell("use std::collections::BTreeMap as Map;", lost="shelf"),
        "let shelf = Shelf { m: Map::from([(1, 2)]) };",
        cell("shelf.m.first_key_value()", value="Some((1, 2))"),
    ),
    case(
        "A06",
        "an own Result does not harm the cells after it",
        'let r = "5".parse::<i32>();',
        "type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;",
        cell("1 + 1", value="2"),
        "let r = 1;",
        cell("r + 1", value="2"),
        'fn five() -> Result<i32> { Ok("5".parse()?) }',
        cell("five()?", value="5"),
    ),
    case(
        "A06b",
        "everything of std::io",
        "use std::io::*;",
        cell('let f = std::fs::File::create("nowhere/at/all");\nf.is_err()', value="true"),
        cell('let n: i32 = "4".parse()?;\nn', value="4"),
    ),
    *(
        case(
            f"A07{letter}",
            f"macros and the functions that use them, in one cell ({order})",
            code,
            cell("(f1(), f2(), f3())", value="(1, 2, 3)"),
            "let y = 1;",
            cell("f1() + f2() + f3() + y", value="7"),
        )
        for letter, order, code in (
            (
                "",
                "macro, function, macro",
                "\n".join(f"macro_rules! m{n} {{ () => {{ {n} }} }}\nfn f{n}() -> i32 {{ m{n}!() }}" for n in (1, 2, 3)),
            ),
            (
                "b",
                "a macro of macros",
                (
                    "macro_rules! one { () => { 1 } }\nmacro_rules! two { () => { one!() + one!() } }\n"
                    "fn f1() -> i32 { one!() }\nfn f2() -> i32 { two!() }\nfn f3() -> i32 { one!() + two!() }"
                ),
            ),
        )
    ),
    case(
        "A08",
        "a macro and a function of one name",
        "macro_rules! twice { ($e:expr) => { 2 * $e } }\nfn twice(n: i32) -> i32 { 2 * n + 100 }",
        cell("twice!(4)", value="8"),
        cell("twice(4)", value="108"),
    ),
    case(
        "A08b",
        "a module and a function of one name",
        "mod shape { pub fn sides() -> i32 { 4 } }\nfn shape() -> i32 { 1 }",
        cell("(shape::sides(), shape())", value="(4, 1)"),
    ),
    case(
        "A08c",
        "a struct and a function of one name",
        "#[derive(Debug)]\nstruct Unit { n: i32 }\n#[allow(non_snake_case)]\nfn Unit(n: i32) -> Unit { Unit { n } }",
        cell("Unit(3)", value="Unit { n: 3 }"),
        cell("Unit { n: 4 }.n", value="4"),
    ),
    case(
        "A08d",
        "a macro and an import of one name",
        "macro_rules! max { ($a:expr) => { $a } }\nuse std::cmp::max;",
        cell("max!(1) + max(2, 3)", value="4"),
    ),
    case(
        "A10",
        "a cell of impl alone runs twice",
        "struct Counter { n: u32 }",
        "impl Counter { fn up(&mut self) { self.n += 1; } }",
        "impl Counter { fn up(&mut self) { self.n += 1; } }",
        "let mut c = Counter { n: 1 };\nc.up();",
        cell("c.n", value="2"),
    ),
    case(
        "A10b",
        "a changed impl takes the place of the older one",
        "struct Counter { n: u32 }",
        "impl Counter { fn up(&self) -> u32 { self.n + 1 } }\nimpl std::fmt::Display for Counter {\n"
        '    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { write!(f, "old") }\n}',
        "impl Counter { fn up(&self) -> u32 { self.n + 10 } }\nimpl std::fmt::Display for Counter {\n"
        '    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result { write!(f, "new") }\n}',
        cell('let c = Counter { n: 1 };\nprintln!("{c} {}", c.up());', stdout="new 11\n"),
    ),
    case(
        "A10c",
        'extern "C" twice',
        'unsafe extern "C" { fn abs(x: i32) -> i32; }',
        'unsafe extern "C" { fn abs(x: i32) -> i32; }',
        cell("unsafe { abs(-3) }", value="3"),
    ),
    case(
        "A10d",
        "impl of From for one's own type, twice",
        "#[derive(Debug)]\nstruct Metre(f64);",
        "impl From<f64> for Metre { fn from(x: f64) -> Self { Metre(x) } }",
        "impl From<f64> for Metre { fn from(x: f64) -> Self { Metre(x * 2.0) } }",
        cell("Metre::from(1.5)", value="Metre(3.0)"),
    ),
    case(
        "A11",
        "another struct of the impl's cell again",
        "struct A;\nstruct B;\nimpl A { fn hi(&self) -> i32 { 1 } }",
        "struct B;",
        cell("A.hi()", value="1"),
    ),
    case(
        "A11b",
        "the function of the impl's cell again",
        "struct A;\nfn make() -> A { A }\nimpl A { fn hi(&self) -> i32 { 1 } }",
        'fn make() -> A { println!("made"); A }',
        cell("make().hi()", value="1", stdout="made\n"),
    ),
    case(
        "A12",
        "variants named as those of the prelude",
        "let keep = 3;",
        "#[derive(Debug)]\nenum Status { Ok, Bad }\nuse Status::*;",
        cell("1 + 1", value="2"),
        cell("keep", value="3"),
        cell('println!("{:?} {:?}", Ok, Bad);', stdout="Ok Bad\n"),
    ),
    *(
        case(
            f"A12{letter}",
            f"a name of the prelude: {code[:30]}",
            "let keep = 3;",
            code,
            cell("keep + 1", value="4"),
            cell('let s = "x";\ns', value='"x"'),
        )
        for letter, code in (
            ("b", "#[allow(dead_code)]\nenum Maybe { None, Some(i32) }\nuse Maybe::*;"),
            ("c", "struct String;"),
            ("d", "struct Vec;\nstruct Box;\nstruct Option;"),
            ("e", 'macro_rules! println { ($($t:tt)*) => { compile_error!("no") } }'),
            ("f", "mod std { pub fn f() {} }"),
            ("g", "fn drop(_: i32) {}\nfn panic() {}\ntrait Drop {}\ntrait Clone {}\ntrait Debug {}"),
        )
    ),
    case(
        "A13",
        "an assignment to nothing",
        cell('nane = "hello";', error="E0425", line=1, says="let"),
        'let name = "hello";',
        cell("name", value='"hello"'),
        shared=True,
    ),
    case(
        "A14",
        "a reference to a variable",
        "let row = vec![10, 50];",
        either("let one = 1;\nlet some = &row[one];", says="some"),
        cell("row[1]", value="50"),
    ),
    case(
        "A15",
        "a cell that fails on its way to a new value keeps the old one",
        "let data = vec![1, 2, 3];",
        cell('let n: i32 = "oops".parse()?;\nlet data = vec![n];', error="invalid digit", line=1),
        cell("data.len()", value="3"),
    ),
    *(
        case(
            f"A15{letter}",
            f"the same with {what}",
            "let data = vec![1, 2, 3];\nlet zero = 0;",
            cell(code, line=line),
            cell("data.len()", value="3"),
        )
        for letter, what, line, code in (
            ("b", "a panic", 1, 'if zero == 0 { panic!("no") }\nlet data = vec![9];'),
            ("c", "an index", 2, "let n = 7 + zero;\nlet data = data[n..].to_vec();"),
            ("d", "a use before", 2, 'println!("{}", data.len());\nlet n: i32 = "x".parse()?;\nlet data = 1;'),
            ("e", "unwrap", 1, "let n: i32 = None.unwrap();\nlet data = vec![n; 2];"),
        )
    ),
    case(
        "A17",
        "a name with another type",
        "let x = 5;",
        'let x = "text";\nlet y = 1.5;',
        cell("(x, y)", value='("text", 1.5)'),
        cell(":vars", says=r"x: &.*str", never=r"(?s)\bx: .*\bx: "),
    ),
    case(
        "A18",
        "a module in a file",
        '#[path = "@folder@/helper.rs"]\nmod helper;',
        cell("helper::seven() * 2", value="14"),
        cell("helper::seven()", value="7"),
        write("helper.rs", "pub fn seven() -> i32 { 21 }\n"),
        '#[path = "@folder@/helper.rs"]\nmod helper;',
        cell("helper::seven()", value="21"),
        files={"helper.rs": "pub fn seven() -> i32 { 7 }\n"},
    ),
    case(
        "A18b",
        "a file that a cell includes changes, the cell does not",
        cell('include!("@folder@/number.txt")', value="7"),
        write("number.txt", "21"),
        cell('include!("@folder@/number.txt")', value="21"),
        cell('include_str!("@folder@/number.txt")', value='"21"'),
        write("number.txt", "28"),
        cell('include_str!("@folder@/number.txt")', value='"28"'),
        files={"number.txt": "7"},
    ),
    case(
        "A19",
        "a static is new in each cell, and that is said somewhere",
        "use std::sync::atomic::{AtomicU32, Ordering::SeqCst};\nstatic SEEN: AtomicU32 = AtomicU32::new(0);",
        cell("SEEN.fetch_add(1, SeqCst)", value="0"),
        either("SEEN.fetch_add(1, SeqCst)", says=r"(?m)^[01]$"),
        cell(":help", says="(?i)static"),
    ),
    case(
        "A20",
        "thread_local! and a function in one cell work, or the word `mod` is said",
        either(
            "use std::cell::Cell;\nthread_local! { static DEPTH: Cell<u32> = const { Cell::new(0) }; }\n"
            "fn deeper() -> u32 { DEPTH.with(|d| { d.set(d.get() + 1); d.get() }) }"
        ),
        either("deeper()"),
        says=(r"(?m)^1$|\bmod\b",),
    ),
    case(
        "A20b",
        "thread_local! in a module",
        "mod depth {\n    thread_local! { static D: std::cell::Cell<u32> = const { std::cell::Cell::new(0) }; }\n"
        "    pub fn deeper() -> u32 { D.with(|d| { d.set(d.get() + 1); d.get() }) }\n}",
        cell("depth::deeper()", value="1"),
    ),
    case(
        "A21",
        "tasks of tokio in several cells",
        cell(':dep tokio = { version = "1", features = ["full"] }', timeout=280),
        "let keep = 1;",
        cell("let h = tokio::spawn(async { 3 });\nh.await?", value="3"),
        cell("let h = tokio::spawn(async { 7 });\nh.await?", value="7"),
        cell('tokio::spawn(async { panic!("inside") }).await?', error="inside"),
        cell("tokio::time::sleep(std::time::Duration::from_millis(5)).await;\nkeep", value="1"),
        network=True,
        slow=True,
    ),
    case(
        "A22",
        "closures as variables",
        "let inc: fn(i32) -> i32 = |x| x + 1;\nlet k = 5;\nlet add: Box<dyn Fn(i32) -> i32> = Box::new(move |x| x + k);",
        cell("(inc(2), add(3))", value="(3, 8)"),
        either("let square = |x: i32| x * x;"),
        either("square(4)"),
        either("let odd = (0..9).filter(|n| n % 2 == 1);", says=r"odd|^$"),
        cell("add(-4)", value="1"),
        says=(r"(?m)^16$|Box|fn\(",),
    ),
    case(
        "A23",
        "quotes, comments and braces in a raw string",
        cell(RAW, stdout=RAW_TEXT),
        is_complete(RAW, "complete"),
        act("every prefix is answered", prefixes),
        shared=True,
    ),
    case(
        "A24",
        "attributes of a cell",
        cell("#![allow(unused_mut)]\nlet mut attr_v = vec![1, 2];\nattr_v", value="[1, 2]"),
        cell("#![allow(dead_code)]\n2 + 2", value="4"),
        either("#![forbid(unsafe_code)]\n1", never=r"error(\[.*\])?: the lint level is defined here"),
        cell("1", value="1"),
    ),
    *(
        case(f"A25{letter}", code.split("\n")[0], cell(code, value=value), cell("1 + 1", value="2"))
        for letter, code, value in (
            ("", "extern crate alloc;\nalloc::boxed::Box::new(5)", "5"),
            ("b", "extern crate core;\ncore::cmp::max(1, 2)", "2"),
            ("c", "extern crate std as stdlib;\nstdlib::cmp::min(1, 2)", "1"),
            ("d", "extern crate alloc as a;\na::vec![1]", "[1]"),
        )
    ),
    case(
        "A25e",
        "a crate that is not there",
        either("extern crate nosuchcrate_zz;", never="error: error:"),
        cell("1 + 1", value="2"),
    ),
    case(
        "A26",
        "debug_assert! is an assertion",
        cell("let one = 1;\ndebug_assert!(one > 2);", error="assertion failed", line=2),
        cell("cfg!(debug_assertions)", value="true"),
        shared=True,
    ),
    case(
        "A26b",
        "debug_assert_eq! in an own function",
        'fn half(n: i32) -> i32 {\n    debug_assert_eq!(n % 2, 0, "odd");\n    n / 2\n}',
        cell("half(3)", error="odd", place=(1, 2)),
        cell("half(4)", value="2"),
    ),
    case(
        "A26c",
        "overflow panics",
        cell("let big: u8 = std::hint::black_box(255);\nlet more = big + 1;", error="overflow", line=2),
        shared=True,
    ),
    case(
        "A27",
        "formats come out exactly",
        cell(
            r'println!("[{:>8.3}|{:<5}|{:^7}|{:#06x}|{:e}]", 3.14159, "ab", "mid", 255, 1500.0);',
            stdout="[   3.142|ab   |  mid  |0x00ff|1.5e3]\n",
        ),
        completion("1 + ", reply={"status": "ok"}),
        shared=True,
    ),
)
