//! Functions of Rust source files, found by parsing them with `syn`.

use std::ops::Range;

use proc_macro2::Span;
use syn::visit::{self, Visit};

/// The functions and methods of a file as `(name, text)`, in the order of the file; `None` if it is not Rust.
///
/// The text is the file's own from `pub` or `fn` to the closing brace: without attributes and documentation, indented
/// as if it stood alone. Tests, functions inside functions and declarations without a body are left out.
pub(super) fn functions(source: &str) -> Option<Vec<(String, String)>> {
    let source = without_shebang(source.strip_prefix('\u{feff}').unwrap_or(source));
    let file = syn::parse_file(source).ok();
    let found = file.map(|file| {
        let mut finder = Finder::default();
        finder.visit_file(&file);
        finder.found
    });
    // proc-macro2 keeps the text of everything it parsed on this thread unless told otherwise.
    proc_macro2::extra::invalidate_current_thread_spans();
    Some(found?.into_iter().map(|(name, range)| (name, dedented(source, range))).collect())
}

/// Without a first line for the shell, as `syn` cuts it off, so that its places are ours. (`#![…]` is Rust.)
fn without_shebang(source: &str) -> &str {
    match source.strip_prefix("#!") {
        Some(rest) if !rest.trim_start().starts_with('[') => source.find('\n').map_or("", |end| &source[end..]),
        _ => source,
    }
}

#[derive(Default)]
struct Finder {
    found: Vec<(String, Range<usize>)>,
}

impl Finder {
    fn add(&mut self, visibility: Option<&syn::Visibility>, signature: &syn::Signature, body: &syn::Block) {
        let first = match visibility {
            Some(syn::Visibility::Public(token)) => token.span,
            Some(syn::Visibility::Restricted(visibility)) => visibility.pub_token.span,
            _ => first_of(signature),
        };
        let range = first.byte_range().start..body.brace_token.span.close().byte_range().end;
        self.found.push((signature.ident.to_string(), range));
    }
}

/// Visitors do not descend into what they do not call `visit` for: bodies stay closed.
impl<'ast> Visit<'ast> for Finder {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !is_test(&item.attrs) {
            self.add(Some(&item.vis), &item.sig, &item.block);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.add(Some(&item.vis), &item.sig, &item.block);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        if let Some(body) = &item.default {
            self.add(None, &item.sig, body);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_expr(&mut self, _: &'ast syn::Expr) {}
}

/// The first word of a signature: `const`, `async`, `unsafe`, `extern` or `fn`.
fn first_of(signature: &syn::Signature) -> Span {
    let constness = signature.constness.as_ref().map(|t| t.span);
    let asyncness = signature.asyncness.as_ref().map(|t| t.span);
    let unsafety = signature.unsafety.as_ref().map(|t| t.span);
    let abi = signature.abi.as_ref().map(|abi| abi.extern_token.span);
    constness.or(asyncness).or(unsafety).or(abi).unwrap_or(signature.fn_token.span)
}

/// `#[test]`, `#[bench]`, `#[tokio::test]`, `#[cfg(test)]`.
fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let last = attribute.path().segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        let of_cfg = || attribute.parse_args::<syn::Path>().is_ok_and(|path| path.is_ident("test"));
        matches!(last.as_str(), "test" | "bench") || (last == "cfg" && of_cfg())
    })
}

/// The range's text, every line moved left by the indentation of the first.
fn dedented(source: &str, range: Range<usize>) -> String {
    let line_start = source[..range.start].rfind('\n').map_or(0, |newline| newline + 1);
    let line = &source[line_start..];
    let indentation = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
    let mut text = String::with_capacity(range.len());
    for (i, line) in source[range].lines().enumerate() {
        if i > 0 {
            text.push('\n');
        }
        text.push_str(line.strip_prefix(indentation).unwrap_or(line).trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_and_methods_are_cut_out_as_they_stand() {
        let source = r#"
//! A file.
/// Adds.
#[inline]
pub(crate) fn add(a: i32, b: i32) -> i32 {
    a + b
}

mod inner {
    impl Thing {
        /// Doc.
        pub const unsafe fn one(&self) -> usize {
            fn hidden() {}

            // über, a comment that stays
            let text = "{";
            1
        }
    }
    trait Speak {
        fn declared(&self);
        fn default(&self) { println!("hi") }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn not_me() {}
}
#[tokio::test]
async fn nor_me() {}
extern "C" fn last() {}
"#;
        let found = functions(source).unwrap();
        let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["add", "one", "default", "last"]);
        assert_eq!(found[0].1, "pub(crate) fn add(a: i32, b: i32) -> i32 {\n    a + b\n}");
        let one = "pub const unsafe fn one(&self) -> usize {\n    fn hidden() {}\n\n    // über, a comment that \
                   stays\n    \
                   let text = \"{\";\n    1\n}";
        assert_eq!(found[1].1, one);
        assert_eq!(found[2].1, "fn default(&self) { println!(\"hi\") }");
        assert_eq!(found[3].1, "extern \"C\" fn last() {}");
    }

    #[test]
    fn what_is_not_rust_gives_none() {
        assert!(functions("def f():\n    pass\n").is_none());
        assert_eq!(functions("").unwrap(), []);
        let script = functions("#!/usr/bin/env -S cargo é\nfn ä() {}\n").unwrap();
        assert_eq!(script, [("ä".to_string(), "fn ä() {}".to_string())]);
        assert_eq!(functions("#![allow(x)]\nfn a() {}").unwrap().len(), 1);
    }
}
