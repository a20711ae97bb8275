//! An item of a cell.

use crate::code::Range;
use crate::code::imports::{self, Import};
use crate::code::parse::{Code, mere_attributes, range};
use crate::code::source::Source;
use crate::code::words::{normal, words};
use ra_ap_syntax::ast::{self, AstNode, HasName};
use std::collections::HashSet;

/// A name space of Rust: items of one name live side by side in two of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Space {
    /// Types, traits, modules, crates.
    Type,
    /// Functions, constants, statics.
    Value,
    /// Macros.
    Macro,
    /// Functions of an `impl`.
    Member,
    /// Imports, whose space nobody knows.
    Import,
}

/// A name of a `use`, which can be replaced by itself.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pieces: Vec<(&'static str, Range, &'static str)>,
}

/// An item of a cell.
#[derive(Debug, Clone)]
pub struct Item {
    /// Its cell, among all of the session.
    pub cell: usize,
    /// What it is, as a learner would say it: `fn area`, `impl Shape for Square`.
    pub title: String,
    /// What kept it from being compiled with later definitions; it is left out until its cell runs again.
    pub aside: Option<String>,
    pub(super) names: Vec<(Space, String)>,
    /// The normalised head of an `impl`, for which two are one.
    pub(super) head: Option<String>,
    pub(super) is_inherent: bool,
    pub(super) pieces: Vec<Range>,
    end: &'static str,
    pub(super) members: Vec<Member>,
    pub(super) words: HashSet<String>,
    /// What must be equal for values of earlier cells to be still what they were.
    pub(super) meaning: String,
    pub(super) shapes_types: bool,
}

impl Item {
    /// The names that it declares.
    pub fn declared(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|(_, name)| name.as_str())
    }

    /// True if it declares a name or mentions it.
    pub fn mentions(&self, name: &str) -> bool {
        self.words.contains(name) || self.declared().any(|own| own == name)
    }

    /// True if it is a function, a constant or a static of this name.
    pub fn is_value(&self, name: &str) -> bool {
        self.names.iter().any(|(space, own)| *space == Space::Value && own == name)
    }

    /// True if it is a function of this name.
    pub fn is_function(&self, name: &str) -> bool {
        self.title.starts_with("fn ") && self.declared().any(|own| own == name)
    }

    /// Writes it.
    pub(super) fn write(&self, source: &mut Source, text: &str) {
        for range in &self.pieces {
            source.cell(self.cell, text, range.clone());
            source.kernel(" ");
        }
        for Member { pieces, .. } in &self.members {
            source.kernel("use ");
            for (before, range, after) in pieces {
                source.kernel(before);
                source.cell(self.cell, text, range.clone());
                source.kernel(after);
            }
            source.kernel(";");
        }
        source.kernel(self.end);
        source.kernel("\n");
    }
}

/// The items that the code of a cell defines.
pub fn of(code: &Code, text: &str, cell: usize) -> Vec<Item> {
    let items = code.items.iter().flat_map(|item| one(item, text, cell));
    items.chain(code.item_macros.iter().map(|whole| of_macro(whole, text, cell))).collect()
}

fn one(item: &ast::Item, text: &str, cell: usize) -> Vec<Item> {
    let whole = range(item.syntax());
    let mere = mere_attributes(item);
    // Left out: without a test harness the compiler would leave out the function.
    let kept = without(whole.clone(), mere.iter().filter(|range| normal(&text[(*range).clone()]) == "# [ test ]"));
    let meaning: Vec<String> =
        without(whole.clone(), mere.iter()).into_iter().map(|range| normal(&text[range])).collect();
    let (names, title, shapes_types) = naming(item, text);
    let mut made = Item {
        cell,
        title,
        aside: None,
        names,
        head: None,
        is_inherent: false,
        pieces: kept,
        end: "",
        members: Vec::new(),
        words: words(&text[whole]),
        meaning: meaning.join(" "),
        shapes_types,
    };
    match item {
        ast::Item::Use(item) => {
            made.pieces.clear();
            made.members = imports::of(item, text).iter().map(|import| of_import(import, text)).collect();
        }
        ast::Item::Impl(item) => return made.of_impl(item, text),
        // What a module declares is meant within it, whatever has that name outside.
        ast::Item::Module(module) => {
            let inner = module.syntax().descendants().skip(1).filter(|node| ast::Item::can_cast(node.kind()));
            for name in inner.filter_map(|node| node.children().find_map(ast::Name::cast)) {
                made.words.remove(name.text());
            }
        }
        _ => {}
    }
    vec![made]
}

fn of_import(import: &Import, text: &str) -> Member {
    let pieces = import.pieces(text);
    let path: String =
        pieces.iter().map(|(before, range, after)| format!("{before}{}{after}", &text[range.clone()])).collect();
    Member { name: import.name.clone().unwrap_or_else(|| normal(&path)), pieces }
}

fn of_macro(whole: &Range, text: &str, cell: usize) -> Item {
    let code = &text[whole.clone()];
    // `thread_local! { static A: …; static B: … }`
    let all = normal(code);
    let tokens: Vec<&str> = all.split(' ').collect();
    let statics = tokens.windows(3).filter(|three| three[0] == "static");
    let name = |three: &[&str]| if three[1] == "ref" { three[2] } else { three[1] }.to_owned();
    let names: Vec<String> = statics.map(name).collect();
    Item {
        cell,
        title: format!("static {}", names.join(", ")),
        aside: None,
        names: names.into_iter().map(|name| (Space::Value, name)).collect(),
        head: None,
        is_inherent: false,
        pieces: vec![whole.clone()],
        end: if code.ends_with([';', '}']) { "" } else { ";" },
        members: Vec::new(),
        words: words(code),
        meaning: all,
        shapes_types: false,
    }
}

/// The names of an item, its title, and whether values of other types may depend on it.
fn naming(item: &ast::Item, text: &str) -> (Vec<(Space, String)>, String, bool) {
    let name = |name: Option<ast::Name>| name.map(|name| name.text().to_string()).unwrap_or_default();
    let only =
        |space, word: &str, name: String, shapes| (vec![(space, name.clone())], format!("{word} {name}"), shapes);
    match item {
        ast::Item::Struct(item) => {
            let own = name(item.name());
            let is_value = !matches!(item.kind(), ast::StructKind::Record(_));
            let mut names = vec![(Space::Type, own.clone())];
            names.extend(is_value.then(|| (Space::Value, own.clone())));
            (names, format!("struct {own}"), true)
        }
        ast::Item::Enum(item) => only(Space::Type, "enum", name(item.name()), true),
        ast::Item::Union(item) => only(Space::Type, "union", name(item.name()), true),
        ast::Item::Trait(item) => only(Space::Type, "trait", name(item.name()), true),
        ast::Item::TypeAlias(item) => only(Space::Type, "type", name(item.name()), true),
        ast::Item::Module(item) => only(Space::Type, "mod", name(item.name()), true),
        ast::Item::ExternCrate(item) => {
            let own = item.name_ref().map(|name| name.text().to_string()).unwrap_or_default();
            let renamed = item.rename().and_then(|rename| rename.name()).map(|name| name.text().to_string());
            only(Space::Type, "extern crate", renamed.unwrap_or(own), true)
        }
        ast::Item::Fn(item) => only(Space::Value, "fn", name(item.name()), item.const_token().is_some()),
        ast::Item::Const(item) => only(Space::Value, "const", name(item.name()), true),
        ast::Item::Static(item) => only(Space::Value, "static", name(item.name()), false),
        ast::Item::MacroRules(item) => only(Space::Macro, "macro", name(item.name()), true),
        ast::Item::MacroDef(item) => only(Space::Macro, "macro", name(item.name()), true),
        ast::Item::Use(item) => {
            let names = imports::of(item, text).into_iter().filter_map(|import| import.name);
            let title = in_one_line(text[range(item.syntax())].trim_end_matches(';'));
            (names.map(|name| (Space::Import, name)).collect(), title, true)
        }
        ast::Item::ExternBlock(item) => {
            let names =
                item.syntax().descendants().filter_map(ast::Fn::cast).map(|inner| (Space::Value, name(inner.name())));
            (names.collect(), "extern block".to_owned(), false)
        }
        _ => (Vec::new(), "item".to_owned(), false),
    }
}

fn in_one_line(code: &str) -> String {
    code.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A range without some ranges in it.
fn without<'a>(whole: Range, holes: impl Iterator<Item = &'a Range>) -> Vec<Range> {
    let (mut kept, mut begin) = (Vec::new(), whole.start);
    for hole in holes {
        kept.push(begin..hole.start);
        begin = hole.end;
    }
    kept.push(begin..whole.end);
    kept.retain(|range| range.start < range.end);
    kept
}

impl Item {
    /// The item of an `impl`: of a type's own, one for each function in it, so that each can be replaced by itself.
    fn of_impl(mut self, item: &ast::Impl, text: &str) -> Vec<Item> {
        let whole = range(item.syntax());
        let list = item.assoc_item_list();
        let open = list.as_ref().map_or(whole.end, |list| range(list.syntax()).start);
        self.title = in_one_line(&text[whole.start..open]);
        self.head = Some(normal(&text[whole.start..open]));
        self.is_inherent = item.trait_().is_none();
        let inner: Vec<ast::AssocItem> = list.iter().flat_map(ast::AssocItemList::assoc_items).collect();
        self.shapes_types = !self.is_inherent && inner.iter().any(|inner| !matches!(inner, ast::AssocItem::Fn(_)));
        if !self.is_inherent
            || inner.is_empty()
            || inner.iter().any(|inner| matches!(inner, ast::AssocItem::MacroCall(_)))
        {
            return vec![self];
        }
        inner.iter().map(|member| self.with_member(member, whole.start..(open + 1).min(whole.end), text)).collect()
    }

    fn with_member(&self, member: &ast::AssocItem, head: Range, text: &str) -> Item {
        let (word, name) = match member {
            ast::AssocItem::Fn(inner) => ("fn", inner.name()),
            ast::AssocItem::Const(inner) => ("const", inner.name()),
            ast::AssocItem::TypeAlias(inner) => ("type", inner.name()),
            ast::AssocItem::MacroCall(_) => ("", None),
        };
        let name = name.map(|name| name.text().to_string()).unwrap_or_default();
        let place = range(member.syntax());
        Item {
            title: format!("{word} {name} of {}", self.title),
            names: vec![(Space::Member, name)],
            words: words(&format!("{} {}", &text[head.clone()], &text[place.clone()])),
            meaning: normal(&text[place.clone()]),
            pieces: vec![head, place],
            end: "}",
            ..self.clone()
        }
    }
}
