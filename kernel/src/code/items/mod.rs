//! The items of a session: what later cells see of functions, types and imports, and what takes the place of what.

mod item;
mod shape;

pub use item::{Item, of};
pub use shape::{CRATE, Shape, difference};

use super::Range;
use super::source::Source;
use item::{Member, Space};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// The items of a session.
#[derive(Debug, Clone, Default)]
pub struct Items {
    all: Vec<Arc<Item>>,
}

impl Items {
    /// All items.
    pub fn iter(&self) -> impl Iterator<Item = &Item> {
        self.all.iter().map(Arc::as_ref)
    }

    /// These items with those of a further cell, which take the place of what has their names.
    pub fn with(&self, new: Vec<Item>) -> Items {
        let mut all: Vec<Arc<Item>> = self.all.clone();
        for item in &new {
            all.retain_mut(|old| !replaces(item, old));
        }
        all.extend(new.into_iter().map(Arc::new));
        Items { all }
    }

    /// The same items, some of which are left out, each with the reason.
    pub fn set_aside(&mut self, reasons: &HashMap<usize, String>) {
        for (number, reason) in reasons {
            if let Some(item) = self.all.get_mut(*number) {
                Arc::make_mut(item).aside = Some(reason.clone());
            }
        }
    }

    /// Takes up again what was left out and mentions one of these names.
    pub fn take_up(&mut self, names: &HashSet<String>) {
        for item in &mut self.all {
            if item.aside.is_some() && names.iter().any(|name| item.mentions(name)) {
                Arc::make_mut(item).aside = None;
            }
        }
    }

    /// Writes all items that are not left out; returns the place of each.
    pub fn write(&self, source: &mut Source, texts: &[String]) -> Vec<(usize, Range)> {
        let mut places = Vec::new();
        // A macro must stand before what uses it.
        let is_macro = |item: &&Arc<Item>| item.names.iter().any(|(space, _)| *space == Space::Macro);
        let numbered = || self.all.iter().enumerate().filter(|(_, item)| item.aside.is_none());
        let macros = numbered().filter(|(_, item)| is_macro(item));
        let others = numbered().filter(|(_, item)| !is_macro(item));
        for (number, item) in macros.chain(others) {
            let begin = source.text().len();
            item.write(source, &texts[item.cell]);
            places.push((number, begin..source.text().len()));
        }
        places
    }

    /// An item by its number.
    pub fn get(&self, number: usize) -> Option<&Item> {
        self.all.get(number).map(Arc::as_ref)
    }

    /// True if later items change a definition that types may depend on.
    pub fn changes_a_type(&self, later: &Items) -> bool {
        let meaning = |items: &Items| -> HashMap<String, String> {
            let shaping = items.all.iter().filter(|item| item.shapes_types);
            shaping.map(|item| (item.title.clone(), item.meaning.clone())).collect()
        };
        let (before, after) = (meaning(self), meaning(later));
        before.iter().any(|(title, text)| after.get(title) != Some(text))
            || after.keys().any(|title| !before.contains_key(title) && !self.all.is_empty() && self.shadows(title))
    }

    /// True if a new item of this title has the name of a word that older items use.
    fn shadows(&self, title: &str) -> bool {
        let name = title.rsplit(' ').next().unwrap_or_default();
        self.all.iter().any(|item| item.shapes_types && item.words.contains(name))
    }
}

/// True if nothing of an older item is left beside a newer one; parts of it may be taken out.
fn replaces(new: &Item, old: &mut Arc<Item>) -> bool {
    if new.cell == old.cell {
        return false;
    }
    if let (Some(head), Some(other)) = (&new.head, &old.head) {
        if head != other {
            return false;
        }
        return !new.is_inherent || new.names == old.names;
    }
    let is_import = |item: &Item| item.pieces.is_empty();
    if is_import(old) {
        let hides = |space: Space| matches!(space, Space::Type | Space::Value);
        let replaced = |member: &Member| {
            let by_import = is_import(new) && new.members.iter().any(|own| own.name == member.name);
            by_import || new.names.iter().any(|(space, name)| hides(*space) && *name == member.name)
        };
        return drop_members(old, replaced);
    }
    if new.head.is_some() || old.head.is_some() {
        return false;
    }
    let same = |(space, name): &(Space, String)| {
        old.names
            .iter()
            .any(|(other, own)| own == name && (space == other || *space == Space::Import && *other != Space::Macro))
    };
    new.names.iter().any(same)
}

/// Takes some members out of an item; true if none are left.
fn drop_members(item: &mut Arc<Item>, is_dropped: impl Fn(&Member) -> bool) -> bool {
    if !item.members.iter().any(&is_dropped) {
        return false;
    }
    let own = Arc::make_mut(item);
    own.members.retain(|member| !is_dropped(member));
    own.names.retain(|(space, name)| *space != Space::Import || own.members.iter().any(|member| member.name == *name));
    own.members.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::parse::parse;
    use crate::code::words::normal;

    /// The items of these cells, one after the other, and their texts.
    fn session(cells: &[&str]) -> (Items, Vec<String>) {
        let mut items = Items::default();
        for (number, cell) in cells.iter().enumerate() {
            items = items.with(of(&parse(cell).unwrap(), cell, number));
        }
        (items, cells.iter().map(|cell| (*cell).to_owned()).collect())
    }

    fn written(cells: &[&str]) -> Vec<String> {
        let (items, texts) = session(cells);
        let mut source = Source::default();
        items.write(&mut source, &texts);
        source.text().lines().map(normal).filter(|line| !line.is_empty()).collect()
    }

    #[test]
    fn the_newer_takes_the_place_of_the_older() {
        assert_eq!(written(&["fn f() { 1 } struct P;", "fn f() { 2 }"]), ["struct P ;", "fn f ( ) { 2 }"]);
        assert_eq!(written(&["fn a() {}", "macro_rules! a { () => {} }"]).len(), 2, "names of two spaces");
        assert_eq!(written(&["use a::X;", "struct X {}"]), ["struct X { }"]);
        assert_eq!(written(&["use a::{X, Y};", "use b::X;"]), ["use a : : Y ;", "use b : : X ;"]);
        assert_eq!(written(&["use a::*;", "use a::*;"]), ["use a : : * ;"]);
    }

    #[test]
    fn an_impl_gives_way_function_by_function() {
        let (one, two) = ("impl C { fn up(&self) { 1 } fn down(&self) {} }", "impl C { fn up(&self) { 2 } }");
        assert_eq!(written(&[one, two]), ["impl C { fn down ( & self ) { } }", "impl C { fn up ( & self ) { 2 } }"]);
        assert_eq!(
            written(&["impl T for C { fn a() { 1 } }", "impl  T for C { fn a() { 2 } }"]),
            ["impl T for C { fn a ( ) { 2 } }"]
        );
        assert_eq!(written(&[two, two]).len(), 1);
    }

    #[test]
    fn what_shapes_a_type_is_found_through_everything_it_mentions() {
        let cells = ["const N: usize = 4;", "struct Q { x: [f32; N] }", "struct P { q: Q }", "struct Other;"];
        let (items, _) = session(&cells);
        let shape = items.shape("alloc::vec::Vec<cell::P>");
        assert_eq!(shape.keys().map(String::as_str).collect::<Vec<_>>(), ["const N", "struct P", "struct Q"]);
        let changed = |cell: &str| {
            let later = items.with(of(&parse(cell).unwrap(), cell, 9));
            difference(&shape, &later.shape("alloc::vec::Vec<cell::P>"))
        };
        assert_eq!(changed("const N: usize = 8;").as_deref(), Some("const N"));
        assert_eq!(changed("#[derive(Debug)] struct Q { /* the same */ x: [f32; N] }"), None);
        assert_eq!(changed("struct Other { x: i32 }"), None);
        assert_eq!(changed("impl P { fn f(&self) {} }"), None);
        assert_eq!(changed("type f32 = f64;").as_deref(), Some("type f32"));
    }

    #[test]
    fn behind_dyn_the_trait_counts_and_an_impl_does_not() {
        let (items, _) = session(&[
            "trait Shape { fn area(&self) -> f64; }",
            "struct Sq; impl Shape for Sq { fn area(&self) -> f64 { 1.0 } }",
        ]);
        let name = "alloc::boxed::Box<dyn cell::Shape>";
        let changed =
            |cell: &str| difference(&items.shape(name), &items.with(of(&parse(cell).unwrap(), cell, 9)).shape(name));
        assert_eq!(changed("impl Shape for Sq { fn area(&self) -> f64 { 2.0 } }"), None, "a value keeps its functions");
        assert!(changed("trait Shape { fn name(&self); fn area(&self) -> f64; }").is_some());
    }

    #[test]
    fn a_type_that_changes_is_noticed_and_a_further_one_is_not() {
        let (items, _) = session(&["struct P { x: i32 }"]);
        let changes = |cell: &str| items.changes_a_type(&items.with(of(&parse(cell).unwrap(), cell, 9)));
        assert!(changes("struct P { x: i64 }") && !changes("struct P { x: i32 }"));
        assert!(!changes("struct Q;") && changes("type i32 = i64;") && !changes("fn f() {}"));
    }

    #[test]
    fn only_paths_of_the_cells_are_their_types() {
        assert!(Items::is_own("(i32, cell::P)") && Items::is_own("cell::a::P<4, cell::Q>"));
        assert!(!Items::is_own("core::cell::Cell<i32>") && !Items::is_own("my_cell::P"));
    }
}
