"""Mistakes that learners make in a cell, each with what its message has to contain.

`tools/kernel_messages.py` runs them and writes what a learner sees into messages.md; test_messages.py holds the kernel to
both. Only the substance stands here (which error, which line, which characters are marked); the words are in messages.md,
for people to read.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """One cell that goes wrong, or does nothing where a learner expects something."""

    id: str
    title: str
    cell: str
    # What the message begins with: a code of rustc (`E0308`, or several to choose from), "error" for an error without a code,
    # "panic", the last part of the name of an error that a `?` carried out, or None where the kernel chooses the word itself.
    head: str | None = None
    line: int | None = None  # of the cell, from 1; None where no line can be named
    at: str | None = None  # the characters above the carets
    before: tuple = ()  # cells that ran before and went well
    ends: str = "error"  # or "ok" (then the line is named on stderr), or "either"
    says: tuple = ()  # regular expressions, each found in what the learner sees
    never: tuple = ()  # words that would lead astray
    origin: str | None = None  # where the error lies if not in this cell: "cell 1, line 2"
    env: tuple = ()  # of the kernel
    varies: bool = False  # another program speaks, differently on each machine: not written into messages.md


def m(id, title, cell, head=None, line=None, at=None, before=(), says=(), never=(), env=(), **more):
    """A mistake; a single string will do where several can stand."""
    several = [(value,) if isinstance(value, str) else tuple(value) for value in (before, says, never)]
    return Mistake(id, title, cell, head, line, at, several[0], says=several[1], never=several[2], env=tuple(env), **more)


LAB = ':dep gpt_lab = { path = "../gpt_lab" }\nuse gpt_lab::prelude::*;'
ADD = "fn add(a: i32, b: i32) -> i32 {\n    a + b\n}"
POINT = "struct Point {\n    x: i32,\n    y: i32,\n}"
COLOUR = "enum Colour {\n    Red,\n    Green,\n}"
TENSOR = "let x = Tensor::new(&[1.0f32, 2.0, 3.0], &Device::Cpu)?;"
# A closed port: as on a train, whatever else the machine has set.
NOWHERE = "http://127.0.0.1:9"
OFFLINE = tuple(
    [(name, NOWHERE) for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "CARGO_HTTP_PROXY")]
    + [("NO_PROXY", ""), ("no_proxy", ""), ("CARGO_NET_RETRY", "0")]
)
NO_INDEX = (("PIP_NO_INDEX", "1"), ("PIP_DISABLE_PIP_VERSION_CHECK", "1"))

TYPES = [
    m("argument-last", "a wrong argument to one's own function, as the last expression", 'add(1, "2")',
      "E0308", 1, '"2"', before=ADD, says=["`i32`", "cell 1"]),
    m("argument-statement", "the same with a semicolon", "let one = 1;\nadd(one, 2.5);", "E0308", 2, "2.5", before=ADD),
    m("argument-let", "the same in a `let`", 'let sum = add("1", 2);', "E0308", 1, '"1"', before=ADD),
    m("argument-missing", "an argument too few", "add(1)", "E0061", 1, before=ADD, says="argument"),
    m("argument-surplus", "an argument too many", "let sum = add(1, 2, 3);", "E0061", 1, before=ADD, says="argument"),
    m("argument-reference", "a forgotten `&`", 'let name = String::from("Ada");\nletters(name)', "E0308", 2, "name",
      before="fn letters(text: &String) -> usize {\n    text.len()\n}", says="&"),
    m("let-annotation", "a text where a number is wanted", 'let year: i32 = "2024";', "E0308", 1, '"2024"'),
    m("semicolon-in-function", "a semicolon behind the value of a function", "fn double(n: i32) -> i32 {\n    n * 2;\n}",
      "E0308", 1, "i32", says="remove this semicolon"),
    m("str-for-string", "`&str` where a `String` is returned", 'fn name() -> String {\n    "Ada"\n}', "E0308", 2, '"Ada"',
      says=r"to_string|to_owned|\.into\(\)"),
    m("missing-else", "a value from an `if` without `else`", 'let size = if 3 > 2 { "big" };', "E0317", 1, says="else"),
    m("different-branches", "branches of different types", 'let size = if 3 > 2 {\n    "big"\n} else {\n    0\n};', "E0308", 4,
      "0"),
    m("number-as-condition", "a number as a condition", 'let n = 3;\nif n {\n    println!("yes");\n}', "E0308", 2, "n",
      says="bool"),
    m("assignment-as-condition", "`=` for `==`", 'let n = 2;\nif n = 3 {\n    println!("three");\n}', "E0308", 2, "n = 3",
      says="=="),
    m("integer-times-float", "an integer times a float", "let half = 3 * 0.5;", "E0277", 1, "*", says="cannot multiply"),
    m("float-variable", "an `i32` divided by an `f64`", "let sum: i32 = 7;\nsum / 2.0", "E0277", 2, "/", says="cannot divide"),
    m("different-integers", "`i32` plus `i64`", "let a: i32 = 1;\nlet b: i64 = 2;\na + b", "E0308", 3, "b", says="`i64`"),
    m("equal-float", "an integer compared with a float", "let n = 5;\nn == 5.0", "E0277", 2, "==", says="compare"),
    m("index-i32", "an `i32` as index", "let i: i32 = 2;\nlet v = vec![1, 2, 3];\nv[i]", "E0277", 3, "i", says="usize"),
    m("texts-added", "a text plus a text", '"a" + "b"', "E0369", 1, "+", says="String"),
    m("text-indexed", "one letter of a text by its index", 'let text = "abc";\ntext[0]', "E0277", 2, "0", says="str"),
    m("word-in-single-quotes", "a word in single quotes", "let word = 'abc';", "error", 1, "'abc'", says='"abc"'),
    m("option-plus", "an `Option` used as its value", "let last = vec![1, 2].pop();\nlast + 1", "E0369", 2, "+", says="Option"),
    m("array-length", "an array of another length", "let a: [i32; 3] = [1, 2];", "E0308", 1, "[1, 2]", says="3"),
    m("literal-too-large", "a number that does not fit", "let x: u8 = 300;", "error", 1, "300", says="u8"),
    m("negative-unsigned", "a negative `usize`", "let n: usize = -1;", "E0600", 1, "-1", says="usize"),
    m("empty-vec", "an empty `Vec` of nothing known", "let v = Vec::new();", "E0282", 1, says="type"),
    m("sum-without-type", "`sum()` without a type", "let total = vec![1, 2, 3].iter().sum();", "E0283", 1,
      says="type annotations needed"),
    m("collect-without-type", "`collect()` without a type", "let squares = (0..4).map(|n| n * n).collect();", "E0283", 1,
      says="type annotations needed"),
    m("no-collect", "an iterator without `collect()`", "let squares: Vec<i32> = (0..4).map(|n| n * n);", "E0308", 1,
      says="Vec<i32>"),
    m("parse-without-type", "`parse()` without a type", 'let n = "5".parse()?;', "E0277|E0282|E0283|E0284", 1,
      says="FromStr|type annotations needed"),
    m("method-as-field", "a method without its parentheses", "let v = vec![1, 2];\nv.len", "E0616", 2, "len", says=r"\(\)"),
    m("unsized-argument", "a slice taken by value", "fn total(numbers: [i32]) -> i32 {\n    numbers.iter().sum()\n}", "E0277",
      1, says="&"),
    m("closure-that-captures", "a closure that captures, for a function pointer", "let k = 2;\napply(|n| n + k)", "E0308", 2,
      "|n| n + k", before="fn apply(f: fn(i32) -> i32) -> i32 {\n    f(1)\n}", says="closure"),
]

MOVES = [
    m("moved-here", "a value used after it was moved in this cell",
      'let data = vec![1, 2, 3];\nlet other = data;\nprintln!("{data:?}");', "E0382", 3, says=["moved", "clone"]),
    m("moved-earlier", "a value used after an earlier cell moved it", "data.len()", "E0425", 1, "data",
      before=["let data = vec![1, 2, 3];", "drop(data);"], says="moved by cell 2"),
    m("moved-into-function", "a value given to a function and used again",
      "let v = vec![1, 2];\nlet a = total(v);\nlet b = total(v);", "E0382", 3, "v",
      before="fn total(v: Vec<i32>) -> i32 {\n    v.iter().sum()\n}", says="moved"),
    m("moved-into-closure", "a value moved into a closure",
      'let name = String::from("Ada");\nlet greet = move || println!("hello {name}");\ngreet();\nprintln!("{name}");', "E0382",
      4, says="moved"),
    m("moved-in-loop", "a value moved in each round of a loop",
      'let names = vec![String::from("Ada")];\nfor round in 0..2 {\n    for name in names {\n'
      '        println!("{round} {name}");\n    }\n}', "E0382", 3, "names", says="loop"),
    m("moved-by-for", "a value used after `for` has eaten it",
      "let v = vec![1, 2];\nfor n in v {\n    println!(\"{n}\");\n}\nv.len()", "E0382", 5, "v", says="moved"),
    m("moved-out-of-vec", "a text moved out of a `Vec`", 'let names = vec![String::from("Ada")];\nlet first = names[0];',
      "E0507", 2, "names[0]", says="&|clone"),
    m("moved-then-failed", "a value moved by a cell that failed then", 'drop(x);\nlet n: i32 = "two".parse()?;',
      "ParseIntError", 2, before="let x = vec![1, 2];", says=["lost: x", "moved"]),
]

BORROWS = [
    m("push-while-borrowed", "a `Vec` changed while an element is borrowed",
      'let mut v = vec![1, 2, 3];\nlet first = &v[0];\nv.push(4);\nprintln!("{first}");', "E0502", 3, says="borrow"),
    m("two-mutable", "two `&mut` at once",
      "let mut s = String::new();\nlet a = &mut s;\nlet b = &mut s;\na.push('x');\nb.push('y');", "E0499", 3, "&mut s"),
    m("returns-local", "a reference to a local value",
      'fn name() -> &\'static str {\n    let s = String::from("Ada");\n    &s\n}', "E0515", 3, "&s", says="local variable `s`"),
    m("lives-too-short", "a reference to what is gone", 'let r: &i32;\n{\n    let x = 5;\n    r = &x;\n}\nprintln!("{r}");',
      "E0597", 4, "&x", says="does not live long enough"),
    m("thread-borrows", "a thread that borrows",
      'let words = vec!["a"];\nlet handle = std::thread::spawn(|| println!("{words:?}"));\nhandle.join().unwrap();', "E0373", 2,
      "||", says="move"),
    m("reference-over-cells", "a reference used in the next cell", 'println!("{first}");', "E0425", 1, says="first",
      before=["let v = vec![1, 2, 3];", "let first = &v[0];"]),
    m("missing-lifetime", "a returned reference to nothing", "fn longest() -> &str {\n    \"a\"\n}", "E0106", 1, "&",
      says="'static"),
    m("two-lifetimes", "a returned reference to one of two",
      "fn longest(a: &str, b: &str) -> &str {\n    if a.len() > b.len() { a } else { b }\n}", "E0106", 1, "&", says="lifetime"),
    m("lifetime-in-struct", "a reference in a struct", "struct Word {\n    text: &str,\n}", "E0106", 2, "&", says="lifetime"),
    m("push-immutable", "a change without `mut`", "let v = vec![1];\nv.push(2);", "E0596", 2, "v", says="mut"),
    m("push-immutable-earlier", "a change of an earlier cell's variable without `mut`", "v.push(3);", "E0596", 1, "v",
      before="let v = vec![1, 2];", says=r"let mut (\w) = \1;"),
    m("assign-immutable", "a second value without `mut`", 'let n = 1;\nn = 2;\nprintln!("{n}");', "E0384", 2, "n = 2",
      says="mut"),
    m("assign-immutable-earlier", "a second value for an earlier cell's variable", "n += 1;", "E0384|E0594", 1, "n += 1",
      before="let n = 1;", says=r"let mut (\w) = \1;"),
    m("push-through-shared", "a change through `&`", "fn fill(v: &Vec<i32>) {\n    v.push(1);\n}", "E0596", 2, "v",
      says="&mut"),
]

QUESTIONS = [
    m("forgot-question", "a forgotten `?`", 'let n = "5".parse::<i32>();\nn + 1', "E0369", 2, "+", says="Result"),
    m("forgot-question-method", "a forgotten `?` before a method", 'let text = std::fs::read_to_string("a.txt");\ntext.len()',
      "E0599", 2, "len", says="Result"),
    m("question-on-option", "`?` on an `Option`", "let first = vec![1, 2].pop()?;", "E0277", 1, "?", says="ok_or",
      never="closure"),
    m("question-in-function", "`?` in a function that returns no `Result`",
      "fn read(text: &str) -> i32 {\n    text.parse::<i32>()?\n}", "E0277", 2, "?", says="Result"),
    m("missing-ok", "a value without `Ok`",
      "fn read(text: &str) -> Result<i32, std::num::ParseIntError> {\n    let n = text.parse::<i32>()?;\n    n\n}", "E0308", 3,
      "n", says=r"Ok\("),
    m("parse-fails", "what cannot be parsed", 'let n: i32 = "12".parse()?;\nlet m: i32 = "twelve".parse()?;', "ParseIntError",
      2, says="invalid digit"),
    m("file-not-found", "a file that is not there", 'let name = "nope.txt";\nlet text = std::fs::read_to_string(name)?;',
      r"io::(\w+::)?Error", 2, says="No such file"),
    m("unwrap-none", "`unwrap()` on `None`", "let v: Vec<i32> = Vec::new();\nlet first = v.first().unwrap();", "panic", 2,
      says=["unwrap", "None"]),
    m("expect-fails", "`expect()` on an error", 'let n: i32 = "x".parse().expect("a number");', "panic", 1,
      says=["a number", "InvalidDigit"]),
    m("unused-result", "a `Result` that nobody looks at", '"5".parse::<i32>();', line=1, ends="ok",
      says="unused `Result`|unused .*Result"),
    m("unused-iterator", "an iterator that nobody runs", "let v = vec![3, 1];\nv.iter().map(|n| n * 2);", line=2, ends="ok",
      says="lazy"),
    m("unused-variable", "an argument that is never read", "fn area(width: f64, height: f64) -> f64 {\n    width * width\n}",
      line=1, ends="ok", says="unused variable: `height`"),
    m("unreachable", "code behind `return`", "fn sign(n: i32) -> i32 {\n    return n.signum();\n    0\n}", line=3, ends="ok",
      says="unreachable"),
]

NAMES = [
    m("unknown-name", "a misspelt variable", "let one = 1;\nlenght + one", "E0425", 2, "lenght", before="let length = 3;",
      says="length"),
    m("unknown-in-text", "an unknown name inside a text", 'println!("hello {nam}");', "E0425", 1, before="let name = 1;",
      says="nam"),
    m("unknown-function", "a misspelt function", "ad(1, 2)", "E0425", 1, "ad", before=ADD, says=r"\badd\b"),
    m("unknown-method", "a method that does not exist", '"abc".to_upper()', "E0599", 1, "to_upper", says="to_uppercase"),
    m("unknown-own-method", "a misspelt method of one's own", "let p = Point { x: 1, y: 2 };\np.sumn()", "E0599", 2, "sumn",
      before=[POINT, "impl Point {\n    fn sum(&self) -> i32 {\n        self.x + self.y\n    }\n}"], says=r"\bsum\b"),
    m("unknown-type", "a misspelt type", "fn greet(name: Sting) {}", "E0425", 1, "Sting", says="String"),
    m("unknown-macro", "a misspelt macro", 'let n = 1;\nprintn!("{n}");', "error", 2, "printn", says="print"),
    m("unknown-field", "a field that does not exist", "let p = Point { x: 1, y: 2 };\np.z", "E0609", 2, "z", before=POINT,
      says=r"p\.x|`x`"),
    m("unknown-variant", "a misspelt variant", "let c = Colour::Gren;", "E0599", 1, "Gren", before=COLOUR, says="Green"),
    m("missing-field", "a struct without one of its fields", "let p = Point { x: 1 };", "E0063", 1, "Point", before=POINT,
      says="`y`"),
    m("missing-import", "`HashMap` without its `use`, as the last expression", "let n = 1;\nHashMap::new()", "E0433", 2,
      "HashMap", before="use std::fmt::Display;", says="use std::collections::HashMap;"),
    m("trait-not-imported", "a method whose trait is not imported", "std::io::stdout().flush()?;", "E0599", 1, "flush",
      says="use std::io::Write;"),
    m("misspelt-use", "a misspelt import", "let n = 1;\nuse std::collections::HasMap;", "E0432", 2, says="HashMap"),
    m("use-without-dep", "a crate without `:dep`", "use rand::Rng;", "E0432", 1, "rand", says=":dep rand",
      never=["cargo add", r"Cargo\.toml"]),
    m("path-without-dep", "the same in a path, as the last expression", "rand::random::<u8>()", "E0433", 1, "rand",
      says=":dep rand", never=["cargo add", r"Cargo\.toml"]),
    m("private-field", "a private field", "let account = bank::Account::new();\naccount.balance", "E0616", 2, "balance",
      before="mod bank {\n    pub struct Account {\n        balance: i64,\n    }\n    impl Account {\n"
             "        pub fn new() -> Self {\n            Account { balance: 0 }\n        }\n    }\n}", says="private"),
    m("private-function", "a private function", "bank::secret()", "E0603", 1, "secret",
      before="mod bank {\n    fn secret() -> i32 {\n        1\n    }\n}", says=["private", "cell 1"]),
    m("self-missing", "a method without `&self`",
      "struct Square {\n    w: f64,\n}\nimpl Square {\n    fn area() -> f64 {\n        self.w * self.w\n    }\n}", "E0424", 6,
      "self", says="self"),
    m("format-arguments", "a placeholder too many", 'println!("{} {}", 1);', "error", 1, says="2 positional arguments"),
    m("format-without-text", "`println!` of a variable", "let x = 5;\nprintln!(x);", "error", 2, "x", says="string literal"),
]

SYNTAX = [
    m("missing-semicolon", "a forgotten semicolon", "let a = 1\nlet b = 2;", "error", 1, says="`;`"),
    m("semicolon-of-last-let", "a last `let` without its semicolon", "let a = 1;\nlet b = 2", "error", 2, ends="either"),
    m("unclosed-brace", "a brace that is never closed", "fn area(r: f64) -> f64 {\n    r * r", "error", 1,
      says="unclosed|not closed|never closed"),
    m("unclosed-parenthesis", "a parenthesis that is never closed", 'let a = 1;\nprintln!("{}", (a + 2);', "error", 2,
      says="unclosed|not closed|never closed|mismatched", never="delimiter: `}`"),
    m("unclosed-string", "a text that is never closed", 'let a = 1;\nlet b = 2;\nprintln!("sum);\na + b', "E0765", 3,
      says="unterminated"),
    m("unclosed-comment", "a comment that is never closed", "let a = 1;\n/* the rest\nlet b = 2;", "E0758", 2,
      says="unterminated"),
    m("wrong-closer", "`)` for `]`", "let v = [1, 2, 3);", "error", 1, says=r"`\)`|delimiter"),
    m("stray-brace", "a brace too many", "let a = 1;\n}\nlet b = 2;", "error", 2, "}", says="`}`"),
    m("stray-brace-first", "a brace too many, first in the cell", "}\nlet a = 1;", "error", 1, "}", says="`}`"),
    m("half-an-expression", "half an expression", "let a = 2;\n1 + a +", "error", 2, says="expected expression"),
    m("half-in-parentheses", "half an expression in parentheses", "let a = 2;\nlet b = (a + ;", "error", 2,
      says="expected expression|unclosed|delimiter", never="delimiter: `}`"),
    m("half-a-use", "half a `use`", "let a = 1;\nuse std::", "error", 2, says="expected"),
    m("keyword-as-name", "a keyword as a name", "let type = 3;", "error", 1, "type", says=["keyword `type`", "r#type"]),
    m("keyword-as-name-later", "another one in the second line", "let x = 1;\nlet in = 2;", "error", 2, "in",
      says="keyword `in`"),
    m("missing-comma", "fields without a comma", "struct Line {\n    from: i32\n    to: i32,\n}", "error", 2, says="`,`"),
    m("missing-arm", "a `match` that lacks an arm", 'let c = Colour::Red;\nmatch c {\n    Colour::Red => "red",\n}', "E0004", 2,
      "c", before=COLOUR, says="Colour::Green"),
    m("match-numbers", "a `match` that lacks the other numbers", 'match 3 {\n    1 => "one",\n    2 => "two",\n}', "E0004", 1,
      "3", says="_"),
    m("break-outside", "`break` outside a loop", 'println!("now");\nbreak;', "E0268", 2, "break", says="outside of a loop",
      never="closure"),
    m("unsafe-call", "an unsafe function called plainly", "danger()", "E0133", 1, "danger()",
      before="unsafe fn danger() -> i32 {\n    1\n}", says="unsafe"),
    m("return-value", "`return 5` as a whole cell", "return 5", line=1, ends="either", says="5", never=["Result<", "closure"]),
]

TRAITS = [
    m("missing-bound", "a comparison without a bound",
      "fn largest<T>(items: &[T]) -> &T {\n    let mut best = &items[0];\n    for item in items {\n"
      "        if item > best {\n            best = item;\n        }\n    }\n    best\n}", "E0369", 4, ">", says="PartialOrd"),
    m("bound-not-met", "a type that does not meet a bound", "print_all(vec![Point { x: 1, y: 2 }])", "E0277", 1,
      before=[POINT,
              "fn print_all<T: std::fmt::Display>(items: Vec<T>) {\n    for item in items {\n"
              '        println!("{item}");\n    }\n}'], says=["Display", "cell 2"]),
    m("missing-debug", "`{:?}` without `Debug`", 'let p = Point { x: 1, y: 2 };\nprintln!("{p:?}");', "E0277", 2, before=POINT,
      says=r"derive\(Debug\)"),
    m("missing-debug-last", "a value without `Debug`, as the last expression", "let n = 1;\nPoint { x: n, y: 2 }", line=2,
      before=POINT, ends="either", says="Debug"),
    m("missing-display", "`{}` without `Display`", 'let p = Point { x: 1, y: 2 };\nprintln!("{p}");', "E0277", 2, before=POINT,
      says="Display"),
    m("missing-clone", "`clone()` without `Clone`", "let p = Point { x: 1, y: 2 };\nlet q = p.clone();", "E0599", 2, "clone",
      before=POINT, says="Clone"),
    m("missing-partial-eq", "`==` without `PartialEq`", "Point { x: 1, y: 2 } == Point { x: 1, y: 2 }", "E0369", 1, "==",
      before=POINT, says="PartialEq"),
    m("missing-method-of-trait", "an `impl` that lacks a method", "struct Square;\nimpl Shape for Square {}", "E0046", 2,
      before="trait Shape {\n    fn area(&self) -> f64;\n}", says="area"),
]

PYTHON = [
    m("print", "`print` of Python", 'let n = 1;\nprint("hi")', "E0423", 2, "print", says="print!|println!"),
    m("range", "`range` of Python", 'for i in range(3) {\n    println!("{i}");\n}', "E0425", 1, "range"),
    m("for-with-colon", "a loop of Python", "for i in range(3):\n    print(i)", "error", 1, says="`{`"),
    m("if-with-colon", "a condition of Python", 'let n = 3;\nif n > 2:\n    println!("big");', "error", 2, says="`{`"),
    m("elif", "`elif`", 'let n = 3;\nif n > 3 {\n    println!("big");\n} elif n > 2 {\n    println!("middle");\n}', "error", 4,
      says="elif|`n`"),
    m("def", "a function of Python", "def add(a, b):\n    return a + b", "error", 1),
    m("import", "`import`", "import numpy as np", "error", 1),
    m("hash-comment", "a comment of Python", "# the answer\nlet a = 42;", "error", 1, never="found keyword `fn`"),
    m("no-let", "a variable without `let`", "x = 5", "E0425", 1, "x", says="let"),
    m("len", "`len` of Python", 'let n = 1;\nlen("abc") + n', "E0425", 2, "len"),
    m("none", "`None` of Python", "let nothing = None;", "E0282", 1, says="Option"),
    m("true", "`True` of Python", "let flag = True;", "E0425", 1, "True", says="true"),
    m("f-string", "an f-string", 'let n = 5;\nprintln!(f"n is {n}");', "error", 2, says="prefix"),
    m("negative-index", "the last element by -1", "let v = vec![1, 2, 3];\nv[-1]", "error", 2, "-1", says="negative"),
    m("plus-plus", "`n++`", "let mut n = 1;\nn++;", "error", 2, "++", says=r"\+= 1"),
    m("power", "`**`", "let two = 2;\ntwo ** 3", "E0614", 2),
    m("and", "`and`", "let sunny = true;\nsunny and true", "error", 2, "and", says="&&"),
    m("text-times-number", "a text times a number", '"ab" * 3', "E0369", 1, "*", says="multiply"),
]

NOTEBOOK = [
    m("percent-time", "`%%time` of IPython", "%%time\nlet a = 1;", line=1, says="%%time", never="expected expression"),
    m("percent-matplotlib", "`%matplotlib` of IPython", "%matplotlib inline", line=1, says="%matplotlib",
      never="expected expression"),
    m("question-name", "`?x` of IPython", "?x", line=1, before="let x = 1;", says=r"\?x", never="expected expression"),
    m("exclamation-pip", "`!pip install` of IPython", "!pip install rand", ends="either", env=NO_INDEX, varies=True),
    m("command-after-code", "a command after code", "let a = 1;\n:vars", line=2, ends="either", says=":?vars|a: i32"),
    m("unknown-command", "a command that does not exist", ":varz", line=1, ends="either", says=":varz"),
    m("dep-not-there", "`:dep` of a folder that is not there", 'let a = 1;\n:dep mine = { path = "./no_such_folder" }', line=2,
      says="no_such_folder"),
    m("dep-offline", "`:dep` of a crate without network", ':dep rnad = "0.8"\nlet a = 1;', line=1, env=OFFLINE,
      says=["rnad", "(?i)network|offline|connect"]),
    m("dep-malformed", "`:dep` with half a line", ':dep rand = { version = "0.8"', line=1, says="rand", never=r"Cargo\.toml"),
    m("await-without-tokio", "`.await` without tokio and without network",
      "async fn answer() -> i32 {\n    42\n}\nanswer().await", line=4, env=OFFLINE, ends="either", says="tokio|42"),
    m("test-attribute", "a test in a cell", "#[test]\nfn adds() {\n    assert_eq!(1 + 1, 2);\n}", line=1, ends="either",
      says="test"),
    m("main", "`main` in a cell", 'fn main() {\n    println!("hello");\n}', line=1, ends="either", says="main|hello"),
    m("struct-anew", "a struct defined anew while a variable of it lives", "struct P {\n    x: i32,\n    y: i32,\n}", ends="ok",
      before=["struct P {\n    x: i32,\n}", "let p = P { x: 1 };"], says="lost: p"),
    m("lost-variable", "a variable that was lost with its struct", "let one = 1;\np.x + one", "E0425", 2, "p",
      before=["struct P {\n    x: i32,\n}\nlet p = P { x: 1 };", "struct P {\n    x: i32,\n    y: i32,\n}"],
      says="lost in cell 2"),
    m("function-anew", "a function defined anew that no longer fits its caller",
      "fn area(w: f64, h: f64) -> f64 {\n    w * h\n}", ends="ok",
      before=["fn area(r: f64) -> f64 {\n    r * r\n}", "fn twice(r: f64) -> f64 {\n    2.0 * area(r)\n}"],
      says=["set aside: fn twice", "E0061"]),
    m("impl-anew", "an `impl` run again, changed",
      "impl Counter {\n    fn up(&self) -> u32 {\n        self.n + 2\n    }\n}\nCounter { n: 1 }.up()", ends="ok",
      before=["struct Counter {\n    n: u32,\n}",
              "impl Counter {\n    fn up(&self) -> u32 {\n        self.n + 1\n    }\n}"], says="^3$"),
    m("struct-twice", "a struct twice in one cell", "struct Twice {\n    x: i32,\n}\nstruct Twice {\n    y: i32,\n}", "E0428",
      4, says="Twice"),
]

NUMBERS = [
    m("overflow", "a number that grows too large",
      "fn factorial(n: i32) -> i32 {\n    if n == 0 { 1 } else { n * factorial(n - 1) }\n}\nfactorial(20)", "panic", 2,
      says="overflow"),
    m("overflow-constant", "the same, seen by the compiler", "let one = 1;\n255u8 + one", "error", 2, "255u8 + one",
      says="overflow"),
    m("usize-below-zero", "a `usize` below zero", "let v: Vec<i32> = Vec::new();\nv.len() - 1", "panic", 2,
      says="subtract with overflow"),
    m("zero-constant", "a division by zero, seen by the compiler", "let ten = 10;\nten / 0", "error", 2, "ten / 0",
      says="divi.* by zero|panic at runtime"),
    m("zero", "a division by zero", "let people: Vec<&str> = Vec::new();\nlet cake = 12;\ncake / people.len()", "panic", 3,
      says="divide by zero"),
    m("array-index", "an index outside an array, as the last expression", "let a = [1, 2, 3];\na[7]", "error", 2, "a[7]",
      says="7"),
    m("array-index-one-line", "the same in a cell of one line", "[1, 2, 3][7]", "error", 1, "[1, 2, 3][7]", says="7"),
    m("vec-index", "an index outside a `Vec`, as the last expression", "let v = vec![1, 2, 3];\nlet i = 5;\nv[i]", "panic", 3,
      says="the len is 3 but the index is 5"),
    m("panic-in-earlier-cell", "a panic in a function of an earlier cell", "let a = [1, 2];\nthird(&a)", "panic", 2,
      origin="cell 1, line 2", before="fn third(xs: &[i32]) -> i32 {\n    xs[2]\n}", says="index out of bounds"),
    m("half-a-letter", "a slice through the middle of a letter", 'let s = "größe";\n&s[0..3]', "panic", 2,
      says="char boundary"),
    m("assertion", "an assertion that does not hold", "let a = 1 + 1;\nassert_eq!(a, 3);", "panic", 2,
      says=["left: 2", "right: 3"]),
    m("no-end", "a recursion without an end",
      "fn fibonacci(n: i64) -> i64 {\n    fibonacci(n - 1) + fibonacci(n - 2)\n}\nfibonacci(30)",
      says=["(?i)overflow|SIGSEGV|segmentation", "lost"]),
]

TENSORS = [
    m("matmul-shapes", "a product of shapes that do not fit",
      "let a = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;\n"
      "let b = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;\nlet c = a.matmul(&b)?;", "candle_core::Error", 3, before=LAB,
      says="shape mismatch in matmul"),
    m("sum-of-types", "a sum of different number types",
      "let b = Tensor::new(&[1.0f64, 2.0, 3.0], &Device::Cpu)?;\nlet c = (x + b)?;", "candle_core::Error", 2,
      before=[LAB, TENSOR], says=["dtype", "lost: x"]),
    m("reshape", "a shape with another number of elements", "let y = x.reshape((2, 2))?;", "candle_core::Error", 1,
      before=[LAB, TENSOR], says="shape"),
    m("index-of-tensor", "a row that is not there", "let n = 5;\nx.get(n)?", "candle_core::Error", 2, before=[LAB, TENSOR],
      says="5"),
    m("tensor-without-question", "a tensor without its `?`", "let y = Tensor::new(&[1.0f32, 2.0], &Device::Cpu);\ny.sum_all()",
      "E0599", 2, "sum_all", before=LAB, says="Result"),
    m("tensor-without-device", "a tensor without its device", "let y = Tensor::new(&[1.0f32, 2.0])?;", "E0061", 1, before=LAB,
      says="Device|argument"),
    m("show-without-reference", "a picture of `x` for `&x`", "show::tensor(x)", "E0308", 1, "x", before=[LAB, TENSOR],
      says=["Tensor", "&"]),
    m("show-module", "`show` for `show::tensor`", "show(&x)", "E0423", 1, "show", before=[LAB, TENSOR], says="module"),
    m("show-misspelt", "a misspelt picture", "show::tensr(&x)", "E0425", 1, "tensr", before=[LAB, TENSOR], says="tensor"),
    m("show-with-semicolon", "a picture that is made and not shown", "show::tensor(&x);", line=1, ends="ok",
      before=[LAB, TENSOR], says="(?i)picture|not shown|unused"),
    m("show-in-the-middle", "the same in front of another line", 'let one = 1;\nshow::tensor(&x);\nprintln!("{one}");', line=2,
      ends="ok", before=[LAB, TENSOR], says="(?i)picture|not shown|unused"),
    m("tensor-result-unused", "a calculation that nobody looks at", "x.sqr();", line=1, ends="ok", before=[LAB, TENSOR],
      says="unused"),
]

SECTIONS = {
    "Types": TYPES,
    "Moves": MOVES,
    "Borrows and changes": BORROWS,
    "`?`, `Result`, and what nobody looks at": QUESTIONS,
    "Names": NAMES,
    "Syntax": SYNTAX,
    "Traits": TRAITS,
    "Habits from Python": PYTHON,
    "Notebooks, commands, cells run again": NOTEBOOK,
    "Numbers, indices, panics": NUMBERS,
    "Tensors and pictures": TENSORS,
}
MISTAKES = {mistake.id: mistake for section in SECTIONS.values() for mistake in section}
