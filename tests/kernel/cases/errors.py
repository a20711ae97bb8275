"""C: errors, and the places that they name."""

from .model import case, cell, either

Z = "let z = std::hint::black_box(0);\nlet w = 1;\n"
SHAPE = "struct Shape { w: f64, h: f64 }\nfn area(s: &Shape) -> f64 {\n    s.w * s.h\n}"


def last(letter, title, code, error, line, **more):
    """A panic or error in the last expression of a cell has that line."""
    return case(f"C10{letter}", f"the last expression: {title}", cell(code, error=error, line=line, **more), shared=True)


CASES = (
    case(
        "C01",
        "a panic that was caught and the one that was not",
        cell(
            'let _ = std::panic::catch_unwind(|| { if true { panic!("first") } });\npanic!("second");', error="second", line=2
        ),
    ),
    case(
        "C01b",
        "two caught, one not",
        'fn risky(n: i32) { if n > 0 { panic!("risky {n}") } }',
        cell(
            'for n in 0..3 { let _ = std::panic::catch_unwind(move || risky(n)); }\nlet n: Option<u8> = None;\nn.expect("the'
            ' last")',
            error="the last",
            line=3,
        ),
    ),
    case(
        "C01c",
        "a panic in the payload of another",
        cell('let r = std::panic::catch_unwind(|| panic!("one"));\nstd::panic::resume_unwind(r.unwrap_err());', error="one"),
    ),
    case(
        "C02",
        "a thread's panic and join().unwrap()",
        cell('let t = std::thread::spawn(|| panic!("in the worker"));\nt.join().unwrap();', line=2, error="unwrap"),
    ),
    case(
        "C02b",
        "thread::scope",
        cell(
            'let n = 1;\nstd::thread::scope(|s| { s.spawn(|| panic!("scoped")); });', line=2, error="a scoped thread panicked"
        ),
    ),
    case(
        "C02c",
        "a detached thread panics: the cell goes well",
        cell('std::thread::spawn(|| panic!("alone")).join().is_err()', value="true"),
        cell("1", value="1"),
    ),
    case(
        "C03",
        "a hook of the learner",
        'std::panic::set_hook(Box::new(|_| eprintln!("my hook")));',
        cell('panic!("hooked")', says="my hook", error="panic"),
        "let _ = std::panic::take_hook();",
        cell('let a = 1;\npanic!("as usual")', error="as usual", line=2),
    ),
    case(
        "C05",
        "a crash of the process: functions of that cell are kept",
        "let gone = 5;\nfn earlier() -> i32 { 3 }",
        cell(
            "fn down(n: u64) -> u64 { unsafe { *(std::hint::black_box(8usize) as *const u64) + n } }\ndown(1)",
            error="SIG",
            says="variables",
        ),
        cell("earlier()", value="3"),
        cell("gone", error="E0425", says="lost|ended"),
        either("down as fn(u64) -> u64;", never="E0425"),
    ),
    case(
        "C06",
        "a function of an earlier cell no longer fits",
        SHAPE,
        "let n = 1;",
        cell("struct Shape { r: f64 }", says=(r"set aside: fn area of cell 1", r"E0609", r"s\.w \* s\.h", r"line 3")),
        cell("area", status="error", error="E0425"),
        "fn area(s: &Shape) -> f64 { s.r }",
        cell("area(&Shape { r: 2.0 })", value="2.0"),
    ),
    case(
        "C06b",
        "a callee changes its parameters",
        'fn base(x: &str) -> usize { x.len() }\nfn caller() -> usize { base("abc") }',
        cell("fn base(x: i32) -> usize { x as usize }", says=(r"set aside: fn caller", "E0308")),
        cell("base(4)", value="4"),
    ),
    case(
        "C07",
        "formats with too few arguments",
        cell('println!("{} {}", 1);', error="2 positional arguments", line=1),
        shared=True,
    ),
    case(
        "C07b",
        "an unknown format argument",
        cell('let c07 = 1;\nprintln!("{co7}");', error="E0425", line=2, says="c07"),
        shared=True,
    ),
    *(
        case(
            f"C08{letter}",
            f"a macro or syntax error: {code[:30]!r}",
            cell(code, error=error, line=line, never="mismatched closing"),
            shared=True,
        )
        for letter, code, error, line in (
            ("", "let a = 1;\nno_such_macro!(a);", "cannot find macro", 2),
            ("b", "let v = vec![1, 2;", "", 1),
            ("c", "let a = 1;\nfn f( { }", "", 2),
            ("d", "macro_rules! only { (a) => { 1 } }\nonly!(b)", "no rules expected", 2),
            ("e", 'let s = format!("{");', "invalid format string", 1),
            ("f", "foo(", "", 1),
            ("g", "let a = 5\nlet b = 6;", "expected", 1),
        )
    ),
    case(
        "C09",
        "stop_on_error off: the queue goes on",
        cell("let c09: u8 = 300;", error="300", line=1, options={"stop_on_error": False}),
        cell("c09_missing", error="E0425", options={"stop_on_error": False}),
        cell("1 + 1", value="2"),
        shared=True,
    ),
    last("", "a division", Z + "1 / z", "divide by zero", 3),
    last("b", "a remainder", Z + "1 % z", "remainder", 3),
    last("c", "an overflow", Z + "i32::MAX + w", "overflow", 3),
    last("d", "an index of an array", Z + "let arr = [1, 2];\nlet i = z + 7;\narr[i as usize]", "out of bounds", 5),
    last("e", "an index of a Vec", "let v = vec![1];\nlet n = 2;\n\nv[n]", "out of bounds", 4),
    last("f", "an index that rustc sees", "let w = 1;\n[1, 2, 3][7]", "this operation will panic", 2),
    last("g", "a division that rustc sees", "let w = 1;\n1 / 0", "this operation will panic", 2),
    last("h", "an overflow that rustc sees", "255u8 + 1", "overflow", 1),
    last("i", "a value without Debug", "struct NoDebug;\nlet w = 1;\nNoDebug", "NoDebug", 3, says="Debug"),
    last("j", "a method chain over lines", Z + "Some(3)\n    .map(|n| n / z)\n    .unwrap()", "divide by zero", 4),
    last("k", "a slice that is too long", 'let text = "abc";\nlet n = text.len();\n&text[1..n + 5]', "", 3),
    last("l", "a negation", "let m = std::hint::black_box(i32::MIN);\n-m", "overflow", 2),
    case(
        "C11",
        "a cell with a warning and an error names both rightly",
        cell('let mut c11 = 1;\nlet d: u8 = "a";', error="E0308", line=2),
        shared=True,
    ),
    case(
        "C12",
        "an error of io, and a question mark on None",
        "let keep = 3;",
        cell('let one = 1;\nstd::fs::File::open("nope")?;', error="No such file", line=2, says="io::Error", never="std::Error"),
        cell("let n: i32 = None?;", error="", line=1, says="Option"),
        cell("keep", value="3"),
    ),
    case(
        "C12b",
        "an own error type",
        "#[derive(Debug)]\nstruct Mine(u8);\nimpl std::fmt::Display for Mine { fn fmt(&self, f: &mut std::fmt::Formatter) ->"
        ' std::fmt::Result { write!(f, "mine {}", self.0) } }\nimpl std::error::Error for Mine {}\nfn fails() -> Result<u8,'
        " Mine> { Err(Mine(4)) }",
        cell("let a = 1;\nlet b = fails()?;", error="mine 4", line=2, says="Mine"),
    ),
    case(
        "C12c",
        "an error that is a text",
        cell('Err::<(), String>("just text".into())?;', error="just text", line=1),
        shared=True,
    ),
    case(
        "C13",
        "an index in a function of an earlier cell",
        "let v = vec![1, 4, 9];",
        "fn at(v: &[i32], i: usize) -> i32 {\n    v[i]\n}",
        cell("at(&v, 2)", value="9"),
        cell("at(&v, 1)", value="4"),
        cell("let i = 8;\nat(&v, i)", error="out of bounds", place=(2, 2), line=2),
    ),
    case(
        "C13b",
        "a panic in a method of an earlier cell",
        'struct Bag(Vec<u8>);\nimpl Bag {\n    fn top(&self) -> u8 {\n        *self.0.last().expect("an empty bag")\n    }\n}',
        cell("let bag = Bag(vec![]);\n\nbag.top()", error="an empty bag", place=(1, 4), line=3),
    ),
    case(
        "C14",
        "a type that nobody knows",
        cell("let v1 = Default::default();", error="E0790", line=1),
        cell("let v2 = None;", error="E0282", line=1, says="v2"),
        cell('let v3 = "1".parse().unwrap();', error="E0284", line=1),
        either("let c1 = |n: i32| n;\nlet c2 = c1;"),
        cell("1", value="1"),
    ),
    case(
        "C15",
        "a stack that overflows says so in the error",
        "fn deep(n: u64) -> u64 { if n == u64::MAX { 0 } else { 1 + deep(std::hint::black_box(n + 1)) } }",
        cell("deep(0)", error="", says="overflow", status="error"),
    ),
    case(
        "C16",
        "many errors at once: all are named, each once",
        cell(
            'let a: u8 = "x";\nlet b: u8 = nothing;\nlet c: String = 5;',
            error="E0308",
            line=1,
            says=("E0425", r"line 2\b", r"line 3\b"),
            never=r"(?s)E0425.*E0425.*E0425.*E0425.*E0425",
        ),
        shared=True,
    ),
)
