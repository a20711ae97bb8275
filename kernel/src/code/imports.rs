//! `use` taken apart: one import for each name.

use super::Range;
use super::parse::range;
use ra_ap_syntax::ast::{self, AstNode, HasName};

/// One import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// The name that it makes known; `None` for `*` and `as _`.
    pub name: Option<String>,
    /// The path before the braces, in pieces of the cell, outermost first.
    pub path: Vec<Range>,
    /// The rest: a path, with `as` if there is one, or `*` or `self`.
    pub leaf: Range,
}

/// The imports of a `use` of this code.
pub fn of(item: &ast::Use, code: &str) -> Vec<Import> {
    let mut found = Vec::new();
    if let Some(tree) = item.use_tree() {
        collect(&tree, code, &mut Vec::new(), &mut found);
    }
    found
}

fn collect(tree: &ast::UseTree, code: &str, path: &mut Vec<Range>, found: &mut Vec<Import>) {
    if let Some(list) = tree.use_tree_list() {
        let own = tree.path().map(|path| range(path.syntax()));
        let length = path.len();
        path.extend(own);
        list.use_trees().for_each(|inner| collect(&inner, code, path, found));
        path.truncate(length);
        return;
    }
    let renamed = tree.rename().map(|rename| rename.name().map(|name| name.text().to_string()));
    let last = tree.path().and_then(|path| path.segment()).and_then(|segment| segment.name_ref());
    let last = last.map(|name| name.text().to_string());
    // `a::b::{self}` makes `b` known.
    let outer =
        || path.last().and_then(|range| code[range.clone()].rsplit("::").next()).map(|name| name.trim().to_owned());
    let last = if last.as_deref() == Some("self") { outer() } else { last };
    let name = match renamed {
        Some(name) => name,
        None if tree.star_token().is_some() => None,
        None => last,
    };
    found.push(Import { name, path: path.clone(), leaf: range(tree.syntax()) });
}

impl Import {
    /// The import as a path, in pieces of the cell, with what stands before and after each.
    pub fn pieces(&self, code: &str) -> Vec<(&'static str, Range, &'static str)> {
        let is_self = code[self.leaf.clone()].starts_with("self");
        let leaf =
            if is_self && !self.path.is_empty() { ("{", self.leaf.clone(), "}") } else { ("", self.leaf.clone(), "") };
        self.path.iter().map(|range| ("", range.clone(), "::")).chain([leaf]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::parse::parse;

    fn shown(code: &str) -> Vec<String> {
        let parsed = parse(code).unwrap();
        let uses = parsed
            .items
            .iter()
            .filter_map(|item| if let ast::Item::Use(item) = item { Some(of(item, code)) } else { None });
        let show = |import: Import| {
            let pieces = import.pieces(code).into_iter();
            let path: String =
                pieces.map(|(before, range, after)| format!("{before}{}{after}", &code[range])).collect();
            format!("{}: {path}", import.name.as_deref().unwrap_or("-"))
        };
        uses.flatten().map(show).collect()
    }

    #[test]
    fn each_name_is_an_import() {
        assert_eq!(shown("use std::fmt;"), ["fmt: std::fmt"]);
        assert_eq!(shown("use a::{b::{self, c as d}, e::*};"), ["b: a::b::{self}", "d: a::b::c as d", "-: a::e::*"]);
        assert_eq!(shown("pub use std::io::Write as _; use {x, y::z};"), ["-: std::io::Write as _", "x: x", "z: y::z"]);
    }
}
