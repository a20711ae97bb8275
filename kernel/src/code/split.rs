//! The parts of a cell: Rust, and the lines that are none.

use super::Range;
use ra_ap_rustc_lexer::{FrontmatterAllowed, LiteralKind as Literal, TokenKind as Token, tokenize};

/// A part of a cell.
#[derive(Debug, PartialEq, Eq)]
pub enum Part {
    /// A line such as `:dep regex = "1"`; without the blanks around it.
    Command(Range),
    /// A line such as `!ls`, for the shell.
    Shell(Range),
    /// A line of IPython's, such as `%%time`.
    Magic(Range),
    /// Rust.
    Rust(Range),
}

/// The parts of a cell, in order. A command may stand wherever a statement may begin; a line for the shell only where
/// no Rust comes before it, since `!` is also an operator.
pub fn parts(cell: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let (mut begin, mut at) = (0, 0);
    for line in cell.split_inclusive('\n') {
        let range = at..at + line.len();
        at = range.end;
        let Some(other) = other_than_rust(cell, begin..range.start, &range) else { continue };
        push_rust(cell, begin..range.start, &mut parts);
        parts.push(other);
        begin = range.end;
    }
    push_rust(cell, begin..cell.len(), &mut parts);
    parts
}

/// The part that a line is, if it is not Rust; `before` is the Rust before it.
fn other_than_rust(cell: &str, before: Range, line: &Range) -> Option<Part> {
    let text = &cell[line.clone()];
    let start = line.start + text.len() - text.trim_start().len();
    let range = start..start + text.trim().len();
    let mut letters = text.trim_start().chars();
    let (sign, next) = (letters.next()?, letters.next());
    let is_word = next.is_some_and(|next| next.is_ascii_alphabetic());
    match sign {
        ':' if is_word && is_whole(&cell[before.clone()]) => Some(Part::Command(range)),
        '!' if next.is_some_and(|next| next != '=')
            && is_blank(&cell[before.clone()])
            && is_shell(&cell[range.clone()]) =>
        {
            Some(Part::Shell(range))
        }
        '%' if (is_word || next == Some('%')) && is_blank(&cell[before]) => Some(Part::Magic(range)),
        _ => None,
    }
}

/// True for a line for the shell, and not for the value of an expression such as `!flag`.
fn is_shell(line: &str) -> bool {
    let rest = line[1..].trim();
    !rest.ends_with(';') || rest.contains(' ')
}

fn push_rust(cell: &str, range: Range, parts: &mut Vec<Part>) {
    if !cell[range.clone()].trim().is_empty() {
        parts.push(Part::Rust(range));
    }
}

/// True if there is nothing but blanks and comments.
pub fn is_blank(code: &str) -> bool {
    tokenize(code, FrontmatterAllowed::No).all(|token| {
        matches!(
            token.kind,
            Token::Whitespace | Token::LineComment { .. } | Token::BlockComment { terminated: true, .. }
        )
    })
}

/// True if all brackets, strings and comments that begin here also end here.
pub fn is_whole(code: &str) -> bool {
    unbalanced(code).is_none()
}

/// The place of the first bracket, string or comment without its other end.
pub fn unbalanced(code: &str) -> Option<usize> {
    let (mut open, mut at) = (Vec::new(), 0);
    for token in tokenize(code, FrontmatterAllowed::No) {
        match token.kind {
            Token::OpenParen => open.push((Token::CloseParen, at)),
            Token::OpenBracket => open.push((Token::CloseBracket, at)),
            Token::OpenBrace => open.push((Token::CloseBrace, at)),
            closing @ (Token::CloseParen | Token::CloseBracket | Token::CloseBrace) => match open.pop() {
                Some((expected, _)) if expected == closing => {}
                _ => return Some(at),
            },
            kind if is_unterminated(kind) => return Some(at),
            _ => {}
        }
        at += token.len as usize;
    }
    open.first().map(|(_, place)| *place)
}

fn is_unterminated(kind: Token) -> bool {
    match kind {
        Token::BlockComment { terminated, .. } => !terminated,
        Token::Literal { kind, .. } => match kind {
            Literal::Str { terminated } | Literal::ByteStr { terminated } | Literal::CStr { terminated } => !terminated,
            Literal::Char { terminated } | Literal::Byte { terminated } => !terminated,
            Literal::RawStr { n_hashes } | Literal::RawByteStr { n_hashes } | Literal::RawCStr { n_hashes } => {
                n_hashes.is_none()
            }
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(cell: &str) -> Vec<String> {
        let show = |part| match part {
            Part::Command(range) => format!("command {}", &cell[range]),
            Part::Shell(range) => format!("shell {}", &cell[range]),
            Part::Magic(range) => format!("magic {}", &cell[range]),
            Part::Rust(range) => format!("rust {}", cell[range].trim()),
        };
        parts(cell).into_iter().map(show).collect()
    }

    #[test]
    fn commands_stand_where_a_statement_may_begin() {
        assert_eq!(shown(":dep a = \"1\"\nlet x = 1;"), ["command :dep a = \"1\"", "rust let x = 1;"]);
        assert_eq!(shown("let x = 1;\n  :vars\r\nx"), ["rust let x = 1;", "command :vars", "rust x"]);
        assert_eq!(shown("let s = \"\n:vars\n\";"), ["rust let s = \"\n:vars\n\";"]);
        assert_eq!(shown("f(\n:vars\n)"), ["rust f(\n:vars\n)"]);
        assert_eq!(shown("let x\n    : i32 = 1;\n::std::mem::drop(x)").len(), 1);
    }

    #[test]
    fn the_shell_comes_before_rust() {
        assert_eq!(
            shown("// a\n!ls -l\n!echo '('\nlet x = 1;")[1..],
            ["shell !ls -l", "shell !echo '('", "rust let x = 1;"]
        );
        assert_eq!(shown("let a = true;\n!a"), ["rust let a = true;\n!a"]);
        assert_eq!(shown("%%time\nlet x = 1;"), ["magic %%time", "rust let x = 1;"]);
    }

    #[test]
    fn what_has_no_other_end_is_found() {
        for (code, place) in
            [("f(1", Some(1)), ("f(1))", Some(4)), ("\"a", Some(0)), ("1 /* x", Some(2)), ("[(])", Some(2))]
        {
            assert_eq!(unbalanced(code), place, "{code}");
        }
        assert!(is_whole("fn f<'a>(x: &'a str) { \"}\" }") && is_blank(" // x\n/* y */"));
    }
}
