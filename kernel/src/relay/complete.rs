//! Completeness of a cell: its brackets, strings and comments, as rustc's own lexer sees them.

use ra_ap_rustc_lexer::{
    FrontmatterAllowed, LiteralKind as Literal, RawStrError, TokenKind as Token, tokenize, validate_raw_str,
};
use serde_json::{Value, json};

/// One level of indentation.
const INDENT: &str = "    ";
/// Keywords that no code ends with.
const WORDS: [&str; 14] =
    ["let", "mut", "fn", "struct", "enum", "impl", "if", "else", "match", "while", "for", "in", "use", "mod"];

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

/// The completeness of a cell.
pub fn completeness(code: &str) -> Completeness {
    let code = rust_part(code);
    let (mut open, mut at) = (Vec::new(), 0);
    // The latest two tokens that are neither blank nor comment.
    let mut tail = [(Token::Eof, ""); 2];
    for token in tokenize(code, FrontmatterAllowed::No) {
        let text = &code[at..at + token.len as usize];
        at += text.len();
        match token.kind {
            kind if is_unterminated(kind, text) => return Completeness::Incomplete(String::new()),
            kind if is_error(kind) => return Completeness::Invalid,
            Token::Whitespace | Token::LineComment { .. } | Token::BlockComment { .. } => continue,
            Token::OpenParen => open.push(Token::CloseParen),
            Token::OpenBracket => open.push(Token::CloseBracket),
            Token::OpenBrace => open.push(Token::CloseBrace),
            closing @ (Token::CloseParen | Token::CloseBracket | Token::CloseBrace) if open.pop() != Some(closing) => {
                return Completeness::Invalid;
            }
            _ => {}
        }
        tail = [tail[1], (token.kind, text)];
    }
    match open.len() {
        0 if wants_more(tail) => Completeness::Incomplete(INDENT.to_owned()),
        0 => Completeness::Complete,
        depth => Completeness::Incomplete(INDENT.repeat(depth)),
    }
}

/// The cell without the lines before its Rust: commands of evcxr (`:dep`, `!ls`), of one line each, between blank lines
/// and comments.
fn rust_part(code: &str) -> &str {
    let is_before = |line: &&str| {
        let is_command = line.trim_start_matches(' ').starts_with(':') || line.starts_with('!');
        is_command || line.starts_with("//") || line.trim().is_empty()
    };
    let before: usize = code.split_inclusive('\n').take_while(is_before).map(str::len).sum();
    &code[before..]
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

/// True if no code ends with these two tokens.
fn wants_more([(before, _), (last, text)]: [(Token, &str); 2]) -> bool {
    match last {
        Token::Ident => WORDS.contains(&text),
        // `1..` is a range.
        Token::Dot => before != Token::Dot,
        // `->` and `=>`, but not the end of `Vec<u8>`.
        Token::Gt => matches!(before, Token::Minus | Token::Eq),
        Token::Eq | Token::Plus | Token::Minus | Token::Star | Token::Slash | Token::Percent => true,
        Token::And | Token::Or | Token::Caret | Token::Lt => true,
        Token::Comma | Token::Colon | Token::Pound | Token::Dollar => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complete_code() {
        for code in [
            "",
            "let x = 1;",
            "x",
            "println!(\"a ( b\");",
            "'('",
            "'\\''",
            "// (",
            "/* ( /* [ */ */ 1",
            "r#\"(\"#",
            "fn f<'a>(x: &'a str) -> &'a str { x }",
            ":dep serde = \"1\"",
            ":vars",
            "b'\"'",
            "br\"[\"",
            "1..",
            "let r#type = 1;",
            "\"\\\"\"",
            "use a::b;",
            "foo()?",
            "'\\u{41}'",
            "var",
            "format!(\"{x}\") // =",
        ] {
            assert_eq!(completeness(code), Completeness::Complete, "{code}");
        }
    }

    #[test]
    fn incomplete_code() {
        let one = || Completeness::Incomplete("    ".into());
        for code in ["fn f() {", "let x = ", "vec![1,", "a +", "let", "if", "x.", "match x"] {
            let expected = if code == "match x" { Completeness::Complete } else { one() };
            assert_eq!(completeness(code), expected, "{code}");
        }
        assert_eq!(completeness("fn f() { if x {"), Completeness::Incomplete("        ".into()));
        for code in ["\"open", "/* open", "r#\"open\"", "'\\''; \""] {
            assert_eq!(completeness(code), Completeness::Incomplete(String::new()), "{code}");
        }
    }

    #[test]
    fn code_that_cannot_become_right() {
        for code in [")", "(]", "fn f() }", "vec![1)"] {
            assert_eq!(completeness(code), Completeness::Invalid, "{code}");
        }
    }
    fn check(code: &str, expected: &Completeness) {
        assert_eq!(completeness(code), *expected, "{code}");
    }

    #[test]
    fn literals_of_every_kind_hide_their_brackets() {
        let strings = [("\"", "\""), ("r\"", "\""), ("r##\"", "\"##"), ("b\"", "\""), ("br#\"", "\"#"), ("c\"", "\"")];
        let others = [("cr\"", "\""), ("cr#\"", "\"#"), ("/*", "*/"), ("/* /*", "*/ */")];
        for (begin, end) in strings.into_iter().chain(others) {
            check(&format!("f({begin}(\n[{{{end})"), &Completeness::Complete);
            check(&format!("f({begin}(\n[{{"), &Completeness::Incomplete(String::new()));
        }
        for code in ["'('", "'\"'", "b'['", "'\\''", "b'\\\\'", "'{'", "'\\u{7b}'", "/*/ ( */ 1", "// [", "/// {"] {
            check(code, &Completeness::Complete);
        }
    }

    #[test]
    fn hashes_end_a_raw_string_only_in_their_number() {
        check("r##\"\"#\"##", &Completeness::Complete);
        check("r##\"\"#", &Completeness::Incomplete(String::new()));
        check("br\"\\\"", &Completeness::Complete);
        check("b\"\\\"", &Completeness::Incomplete(String::new()));
    }

    #[test]
    fn lifetimes_are_no_characters() {
        check("fn f<'a, 'b: 'a>(x: &'a str, c: &'b char) -> bool { x.starts_with('\"') }", &Completeness::Complete);
        check("'outer: loop { break 'outer", &Completeness::Incomplete("    ".into()));
        check("('a', 'static'", &Completeness::Incomplete("    ".into()));
        check("&'r#fn str", &Completeness::Complete);
    }

    #[test]
    fn the_last_token_decides_not_the_last_letters() {
        for code in
            ["r#let", "outlet", "1.", "1.0.sqrt()", "0x1e", "x..", "Vec::<u8>", "\"let\"", "'='", "x // +", "x?"]
        {
            check(code, &Completeness::Complete);
        }
        for code in ["a ==", "a..=", "fn f() ->", "x =>", "let /* in */", "let x:", "std::", "&mut", "#", "1 - // one"]
        {
            check(code, &Completeness::Incomplete("    ".into()));
        }
    }

    #[test]
    fn tokens_that_no_line_can_mend() {
        for code in [
            "let x = 1 \\",
            "'",
            "b'",
            "let c = 'a;'",
            "f\"x\"",
            "k#x",
            "'k#x",
            "##",
            "#\"x\"#",
            "r#~",
            "0x",
            "1e",
            "'1",
        ] {
            check(code, &Completeness::Invalid);
        }
    }

    #[test]
    fn commands_are_no_rust() {
        for code in [
            ":dep a = \"open",
            "  :vars",
            ":dep a = [",
            "!echo 'x (",
            "\n// (\n:vars\n",
            ":vars =",
            ":vars\nlet x = 1;",
        ] {
            check(code, &Completeness::Complete);
        }
        check(":dep a = \"1\"\n\n!ls (\nfn f() {", &Completeness::Incomplete("    ".into()));
        check("(\n:vars)", &Completeness::Complete);
    }

    #[test]
    fn a_cell_has_neither_shebang_nor_frontmatter() {
        check("#!/usr/bin/env (", &Completeness::Incomplete("    ".into()));
        check("#![allow(unused)]", &Completeness::Complete);
        check("---\n[dependencies", &Completeness::Incomplete("    ".into()));
        check("---\n)\n---", &Completeness::Invalid);
    }
}
