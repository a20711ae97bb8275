//! Functions of Python source files, found by indentation; no Python needed.

/// The outermost functions and the methods of a file as `(name, text)`, in the order of the file, without decorators
/// and indented as if they stood alone.
pub(super) fn functions(source: &str) -> Vec<(String, String)> {
    let lines = logical_lines(source);
    let mut found = Vec::new();
    let mut i = 0;
    while i < lines.len() {
        let Some(name) = defined_name(lines[i]) else {
            i += 1;
            continue;
        };
        let depth = indentation(lines[i]);
        // Comments may stand anywhere; those after the last line of the body belong to what follows.
        let deeper = |line: &&&str| !line.trim().is_empty() && indentation(line) > depth;
        let passes = |line: &&str| line.trim().is_empty() || line.trim_start().starts_with('#');
        let rest = lines[i + 1..].iter().take_while(|line| deeper(line) || passes(line));
        let body = rest.enumerate().filter(|(_, line)| deeper(line)).map(|(n, _)| n + 1).last().unwrap_or(0);
        let text: Vec<String> = lines[i..=i + body].iter().map(|line| dedented(line, depth)).collect();
        found.push((name.to_string(), text.join("\n").trim_end().to_string()));
        i += body + 1;
    }
    found
}

/// The name in `def name(` or `async def name(`.
fn defined_name(line: &str) -> Option<&str> {
    let line = line.trim_start();
    let line = line.strip_prefix("async ").map_or(line, str::trim_start);
    let rest = line.strip_prefix("def ")?.trim_start();
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    (end > 0 && rest[end..].trim_start().starts_with('(')).then_some(&rest[..end])
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches([' ', '\t']).len()
}

/// Moves each line of a logical line left by up to `depth` blanks.
fn dedented(logical: &str, depth: usize) -> String {
    let lines = logical.split('\n').map(|line| line[indentation(line).min(depth)..].trim_end());
    lines.collect::<Vec<_>>().join("\n")
}

/// The lines of a source in which a line break inside brackets or triple quotes does not end a line.
fn logical_lines(source: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let (mut start, mut state) = (0, State::default());
    for (i, piece) in source.split_inclusive('\n').scan(0, |at, line| {
        *at += line.len();
        Some((*at, line))
    }) {
        state.read(piece);
        if !state.open() {
            lines.push(source[start..i].trim_end_matches(['\n', '\r']));
            start = i;
        }
    }
    if start < source.len() {
        lines.push(source[start..].trim_end());
    }
    lines
}

/// The brackets and strings that are open at the end of a line.
#[derive(Default)]
struct State {
    brackets: usize,
    /// The quotes that end the triple-quoted string we are in.
    triple: Option<&'static str>,
    /// The quote that ends the string we are in.
    quote: Option<char>,
    /// `true` if the line ended with a backslash.
    continued: bool,
}

impl State {
    fn open(&self) -> bool {
        self.brackets > 0 || self.triple.is_some() || self.continued
    }

    /// Reads one physical line. A string in single quotes ends with its line, unless a backslash continues it.
    fn read(&mut self, line: &str) {
        if !self.continued {
            self.quote = None;
        }
        self.continued = false;
        let mut rest = line.trim_end_matches(['\n', '\r']);
        while let Some(c) = rest.chars().next() {
            let mut width = c.len_utf8();
            if c == '\\' {
                self.continued = rest.len() == 1 && self.triple.is_none();
                width += rest[1..].chars().next().map_or(0, char::len_utf8);
            } else if let Some(end) = self.triple {
                if rest.starts_with(end) {
                    self.triple = None;
                    width = end.len();
                }
            } else if let Some(end) = self.quote {
                self.quote = (c != end).then_some(end);
            } else if let Some(end) = ["\"\"\"", "'''"].into_iter().find(|quotes| rest.starts_with(quotes)) {
                self.triple = Some(end);
                width = end.len();
            } else {
                match c {
                    '#' => return,
                    '"' | '\'' => self.quote = Some(c),
                    '(' | '[' | '{' => self.brackets += 1,
                    ')' | ']' | '}' => self.brackets = self.brackets.saturating_sub(1),
                    _ => {}
                }
            }
            rest = &rest[width..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_end_where_the_indentation_does() {
        let source = r##"import os
DEF = "def no(): pass"

@decorated
def first(a,
b=")"):
    """A text

at the left margin: def no(x):
    """
    return a  # ( open only in a comment

class Thing(object):
    """def no(self): pass"""
    def method(self):
        def inner():
            return '\'('

        return inner

    async def other(self): return [
1, 2]
    # not part of it

def commented():
    x = 1
# at the margin
    return x
# not part of it
x = 3
def last(x="a, \
def no(): (", y=1):
	if x:
		return "é"
"##;
        let found = functions(source);
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["first", "method", "other", "commented", "last"]);
        assert!(found[0].1.starts_with("def first(a,\nb=\")\"):\n    \"\"\"A text\n\nat the left"));
        assert!(found[0].1.ends_with("# ( open only in a comment"));
        assert_eq!(found[1].1, "def method(self):\n    def inner():\n        return '\\'('\n\n    return inner");
        assert_eq!(found[2].1, "async def other(self): return [\n1, 2]");
        assert_eq!(found[3].1, "def commented():\n    x = 1\n# at the margin\n    return x");
        assert_eq!(found[4].1, "def last(x=\"a, \\\ndef no(): (\", y=1):\n\tif x:\n\t\treturn \"é\"");
    }

    #[test]
    fn damaged_sources_do_no_harm() {
        for source in ["", "def", "def f(", "def f():", "\"\"\"", "def f():\n    '''", "é\\", "def é(): pass"] {
            functions(source);
        }
        assert_eq!(functions("def é(): pass")[0].0, "é");
    }
}
