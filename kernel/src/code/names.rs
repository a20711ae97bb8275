//! Where types can be named: `std::any::type_name` says where a type is defined (`alloc::vec::Vec`), a cell must say
//! where it is public (`std::vec::Vec`).
//!
//! The compiler is asked once about each path: of `a::b::c::T` it may be `a::b::c::T`, `a::b::T` or `a::T`. A wrong
//! answer does no harm, because a variable is compared with its type before it is taken out.

use super::types::Paths;
use std::collections::{BTreeMap, BTreeSet};

/// Paths that are known, and those that a look-up has missed.
#[derive(Debug, Default)]
pub struct Names {
    known: BTreeMap<String, Option<String>>,
    wanted: BTreeSet<String>,
    /// How the crates that can be reached are called in a cell.
    crates: BTreeMap<String, String>,
}

impl Names {
    /// Names of these crates, each with what a cell calls it.
    pub fn new(crates: BTreeMap<String, String>) -> Names {
        Names { crates, ..Names::default() }
    }

    /// Makes a further crate known, or calls it otherwise.
    pub fn add_crate(&mut self, name: &str, called: &str) {
        self.crates.insert(name.to_owned(), called.to_owned());
        let of_crate = |path: &str| path.split("::").next() == Some(name);
        self.known.retain(|path, _| !of_crate(path));
    }

    /// Takes over what was learnt earlier: lines `path = written` or `path` alone.
    pub fn read(&mut self, text: &str) {
        for line in text.lines().filter(|line| !line.is_empty()) {
            let (path, written) = line.split_once(" = ").map_or((line, None), |(path, written)| (path, Some(written)));
            self.known.insert(path.to_owned(), written.map(str::to_owned));
        }
    }

    /// What is known, for [`Names::read`].
    pub fn text(&self) -> String {
        let line = |(path, written): (&String, &Option<String>)| match written {
            Some(written) => format!("{path} = {written}\n"),
            None => format!("{path}\n"),
        };
        self.known.iter().map(line).collect()
    }

    /// The paths that nobody knew, and what each may be called; they are no longer wanted.
    pub fn take_wanted(&mut self) -> Vec<(String, Vec<String>)> {
        let wanted = std::mem::take(&mut self.wanted);
        wanted.into_iter().map(|path| (path.clone(), self.candidates(&path))).collect()
    }

    /// Learns what a path is called, or that it has no name.
    pub fn learn(&mut self, path: String, written: Option<String>) {
        self.known.insert(path, written);
    }

    fn candidates(&self, path: &str) -> Vec<String> {
        let names: Vec<&str> = path.split("::").collect();
        let [krate, modules @ .., last] = names.as_slice() else { return Vec::new() };
        let called = match *krate {
            "core" | "alloc" | "std" => vec!["std".to_owned()],
            other => self.crates.get(other).into_iter().cloned().collect(),
        };
        let with = |called: &String| -> Vec<String> {
            let ways = (0..=modules.len()).rev();
            ways.map(|kept| {
                let inner: String = modules[..kept].iter().map(|name| format!("{name}::")).collect();
                format!("::{called}::{inner}{last}")
            })
            .collect()
        };
        called.iter().flat_map(with).collect()
    }
}

impl Paths for Names {
    fn written(&mut self, path: &str) -> Option<String> {
        match self.known.get(path) {
            Some(written) => written.clone(),
            None => {
                self.wanted.insert(path.to_owned());
                None
            }
        }
    }
}

/// Code that asks the compiler about candidates: one line for each.
pub fn question(candidates: &[String]) -> String {
    candidates.iter().enumerate().map(|(number, path)| format!("use {path} as _{number};\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_asked_for_once() {
        let mut names = Names::new(BTreeMap::from([("candle_core".into(), "lab_candle_core".into())]));
        assert_eq!(names.written("candle_core::tensor::Tensor"), None);
        assert_eq!(names.written("alloc::string::String"), None);
        let wanted = names.take_wanted();
        assert_eq!(wanted[0].1, ["::std::string::String", "::std::String"]);
        assert_eq!(wanted[1].1, ["::lab_candle_core::tensor::Tensor", "::lab_candle_core::Tensor"]);
        names.learn("alloc::string::String".into(), Some("::std::string::String".into()));
        names.learn("x::Y".into(), None);
        let mut again = Names::default();
        again.read(&names.text());
        assert_eq!(again.written("alloc::string::String").as_deref(), Some("::std::string::String"));
        assert_eq!((again.written("x::Y"), again.take_wanted().len()), (None, 0));
        assert_eq!(question(&["::a::B".into()]), "use ::a::B as _0;\n");
    }
}
