//! What the values of a type depend on: the definitions that a change makes them lose by.

use super::{Item, Items};
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What the values of a type depend on, at one time: the meaning of each item that shapes it.
pub type Shape = BTreeMap<String, (bool, String)>;

impl Items {
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
