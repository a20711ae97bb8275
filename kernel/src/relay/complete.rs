//! Completeness of a cell: its brackets, strings and comments as rustc's lexer sees them, its grammar as the parser of
//! rust-analyzer does. A cell is incomplete if further lines would mend all that is wrong with it.

use std::thread;

use ra_ap_parser::{Edition, LexedStr, PrefixEntryPoint, Step, SyntaxKind};
use ra_ap_rustc_lexer::{
    DocStyle, FrontmatterAllowed, LiteralKind as Literal, RawStrError, TokenKind as Token, tokenize, validate_raw_str,
};
use serde_json::{Value, json};

/// One level of indentation.
const INDENT: &str = "    ";
/// Keywords that no code ends with. The parser looks behind some of them and calls them the fault.
const WORDS: [&str; 25] = [
    "as", "async", "const", "dyn", "else", "enum", "extern", "fn", "for", "if", "impl", "in", "let", "loop", "match",
    "mod", "move", "mut", "pub", "static", "struct", "type", "unsafe", "use", "while",
];
/// The stack that the parser may need for each token, as in `((((`: at least twice what a build for debugging takes.
const STACK_PER_TOKEN: usize = 4 << 10;
/// A cell of more tokens was not typed in a console, and is taken as complete.
const MOST_TOKENS: usize = 50_000;

/// The next step of a console after a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Run it.
    Complete,
    /// Ask for more, with this indentation.
    Incomplete(String),
    /// No further line can make it right.
    Invalid,
}

impl Completeness {
    /// The content of an `is_complete_reply`.
    pub fn reply(&self) -> Value {
        match self {
            Completeness::Complete => json!({"status": "complete"}),
            Completeness::Incomplete(indent) => json!({"status": "incomplete", "indent": indent}),
            Completeness::Invalid => json!({"status": "invalid"}),
        }
    }
}

/// The completeness of a cell: that of its Rust after the last command.
pub fn completeness(code: &str) -> Completeness {
    let tokens = tokenize(code, FrontmatterAllowed::No).count();
    if tokens > MOST_TOKENS {
        return Completeness::Complete;
    }
    // A stack that no nesting overflows; and should the parser panic, then rustc has the word.
    let stack = (1 << 20) + tokens * STACK_PER_TOKEN;
    thread::scope(|scope| {
        let judge = thread::Builder::new().stack_size(stack).spawn_scoped(scope, || judge(rust_part(code)));
        judge.ok().and_then(|judge| judge.join().ok()).unwrap_or(Completeness::Complete)
    })
}

/// The Rust after the last line that is a command (`:dep`, `!ls`, IPython's `%time`). A command stands where the Rust
/// before it can end: not in a string, between brackets or after an operator.
fn rust_part(code: &str) -> &str {
    let (mut start, mut end) = (0, 0);
    for line in code.split_inclusive('\n') {
        let before = &code[start..end];
        end += line.len();
        if is_command(line.trim_end()) && !matches!(judge(before), Completeness::Incomplete(_)) {
            start = end;
        }
    }
    &code[start..]
}

/// True for a line that reads like a command: not for `::std::f()` and a mere `!`.
fn is_command(line: &str) -> bool {
    let indented = line.trim_start_matches(' ');
    let is_own = indented.starts_with(':') && !indented.starts_with("::");
    is_own || line.starts_with('%') || (line.starts_with('!') && line.len() > 1)
}

/// The completeness of Rust.
fn judge(code: &str) -> Completeness {
    let (mut open, mut at) = (Vec::new(), 0);
    // The latest two tokens that are neither blank nor comment, and whether documentation follows them.
    let (mut tail, mut is_documented) = ([(Token::Eof, ""); 2], false);
    for token in tokenize(code, FrontmatterAllowed::No) {
        let text = &code[at..at + token.len as usize];
        at += text.len();
        match token.kind {
            kind if is_unterminated(kind, text) => return Completeness::Incomplete(String::new()),
            kind if is_error(kind) => return Completeness::Invalid,
            Token::LineComment { doc_style } | Token::BlockComment { doc_style, .. } => {
                is_documented |= doc_style == Some(DocStyle::Outer);
                continue;
            }
            Token::Whitespace => continue,
            Token::OpenParen => open.push(Token::CloseParen),
            Token::OpenBracket => open.push(Token::CloseBracket),
            Token::OpenBrace => open.push(Token::CloseBrace),
            closing @ (Token::CloseParen | Token::CloseBracket | Token::CloseBrace) if open.pop() != Some(closing) => {
                return Completeness::Invalid;
            }
            _ => {}
        }
        (tail, is_documented) = ([tail[1], (token.kind, text)], false);
    }
    // After two empty lines rustc says what is missing, so that nobody is stuck.
    let is_left = code[code.trim_end().len()..].matches('\n').count() > 1;
    match open.len() {
        0 if is_left => Completeness::Complete,
        0 if wants_more(tail) => Completeness::Incomplete(INDENT.to_owned()),
        0 if lacks_text(code, is_documented) => Completeness::Incomplete(String::new()),
        0 => Completeness::Complete,
        depth => Completeness::Incomplete(INDENT.repeat(depth)),
    }
}

/// True if the parser's first error in this code, whose brackets are paired, lies at its end. Not if only the `;` of a
/// `let` is missing: whoever ends a line after `let x = 5` means it.
fn lacks_text(code: &str, is_documented: bool) -> bool {
    // To the parser documentation is blank; to rustc it is an attribute.
    let block = format!("{{{code}\n{}}}", if is_documented { "#[doc]" } else { "" });
    let lexed = LexedStr::new(Edition::Edition2024, &block);
    let end = (0..lexed.len()).filter(|&token| !lexed.kind(token).is_trivia()).count() - 1;
    let (mut at, mut nodes, mut faults) = (0, Vec::new(), Vec::new());
    for step in PrefixEntryPoint::Block.parse(&lexed.to_input(Edition::Edition2024)).iter() {
        match step {
            Step::Enter { kind } => nodes.push(kind),
            Step::Exit => drop(nodes.pop()),
            Step::Token { n_input_tokens, .. } => at += usize::from(n_input_tokens),
            // `x.0.1`: the number ends one node or two.
            Step::FloatSplit { ends_in_dot } => {
                at += 1;
                nodes.truncate(nodes.len().saturating_sub(if ends_in_dot { 1 } else { 2 }));
            }
            Step::Error { .. } if at < end => return false,
            Step::Error { .. } => faults.push(nodes.last().copied()),
        }
    }
    !faults.is_empty() && faults != [Some(SyntaxKind::LET_STMT)]
}

/// True for a string or comment that further lines can end.
fn is_unterminated(kind: Token, text: &str) -> bool {
    let is_open_raw = |prefix| matches!(validate_raw_str(text, prefix), Err(RawStrError::NoTerminator { .. }));
    match kind {
        Token::BlockComment { terminated, .. } => !terminated,
        Token::Literal { kind, .. } => match kind {
            Literal::Str { terminated } | Literal::ByteStr { terminated } | Literal::CStr { terminated } => !terminated,
            Literal::RawStr { n_hashes: None } => is_open_raw(1),
            Literal::RawByteStr { n_hashes: None } | Literal::RawCStr { n_hashes: None } => is_open_raw(2),
            _ => false,
        },
        _ => false,
    }
}

/// True for a token that the edition of the cells, 2024, refuses wherever it stands.
fn is_error(kind: Token) -> bool {
    match kind {
        Token::Unknown | Token::InvalidIdent | Token::UnknownPrefix | Token::UnknownPrefixLifetime => true,
        Token::GuardedStrPrefix | Token::Lifetime { starts_with_number: true } => true,
        Token::Literal { kind, .. } => match kind {
            Literal::Char { terminated } | Literal::Byte { terminated } => !terminated,
            Literal::Int { empty_int: wrong, .. } | Literal::Float { empty_exponent: wrong, .. } => wrong,
            Literal::RawStr { n_hashes } | Literal::RawByteStr { n_hashes } | Literal::RawCStr { n_hashes } => {
                n_hashes.is_none()
            }
            _ => false,
        },
        _ => false,
    }
}

/// True if no code ends with these two tokens, whatever is before them.
fn wants_more([(before, _), (last, text)]: [(Token, &str); 2]) -> bool {
    match last {
        Token::Ident => WORDS.contains(&text),
        // `1..` is a range.
        Token::Dot => before != Token::Dot,
        // `->` and `=>`, but not the end of `Vec<u8>`.
        Token::Gt => matches!(before, Token::Minus | Token::Eq),
        Token::Eq | Token::Plus | Token::Minus | Token::Star | Token::Slash | Token::Percent => true,
        Token::And | Token::Or | Token::Caret | Token::Lt => true,
        // `impl<'a`, which the parser takes for something else.
        Token::Lifetime { .. } => before == Token::Lt,
        Token::Comma | Token::Colon | Token::Pound | Token::Dollar => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(codes: &[&str], expected: &Completeness) {
        for code in codes {
            assert_eq!(completeness(code), *expected, "{code}");
        }
    }

    fn indented(levels: usize) -> Completeness {
        Completeness::Incomplete(INDENT.repeat(levels))
    }

    #[test]
    #[rustfmt::skip]
    fn code_that_may_end_here() {
        check(&[
            "", "x", "1.", "1.0.sqrt()", "0x1e", "1..", "x..", "a..b", "x.0.1", "()", "{}", "a < b", "x as u8",
            "foo()?", "x.await", "Vec::<u8>", "return", "break", "|x| x", "move || 1", "a\n    .b()", "P { x: 1 }",
            "vec![1 +]", "'a: loop {}", "if x {}", "if x {} else {}", "match x {}", "loop {}", "unsafe {}",
            "async move {}", "for x in y {}", "r#let", "outlet", "let x = 5", "let x = 1;", "let x: Vec<Vec<u8>> = v;",
            "let x = if a { 1 }", "let (a, b) = c.0.1", "let Some(x) = y", "struct P;", "struct P(i32);", "struct P {}",
            "enum E { A }", "fn f();", "impl P {}", "mod m {}", "use a::b;", "const A: u8 = 1;", "extern \"C\" {}",
            "macro_rules! m { () => {} }", "#[derive(Debug)]\nstruct P;", "/// doc\nfn f() {}",
            "fn f<'a, 'b: 'a>(x: &'a str, c: &'b char) -> bool { x.starts_with('\"') }", "#![allow(unused)]",
            "//! inner", "#![allow(unused)]\nlet x = 1;", "// (", "//// [", "/*/ ( */ 1", "x // +", "x//\nr#\"a\"b\"#",
            "\"\\\"\"", "\"let\"", "'='", "'('", "b'['", "'\\''", "'\\u{7b}'", "r##\"\"#\"##", "br\"\\\"", "&'r#fn str",
            // Wrong, and no further line mends it: rustc says why.
            "let type = 3;", "let x = ;", "x y", "1 /// doc", "f()\nstruct P", "let c = 'a", "use a::b\n\n\n",
            "let x =\n    \n  \n",
        ], &Completeness::Complete);
    }

    #[test]
    #[rustfmt::skip]
    fn code_that_goes_on() {
        check(&[
            "#[derive(Debug)]", "#[a]\n#[b]", "/// doc", "/// {", "/** doc */", "/// doc\n// plain",
            "let x = 5; /// doc", "fn add(a: i32) -> i32", "fn f() -> Vec<Vec<u8>>", "async fn f()",
            "fn f() where T: Clone", "struct P", "struct P(i32)", "impl P", "impl T for P", "trait T", "enum E",
            "mod m", "pub(crate)", "extern \"C\"", "use a::b", "type A = B", "const A: u8 = 1", "static A: u8",
            "macro_rules! m", "match x", "for i in 0..3", "if a == b", "if x {} else if y", "if let Some(x) = y",
            "while x", "let x = if a", "let f = |x: u8| -> u8", "println!", "a >", "!", "x || !",
            "#![allow(unused)]\nstruct P", "fn f() {}\nfn g()", "\"open", "b\"\\\"", "/* open", "/* /* */", "r##\"\"#",
            "br\"(", "'\\''; \"",
        ], &indented(0));
        check(&[
            "fn f() {", "vec![1,", "('a', 'static'", "'a: loop { break 'a", "fn", "let", "loop", "unsafe",
            "let x = unsafe", "if x {} else", "let Some(x) = y else", "x as", "let x =", "let x:", "let /* in */",
            "where T:", "'a:", "impl<'a", "fn f() ->", "x =>", "|x|", "let f = move", "a +", "a ==", "a &&", "a..=",
            "x.", "std::", "&mut", "#", "1 - // one", "#!/usr/bin/env (",
        ], &indented(1));
        check(&["fn f() { if x {"], &indented(2));
    }

    #[test]
    #[rustfmt::skip]
    fn code_that_cannot_become_right() {
        check(&[
            ")", "(]", "fn f() }", "vec![1)", "---\n)\n---", "let x = 1 \\", "'", "b'", "let c = 'a;'", "f\"x\"", "k#x",
            "'k#x", "##", "#\"x\"#", "r#~", "0x", "1e", "'1",
        ], &Completeness::Invalid);
    }

    #[test]
    #[rustfmt::skip]
    fn commands_are_no_rust() {
        check(&[
            ":dep a = { version = \"1\"", "  :vars", ":fmt {", ":env A=\"b", "!echo \"(", "%cd \"a",
            "\n// (\n:vars =\n", ":vars\nlet x = 1;", "let x = 1;\n:fmt {", "let x = 1;\r\n!echo (\r\n\r\nx",
            "::std::f()", "(\n:vars)",
        ], &Completeness::Complete);
        check(&[":dep a = \"1\"\n\n!ls (\nfn f() {", "x;\n:vars\n\"\".len(", "f(\n!ls", "::std::f("], &indented(1));
        check(&[":vars\nstruct P", "let s = \"\n:vars"], &indented(0));
    }

    #[test]
    fn no_nesting_is_too_deep() {
        for (open, close) in
            [("(", ")"), ("[", "]"), ("{", "}"), ("-", ""), ("|x|", ""), ("x=", ""), ("if a {} else ", "{}")]
        {
            check(&[&format!("{}1{}", open.repeat(3000), close.repeat(3000))], &Completeness::Complete);
        }
    }

    #[test]
    fn cells_of_the_lessons_are_complete_and_may_be_cut_anywhere() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../notebooks")).unwrap();
        let paths =
            folder.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "ipynb"));
        for path in paths {
            let lesson: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
            for cell in lesson["cells"].as_array().unwrap().iter().filter(|cell| cell["cell_type"] == "code") {
                let code: String = cell["source"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
                check(&[&code], &Completeness::Complete);
                code.char_indices().step_by(17).for_each(|(at, _)| drop(completeness(&code[..at])));
            }
        }
    }
}
