//! The identifiers of a piece of code.

use ra_ap_rustc_lexer::{FrontmatterAllowed, TokenKind as Token, tokenize};
use std::collections::HashSet;

/// Every identifier of the code, be it Rust or a format string (`"{count}"`).
pub fn words(code: &str) -> HashSet<String> {
    let (mut found, mut at) = (HashSet::new(), 0);
    for token in tokenize(code, FrontmatterAllowed::No) {
        let text = &code[at..at + token.len as usize];
        at += text.len();
        match token.kind {
            Token::Ident | Token::RawIdent => drop(found.insert(text.to_owned())),
            Token::Literal { .. } if text.contains('{') => found.extend(in_text(text).map(str::to_owned)),
            _ => {}
        }
    }
    found
}

fn in_text(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The code without blanks, comments and documentation: equal for code that means the same.
pub fn normal(code: &str) -> String {
    let (mut tokens, mut at) = (Vec::new(), 0);
    for token in tokenize(code, FrontmatterAllowed::No) {
        let text = &code[at..at + token.len as usize];
        at += text.len();
        if !matches!(token.kind, Token::Whitespace | Token::LineComment { .. } | Token::BlockComment { .. }) {
            tokens.push(text);
        }
    }
    tokens.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_identifiers_also_in_format_strings() {
        let found = words("let a = f(\"{b} c\", 'd'); // e\nr#type + \"x\"");
        let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, ["a", "b", "c", "f", "let", "r#type"]);
    }

    #[test]
    fn blanks_and_comments_mean_nothing() {
        assert_eq!(normal("struct P {\n  /// doc\n  x: i32, // y\n}"), normal("struct P { x: i32, }"));
        assert_ne!(normal("x: i32"), normal("x: i64"));
    }
}
