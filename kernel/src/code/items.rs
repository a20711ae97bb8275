//! The items of a session: what later cells see of functions, types and imports, and what takes the place of what.

use super::Range;
use super::imports::{self, Import};
use super::parse::{Code, mere_attributes, range};
use super::source::Source;
use super::words::{normal, words};
use ra_ap_syntax::ast::{self, AstNode, HasName};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

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
struct Member {
    name: String,
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
    names: Vec<(Space, String)>,
    /// The normalised head of an `impl`, for which two are one.
    head: Option<String>,
    is_inherent: bool,
    pieces: Vec<Range>,
    end: &'static str,
    members: Vec<Member>,
    words: HashSet<String>,
    /// What must be equal for values of earlier cells to be still what they were.
    meaning: String,
    shapes_types: bool,
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

    /// True if it is a function of this name.
    pub fn is_function(&self, name: &str) -> bool {
        self.title.starts_with("fn ") && self.declared().any(|own| own == name)
    }

    fn write(&self, source: &mut Source, text: &str) {
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
                made.words.remove(&*name.text());
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

/// The items of a session.
#[derive(Debug, Clone, Default)]
pub struct Items {
    all: Vec<Arc<Item>>,
}

/// What the values of a type depend on, at one time: the meaning of each item that shapes it.
pub type Shape = BTreeMap<String, (bool, String)>;

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

    /// True if a value of this type (a name as `type_name` gives it) may be of a type of the cells.
    pub fn is_own(type_name: &str) -> bool {
        !own_words(type_name).is_empty()
    }

    /// What values of this type depend on.
    pub fn shape(&self, type_name: &str) -> Shape {
        let mut shape = Shape::new();
        let mut open: Vec<String> = own_words(type_name).into_iter().collect();
        let mut reached: BTreeSet<String> = open.iter().cloned().collect();
        let mut done = HashSet::new();
        loop {
            while let Some(name) = open.pop() {
                for (number, item) in self.all.iter().enumerate() {
                    let declares = item.shapes_types && item.head.is_none() && item.declared().any(|own| own == name);
                    if declares && done.insert(number) {
                        shape.insert(item.title.clone(), (false, item.meaning.clone()));
                        open.extend(item.words.iter().filter(|word| reached.insert((*word).clone())).cloned());
                    }
                }
            }
            for (number, item) in self.all.iter().enumerate() {
                if counts(item, &reached) && done.insert(number) {
                    shape.insert(item.title.clone(), (true, item.meaning.clone()));
                    open.extend(item.words.iter().filter(|word| reached.insert((*word).clone())).cloned());
                }
            }
            if open.is_empty() {
                return shape;
            }
        }
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

/// True for an `impl` on which values of a type depend: it has types or constants of its own.
fn counts(item: &Item, reached: &BTreeSet<String>) -> bool {
    let head = item.head.as_deref().filter(|_| item.shapes_types && !item.is_inherent).unwrap_or_default();
    head.split(' ').any(|word| reached.contains(word))
}

/// The name of the crate that a cell is compiled as.
pub const CRATE: &str = "cell";

/// The first words of those paths in a type's name that begin with the cells' crate.
fn own_words(type_name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '#';
    for (at, _) in type_name.match_indices("cell::") {
        if type_name[..at].ends_with(|c: char| is_word(c) || c == ':') {
            continue;
        }
        let path = type_name[at + "cell::".len()..].split(|c: char| !is_word(c) && c != ':').next().unwrap_or_default();
        // What lies in a module is part of the module's text.
        found.extend(path.split("::").next().filter(|word| !word.is_empty()).map(str::to_owned));
    }
    found
}

/// What has changed from one shape to another: the title of an item. A further `impl` changes nothing.
pub fn difference(before: &Shape, after: &Shape) -> Option<String> {
    let changed = before.iter().find(|(title, what)| after.get(*title) != Some(what)).map(|(title, _)| title);
    let further =
        || after.iter().find(|(title, (is_impl, _))| !is_impl && !before.contains_key(*title)).map(|(title, _)| title);
    changed.or_else(further).cloned()
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
