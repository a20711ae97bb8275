"""N: what a learner is told; S: other cells that learners write."""

from .model import case, cell, completion, either

TENSOR = "use gpt_lab::prelude::*;\nlet x = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;"
NO_TRACE = r"found keyword `fn`|found `#`|similar name: `Ok`"


def wrong(id, title, code, error, line=1, before=(), **options):
    """A mistake, named with its line; the words of generated code are out for all cases."""
    gpt_lab = options.pop("gpt_lab", False)
    return case(id, title, *before, cell(code, error=error, line=line, **options), shared=not before, gpt_lab=gpt_lab)


CASES = (
    wrong(
        "N1",
        "own function, wrong argument",
        'own_n1("a", 1)',
        "E0308",
        before=("fn own_n1(n: i32, m: i32) -> i32 { n + m }",),
        says="mismatched|arguments",
        never="error: function defined here",
    ),
    case(
        "N2",
        "a variable whose trait is not imported",
        'mod api { pub trait Speak { fn say(&self) -> &str; } impl Speak for u8 { fn say(&self) -> &str { "u8" } }\n'
        "pub fn get() -> Option<Box<dyn Speak>> { Some(Box::new(1u8)) } }",
        "let voice = api::get();",
        cell("voice.is_some()", value="true"),
    ),
    case(
        "N3",
        "garbage in a Config: never",
        '#[derive(Debug)]\nstruct Conf { width: u32, name: String }\nlet conf = Conf { width: 7, name: String::from("a") };',
        cell("#[derive(Debug)]\nstruct Conf { name: String, width: f64 }", lost="conf"),
        cell("conf.width", error="E0425", says="lost"),
    ),
    case(
        "N4",
        "a value moved by a cell that failed, then the corrected cell",
        'let x = String::from("1");\nlet y = "b";',
        cell('let z: i32 = (x + y).parse()?;\nprintln!("{z}");', error="invalid digit", line=1, lost="x"),
        cell("x.len()", error="E0425", says=r"moved by|lost"),
    ),
    case(
        "N4b",
        "a tensor moved by a cell that failed",
        TENSOR + "\nlet w = Tensor::new(&[1f64], &Device::Cpu)?;",
        cell("let z = (x + w)?;", error="", line=1, lost="x"),
        either("x", says=r"moved|lost|Tensor"),
        gpt_lab=True,
    ),
    case(
        "N5",
        "moved two cells ago",
        'let names = vec!["a"];',
        "let n = names.into_iter().count();",
        "let b = 2;",
        cell('let a = 1;\nprintln!("{names:?}");', error="E0425", line=2, says=r"`?names`? was moved by cell 2|moved by cell"),
    ),
    case(
        "N6",
        "a forgotten ? is said",
        "#[derive(Debug)]\nstruct V;\nimpl V { fn set(&self, n: i32) -> Result<(), String> { if n > 0 { Ok(()) } else {"
        ' Err("no".into()) } } }',
        cell("V.set(-1);", says="unused"),
        cell("for n in 0..2 { V.set(n); }", says="unused"),
    ),
    *(
        case(
            f"N7{letter}",
            f"stderr before the value: {code[:25]}",
            *(cell(code, value=value, last=True, results=1, displays=0) for _ in range(5)),
            shared=True,
        )
        for letter, code, value in (
            ("", 'for n in 0..3 { eprintln!("step {n}"); } "done"', '"done"'),
            ("b", "let d = dbg!(5 + 1); d", "6"),
        )
    ),
    case(
        "N7c",
        "what must be used and is not is said on stderr",
        cell("[1, 2].iter().map(|n| n + 1);", says="unused"),
        shared=True,
    ),
    wrong("N9", "a string that is never closed", 'let a = 1;\nlet b = 2;\nprintln!("hi);\nlet c = 3;', "unterminated", 3),
    wrong("N9b", "a brace that is never closed", 'let n9b = 1;\nif n9b == 1 {\n    println!("x");', "", 2),
    wrong("N9c", "an expression that ends too early", "let n9c = 1;\n1 +", "expected expression", 2, never=NO_TRACE),
    wrong("N9d", "a name that std does not have", "let n9d = 1;\nuse std::collections::HasMap;", "E0432", 2, says="HashMap"),
    wrong("N9e", "a crate that is not there", "use rand_zz::Rng;", "E0432", 1, says=r":dep rand_zz"),
    wrong("N9f", "a division by nothing, at the end", "let n9f = 1;\n10 / 0", "divi", 2),
    wrong("N9g", "an unclosed parenthesis", "let n9g = (1 + 2;\nlet b = 3;", "", 1, never=NO_TRACE),
    wrong("N9h", "a comment that is never closed", "let n9h = 1;\n/* and so on", "unterminated", 2),
    wrong("N9i", "a char of three letters", "let n9i = 'abc';", "character literal"),
    case(
        "N10",
        "#[test] in a cell says what it does here",
        either("#[test]\nfn adds() { assert_eq!(1 + 1, 2); }", says="(?i)test"),
    ),
    case("N10b", "fn main says what it does here", either('fn main() { println!("hello"); }', says="main")),
    case(
        "N11",
        "dbg! names the learner's place",
        "let n = 1;",
        cell("let a = 1;\ndbg!(a + 1);", says=(r"2", r"a \+ 1 = 2"), never=r"\.rs:"),
    ),
    *(
        wrong(f"N12{letter}", f"what does not parse is an error: {code}", f"let before = 1;\n{code}", "", 2, never=NO_TRACE if letter != "b" else ())
        for letter, code in (
            ("", "let type = 3;"),
            ("b", "let fn = 3;"),
            ("c", "let let = before;"),
            ("d", "let"),
            ("e", "use std::"),
            ("f", "let match = 1;\nlet after = 2;"),
            ("g", "struct = 5;"),
            ("h", "let x y = 2;"),
        )
    ),
    case("N12i", "return with a value", either("return 5", says=r"return|5"), cell("1 + 1", value="2")),
    wrong("N12j", "a stray brace at the beginning", "}\nlet after = 1;", "", 1, never=NO_TRACE),
    wrong("N12k", "an open comment at the beginning", "/* not closed\nlet after = 1;", "unterminated", 1),
    case(
        "N12l",
        "nothing of a cell that does not parse has run",
        cell('println!("ran");\nlet type = 3;', line=2, stdout=""),
        shared=True,
    ),
    wrong(
        "N13", "a stray parenthesis later", "let a = 1;\nlet b = (1 + ;\nlet c = 2;", "", 2, never=NO_TRACE
    ),
    wrong(
        "N13b",
        "a stray brace later",
        "let a = 1;\nlet b = 2;\n}\nlet c = 3;",
        "unexpected closing delimiter",
        3,
        never="mismatched",
    ),
    wrong("N13c", "Python: for", "for i in range(10):\n    print(i)", "", 1, never=NO_TRACE),
    wrong("N13d", "Python: print", 'print("hi")', "", 1, says="println|print!", never=NO_TRACE),
    wrong("N13e", "Python: import", "import numpy as np", "", 1, never=NO_TRACE),
    wrong("N13f", "Python: a comment", "# a comment\nlet x = 1;", "", 1, never=NO_TRACE),
    wrong("N13g", "Python: def", "def f(x):\n    return x", "", 1, never=NO_TRACE),
    wrong("N13h", "Python: True", "let yes = True;", "E0425", 1, says="true", never=NO_TRACE),
    # Learners' cells.
    case(
        "S01", "a method on a Result", TENSOR.replace("?;", ";"), either("x.sum_all()"), gpt_lab=True, says=("E0599", "Result")
    ),
    wrong(
        "S02",
        "matmul of wrong shapes",
        "let y = Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu)?;\nlet z = x.matmul(&y)?;",
        "shape",
        2,
        before=(TENSOR,),
        kept="x",
        gpt_lab=True,
    ),
    case(
        "S03", "a tensor as a value", TENSOR, cell("x", says="Tensor|1"), cell('println!("{x}");', says=r"1.*2"), gpt_lab=True
    ),
    wrong("S04", "a module called as a function", "show(&x)", "expected function", before=(TENSOR,), gpt_lab=True, says="show"),
    wrong(
        "S04b", "a function with a letter missing", "show::tensr(&x)", "E0425", before=(TENSOR,), gpt_lab=True, says="tensor"
    ),
    wrong(
        "S05",
        "curves with a wrong list",
        'show::curves("loss", vec![1.0])',
        "E0308",
        before=(TENSOR,),
        gpt_lab=True,
        says="expected",
    ),
    wrong("S06", "? in a function without Result", 'fn s06() {\n    let n: i32 = "1".parse()?;\n}', "E0277", 2),
    wrong("S06b", "a function without its Ok", "fn s06b() -> Result<i32, String> {\n    5\n}", "E0308", 2, says="Ok"),
    wrong("S07", "moved in the same cell", 'let s07 = vec![1];\nlet t = s07;\nprintln!("{s07:?}");', "E0382", 3, says="moved"),
    case(
        "S08",
        "push to what is not mutable",
        "let v = vec![1];",
        cell("v.push(4);", error="E0596", line=1, says=r"let mut v"),
        cell("v.len()", value="1"),
    ),
    case(
        "S08b",
        "adding to what is not mutable",
        "let n = 1;",
        cell("n += 1;", line=1, says=r"let mut n"),
        "let mut n = n;\nn += 1;",
        cell("n", value="2"),
    ),
    case(
        "S09",
        "a reference and a push",
        "let mut v = vec![1];",
        cell('let first = &v[0];\nv.push(4);\nprintln!("{first}");', error="E0502", line=2),
        cell("v.len()", value="1"),
    ),
    wrong("S10", "adding two texts", 'let s10 = "a" + "b";', "E0369"),
    wrong("S10b", "a letter of a text by number", 'let s10b = "abc";\ns10b[0]', "E0277", 2),
    wrong("S10c", "a text as a number", 'let s10c: i32 = "5";', "E0308"),
    wrong("S10d", "a method of another language", '"abc".to_upper()', "E0599"),
    wrong("S11", "sum without a type", "let s11 = vec![1, 2].iter().sum();", "E0283"),
    wrong("S11b", "an index below zero", "let s11b = vec![1];\nlet i: i32 = -1;\ns11b[i]", "E0277", 3),
    wrong("S11c", "a vector of unknown type", "let s11c = vec![];", "E0282"),
    wrong("S11d", "a loop over a number", 'for i in 5 { println!("{i}"); }', "E0277"),
    wrong("S12", "a generic without bound", "fn s12<T>(a: T, b: T) -> bool {\n    a < b\n}", "E0369", 2, says="PartialOrd"),
    wrong("S12b", "a missing lifetime", "fn s12b(a: &str, b: &str) -> &str { a }", "E0106"),
    wrong("S12c", "a missing else", "let s12c: i32 = if true { 1 };", "E0317"),
    wrong("S13", "assert_eq", "let s13 = 1;\nassert_eq!(s13, 2);", "left", 2, says="right"),
    wrong("S13b", "todo", 'todo!("exercise 3")', "exercise 3"),
    wrong("S13c", "unwrap of nothing", "let s13c: Option<i32> = None;\ns13c.unwrap()", "None", 2),
    wrong(
        "S13d",
        "overflow in an own function",
        "fn fact(n: i32) -> i32 { if n < 2 { 1 } else { n * fact(n - 1) } }\nfact(20)",
        "overflow",
        1,
    ),
    case(
        "S14",
        "a panic in a function of an earlier cell names both lines",
        "fn third(xs: &[i32]) -> i32 {\n    xs[2]\n}",
        "let a = 1;",
        cell("let b = 2;\nlet list = vec![1];\nthird(&list)", error="out of bounds", place=(1, 2), line=3),
    ),
    case(
        "S15",
        "labels, shadowing, names in other scripts",
        "let größe = 1;",
        "let größe = größe + 1;",
        "let mut n = 0;\n'outer: for i in 0..3 { for j in 0..3 { if i * j == 2 { break 'outer; } n += 1; } }",
        cell("(größe, n)", value="(2, 5)"),
    ),
    wrong("S15b", "continue outside of a loop", "continue;", "E0268"),
    wrong(
        "S16",
        "a file that is not there",
        'std::fs::read_to_string("nope.txt")?',
        "No such file",
        says=r"io::Error",
        never=r"std::Error",
    ),
    case(
        "S17",
        "plotters without :dep",
        cell("use plotters_zz::prelude::*;", error="", line=1, says=r":dep plotters_zz", never=r"cargo add"),
    ),
    case(
        "S18",
        "a closure kept over cells",
        "let add = 3;\nlet plus = move |n: i32| n + add;",
        either("plus(2)"),
        says=(r"(?m)^5$|Box|fn\(",),
    ),
    case(
        "S19",
        "an iterator without collect",
        "let v = vec![1, 2, 3];",
        either("let doubled = v.iter().map(|n| n * 2);"),
        cell("v.len()", value="3"),
    ),
    case(
        "S20",
        "Tab after a name of an earlier cell",
        "let accuracy = 0.5;",
        completion("accur", reply={"status": "ok"}, says="accuracy"),
    ),
    case(
        "S21",
        "variables with a pattern",
        'let (a, [b, c], Some(d)) = (1, [2, 3], Some(4)) else { panic!() };\nlet Ok(e) = "5".parse::<i32>() else { return };',
        cell("(a, b, c, d, e)", value="(1, 2, 3, 4, 5)"),
    ),
    case("S22", "a variable that is set later", either("let later;\nlater = 5;"), either("later", says=r"(?m)^5$|later")),
)
