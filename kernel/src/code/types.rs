//! Names of types: from what `std::any::type_name` says to what can be written in another cell.

use super::items::CRATE;

/// How the parts of a type's name are written in a cell.
pub trait Paths {
    /// The path that is written for a path of definitions such as `alloc::vec::Vec`, if one is known.
    fn written(&mut self, path: &str) -> Option<String>;
}

/// The type as it is written in a cell; `None` if it cannot be.
pub fn written(type_name: &str, paths: &mut dyn Paths) -> Option<String> {
    let mut reader = Reader { rest: type_name, paths, bound: 0 };
    let written = reader.one()?;
    reader.rest.is_empty().then_some(written)
}

struct Reader<'a> {
    rest: &'a str,
    paths: &'a mut dyn Paths,
    /// How many `fn(…)` and `Fn(…)` are around: their references have lifetimes of their own.
    bound: usize,
}

impl Reader<'_> {
    fn take(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, text: &str) -> Option<()> {
        self.take(text).then_some(())
    }

    fn word(&mut self) -> Option<String> {
        let end = self.rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '#').unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then(|| word.to_owned())
    }

    fn list(&mut self, end: &str) -> Option<Vec<String>> {
        let mut all = Vec::new();
        while !self.take(end) {
            all.push(self.one()?);
            let _ = self.take(", ") || self.take(",");
        }
        Some(all)
    }

    fn one(&mut self) -> Option<String> {
        if self.take("&") {
            return self.reference();
        }
        for (pointer, written) in [("*const ", "*const "), ("*mut ", "*mut ")] {
            if self.take(pointer) {
                return Some(format!("{written}{}", self.one()?));
            }
        }
        if self.take("(") {
            let all = self.list(")")?;
            return Some(if all.len() == 1 { format!("({},)", all[0]) } else { format!("({})", all.join(", ")) });
        }
        if self.take("[") {
            return self.array();
        }
        if self.take("!") {
            return None;
        }
        if self.take("dyn ") {
            return self.bounds();
        }
        if self.rest.starts_with("for<") || self.rest.starts_with("impl ") || self.rest.starts_with('<') {
            return None;
        }
        self.function_or_path()
    }

    fn reference(&mut self) -> Option<String> {
        let lifetime = if self.take("'static ") || (self.bound == 0) { "'static " } else { "" };
        if self.take("'_ ") || !self.rest.starts_with('\'') {
            let is_mut = if self.take("mut ") { "mut " } else { "" };
            let inner = self.one()?;
            // `&dyn A + B` is ambiguous.
            let inner = if inner.starts_with("dyn ") && inner.contains(" + ") { format!("({inner})") } else { inner };
            return Some(format!("&{lifetime}{is_mut}{inner}"));
        }
        None
    }

    fn array(&mut self) -> Option<String> {
        let inner = self.one()?;
        if self.take("]") {
            return Some(format!("[{inner}]"));
        }
        self.expect("; ")?;
        let end = self.rest.find(']')?;
        let (length, rest) = self.rest.split_at(end);
        self.rest = &rest[1..];
        Some(format!("[{inner}; {length}]"))
    }

    fn bounds(&mut self) -> Option<String> {
        let mut all = vec![self.bound()?];
        while self.take(" + ") {
            if self.take("'_") || self.take("'static") {
                continue;
            }
            all.push(self.bound()?);
        }
        Some(format!("dyn {}", all.join(" + ")))
    }

    fn bound(&mut self) -> Option<String> {
        if self.rest.starts_with("for<") {
            return None;
        }
        let path = self.path()?;
        if self.take("(") {
            self.bound += 1;
            let arguments = self.list(")")?;
            let result = if self.take(" -> ") { format!(" -> {}", self.one()?) } else { String::new() };
            self.bound -= 1;
            return Some(format!("{path}({}){result}", arguments.join(", ")));
        }
        Some(path)
    }

    fn function_or_path(&mut self) -> Option<String> {
        let begin = self.rest;
        let mut head = String::new();
        if self.take("unsafe ") {
            head += "unsafe ";
        }
        if self.take("extern \"C\" ") {
            head += "extern \"C\" ";
        }
        if self.take("fn(") {
            self.bound += 1;
            let arguments = self.list(")")?;
            let result = if self.take(" -> ") { format!(" -> {}", self.one()?) } else { String::new() };
            self.bound -= 1;
            return Some(format!("{head}fn({}){result}", arguments.join(", ")));
        }
        self.rest = begin;
        self.path()
    }

    fn path(&mut self) -> Option<String> {
        let mut names = vec![self.word()?];
        while self.take("::") {
            names.push(self.word()?);
        }
        let path = names.join("::");
        let written = match names.as_slice() {
            // A learner may have a type of that name.
            [primitive] => format!("::core::primitive::{primitive}"),
            [own, rest @ ..] if own == CRATE => format!("crate::{}", rest.join("::")),
            _ => self.paths.written(&path)?,
        };
        if !self.take("<") {
            return Some(written);
        }
        let mut arguments = Vec::new();
        while !self.take(">") {
            arguments.push(self.argument()?);
            let _ = self.take(", ") || self.take(",");
        }
        Some(format!("{written}<{}>", arguments.join(", ")))
    }

    /// One of the arguments in angle brackets: a lifetime, a value, `Item = i32`, or a type.
    fn argument(&mut self) -> Option<String> {
        if self.take("'_") || self.take("'static") {
            return Some(if self.bound == 0 { "'static" } else { "'_" }.to_owned());
        }
        if self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            let end = self.rest.find([',', '>'])?;
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(value.to_owned());
        }
        for value in ["true", "false"] {
            if self.take(value) {
                return Some(value.to_owned());
            }
        }
        if self.rest.starts_with('\'') || self.rest.starts_with('{') {
            return None;
        }
        let equals = self.rest.find([' ', ',', '<', '>', ':']).filter(|at| self.rest[*at..].starts_with(" = "));
        if let Some(at) = equals {
            let (name, rest) = self.rest.split_at(at);
            self.rest = &rest[3..];
            return Some(format!("{name} = {}", self.one()?));
        }
        self.one()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Last;

    impl Paths for Last {
        fn written(&mut self, path: &str) -> Option<String> {
            (!path.contains("unknown")).then(|| format!("::{}", path.rsplit("::").next().unwrap()))
        }
    }

    #[test]
    fn names_become_types_that_can_be_written() {
        for (name, expected) in [
            ("i32", "::core::primitive::i32"),
            ("alloc::vec::Vec<alloc::string::String>", "::Vec<::String>"),
            (
                "std::collections::hash::map::HashMap<&str, (i32, f64)>",
                "::HashMap<&'static ::core::primitive::str, (::core::primitive::i32, ::core::primitive::f64)>",
            ),
            ("[[u8; 3]; 2]", "[[::core::primitive::u8; 3]; 2]"),
            ("(i32,)", "(::core::primitive::i32,)"),
            ("()", "()"),
            (
                "alloc::boxed::Box<dyn core::ops::function::Fn(i32) -> i32>",
                "::Box<dyn ::Fn(::core::primitive::i32) -> ::core::primitive::i32>",
            ),
            ("alloc::boxed::Box<dyn core::error::Error + core::marker::Send>", "::Box<dyn ::Error + ::Send>"),
            (
                "alloc::boxed::Box<dyn core::iter::Iterator<Item = i32>>",
                "::Box<dyn ::Iterator<Item = ::core::primitive::i32>>",
            ),
            ("fn(&'_ str) -> usize", "fn(&::core::primitive::str) -> ::core::primitive::usize"),
            ("cell::G<3, cell::P>", "crate::G<3, crate::P>"),
            ("cell::geo::Pt", "crate::geo::Pt"),
            ("*const cell::P", "*const crate::P"),
            ("&[u8]", "&'static [::core::primitive::u8]"),
            ("core::slice::iter::Iter<'_, i32>", "::Iter<'static, ::core::primitive::i32>"),
            ("cell::F<true>", "crate::F<true>"),
            ("&&mut str", "&'static &'static mut ::core::primitive::str"),
        ] {
            assert_eq!(written(name, &mut Last).as_deref(), Some(expected), "{name}");
        }
        for none in ["a::unknown::T", "cell::f::{{closure}}", "for<'a> fn(&'a str)", "<a::B as c::D>::E", "!"] {
            assert_eq!(written(none, &mut Last), None, "{none}");
        }
    }
}
