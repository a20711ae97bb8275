//! What a session knows: its cells, items and variables, and why some are gone.

use crate::code::generate::{Known, Settings};
use crate::code::items::{Items, Shape, difference};
use crate::code::names::Names;
use crate::code::parse::{Code, Let};
use crate::code::types;
use crate::compile::report::{Cells, Place};
use std::collections::{BTreeMap, HashMap};

/// A variable of the session.
#[derive(Debug, Clone)]
pub struct Variable {
    /// The name of its type, as `std::any::type_name` gives it.
    pub type_name: String,
    /// The type that the learner has written, if that can be used anywhere.
    annotation: Option<String>,
    /// True after `let mut`.
    pub is_mut: bool,
    /// The generation of the cells' types in which it was kept.
    generation: u64,
    /// What its type depends on.
    shape: Shape,
}

/// A source that was compiled, to find the learner's lines again.
struct Compiled {
    source: crate::code::source::Source,
}

/// The session.
#[derive(Default)]
pub struct Notebook {
    /// The texts of all cells.
    pub texts: Vec<String>,
    /// What the learner calls them.
    pub names: Vec<String>,
    /// The items.
    pub items: Items,
    /// The variables.
    pub variables: BTreeMap<String, Variable>,
    /// Why names are gone.
    pub gone: HashMap<String, String>,
    /// The number of changes of the cells' own types.
    pub generation: u64,
    /// Where types can be named.
    pub type_names: Names,
    /// Settings that change the code of cells.
    pub settings: Settings,
    compiled: HashMap<String, Compiled>,
}

impl Notebook {
    /// Adds a cell; returns its number.
    pub fn add(&mut self, text: &str, name: &str) -> usize {
        self.texts.push(text.to_owned());
        self.names.push(name.to_owned());
        self.texts.len() - 1
    }

    /// The cells, for reports.
    pub fn cells(&self) -> Cells<'_> {
        Cells { texts: &self.texts, names: &self.names }
    }

    /// The variables as a cell of that generation can use them. Those whose types have no name are missing; `gone` says
    /// so.
    pub fn known(&mut self, generation: u64) -> BTreeMap<String, Known> {
        let mut known = BTreeMap::new();
        for (name, variable) in &self.variables {
            let is_own = Items::is_own(&variable.type_name) && variable.generation != generation;
            let item = variable
                .type_name
                .strip_prefix("cell::")
                .filter(|path| self.items.iter().any(|item| item.is_function(path)));
            let written =
                types::written(&variable.type_name, &mut self.type_names).or_else(|| variable.annotation.clone());
            let anew = item.map(|path| format!("crate::{path}"));
            if let Some(written) = written.or_else(|| anew.clone()) {
                known.insert(name.clone(), Known { written, is_mut: variable.is_mut, is_own, anew });
            } else {
                let reason =
                    format!("cannot be used in other cells: its type has no name ({})", short(&variable.type_name));
                self.gone.insert(name.clone(), reason);
            }
        }
        known
    }

    /// All items as code.
    pub fn items_as_text(&self) -> String {
        let mut source = crate::code::source::Source::default();
        self.items.write(&mut source, &self.texts);
        source.text().to_owned()
    }

    /// Remembers a compiled source under the name of its file.
    pub fn remember(&mut self, file: &str, source: crate::code::source::Source) {
        self.compiled.insert(file.to_owned(), Compiled { source });
    }

    /// The learner's place of `file:line:column`.
    pub fn place(&self, place: &str) -> Option<Place> {
        let mut parts = place.trim().rsplitn(3, ':');
        let column = parts.next()?.parse().ok()?;
        let line = parts.next()?.parse().ok()?;
        let file = parts.next()?.rsplit('/').next()?;
        let source = &self.compiled.get(file)?.source;
        let (cell, at) = source.cell_at(source.byte_of(line, column)?)?;
        Some(Place { cell, range: at..self.end_of_word(cell, at) })
    }

    /// The learner's place of a line of generated code.
    pub fn place_of_line(&self, file: &str, line: usize) -> Option<Place> {
        let source = &self.compiled.get(file)?.source;
        let (cell, at) = source.cell_at(source.byte_of(line, 1)?)?;
        Some(Place { cell, range: at..at })
    }

    /// What is marked of a place that the program tells: one character, as panics have no more.
    fn end_of_word(&self, cell: usize, at: usize) -> usize {
        at + self.texts[cell][at..].chars().next().map_or(0, char::len_utf8)
    }

    /// A text in which places of generated code are the learner's: `dbg!` prints them.
    pub fn in_learners_places(&self, text: &str) -> String {
        let mut rest = text;
        let mut result = String::new();
        while let Some(at) = rest.find("cell-") {
            let end =
                at + rest[at..].find(|c: char| !c.is_alphanumeric() && !"-.:".contains(c)).unwrap_or(rest.len() - at);
            let word = rest[at..end].trim_end_matches([':', '.']);
            result += &rest[..at];
            match self.place(word) {
                Some(place) => {
                    let (line, column) = self.cells().position(place.cell, place.range.start);
                    // A path before the file's name goes with it.
                    result.truncate(result.trim_end_matches("./").len());
                    result += &format!("{}, line {line}, column {column}", self.names[place.cell]);
                }
                None => result += word,
            }
            rest = &rest[at + word.len()..];
        }
        result + rest
    }

    /// The variables that would be lost with these items, some of which are those of a new cell, with the reason: their
    /// types would be others, or their names are given to functions or constants.
    pub fn outdated(&self, items: &Items, cell: usize) -> Vec<(String, String)> {
        let reason = |(name, variable): (&String, &Variable)| {
            if let Some(item) = items.iter().find(|item| item.cell == cell && item.is_value(name)) {
                return Some((name.clone(), format!("`{}` was defined", item.title)));
            }
            let item = difference(&variable.shape, &items.shape(&variable.type_name))?;
            Some((name.clone(), format!("its type depends on `{item}`, which was defined anew")))
        };
        self.variables.iter().filter_map(reason).collect()
    }

    /// Takes over the items of a cell that compiles. Returns the variables that are lost by it, with the reason.
    pub fn commit(&mut self, items: Items, cell: usize) -> Vec<(String, String)> {
        if self.items.changes_a_type(&items) {
            self.generation += 1;
        }
        self.items = items;
        let lost = self.outdated(&self.items, cell);
        for (name, reason) in &lost {
            self.variables.remove(name);
            self.gone.insert(name.clone(), format!("was lost in {}: {reason} there", self.names[cell]));
        }
        lost
    }

    /// Takes over the variables that a cell has kept.
    pub fn keep(&mut self, put: Vec<(String, String)>, makes: &[Let]) {
        for (name, type_name) in put {
            let binding = makes.iter().rev().find(|binding| binding.name == name);
            let is_mut = binding
                .map_or_else(|| self.variables.get(&name).is_some_and(|old| old.is_mut), |binding| binding.is_mut);
            let annotation = match binding {
                Some(binding) => binding.annotation.clone().filter(|text| !text.contains('_')),
                None => self.variables.get(&name).and_then(|old| old.annotation.clone()),
            };
            let shape = self.items.shape(&type_name);
            self.gone.remove(&name);
            let _ = types::written(&type_name, &mut self.type_names);
            self.variables.insert(name, Variable { type_name, annotation, is_mut, generation: self.generation, shape });
        }
    }

    /// Forgets the variables that the process does not have; returns their names.
    pub fn forget_all_but(&mut self, there: &[String]) -> Vec<String> {
        let gone: Vec<String> = self.variables.keys().filter(|name| !there.contains(name)).cloned().collect();
        gone.iter().for_each(|name| drop(self.variables.remove(name)));
        gone
    }

    /// The variables of a cell that the process does not have.
    pub fn not_kept(&self, code: &Code, there: &[String]) -> Vec<String> {
        let mut names: Vec<String> = code.lets.iter().map(|binding| binding.name.clone()).collect();
        names.retain(|name| !there.contains(name) && name != "_");
        names.dedup();
        names
    }

    /// The variables of a cell whose types nobody can name.
    pub fn nameless(&self, code: &Code) -> Vec<String> {
        let is_nameless = |name: &String| self.variables.get(name).is_some_and(|found| found.type_name.contains("{{"));
        let mut names: Vec<String> = code.lets.iter().map(|binding| binding.name.clone()).filter(is_nameless).collect();
        names.dedup();
        names
    }

    /// What is known of a name that is no more.
    pub fn missing(&self, name: &str) -> Option<String> {
        if let Some(reason) = self.gone.get(name) {
            return Some(format!("`{name}` {reason}"));
        }
        let aside = self.items.iter().find(|item| item.aside.is_some() && item.declared().any(|own| own == name))?;
        let reason = aside.aside.as_deref().unwrap_or_default();
        Some(format!("`{name}` of {} was set aside: {reason}", self.names[aside.cell]))
    }

    /// Forgets everything but the settings of the kernel itself.
    pub fn clear(&mut self) {
        let type_names = std::mem::take(&mut self.type_names);
        let generation = self.generation + 1;
        let compiled = std::mem::take(&mut self.compiled);
        let (texts, names) = (std::mem::take(&mut self.texts), std::mem::take(&mut self.names));
        let settings = Settings { tokio: self.settings.tokio, ..Settings::default() };
        *self = Notebook { type_names, generation, compiled, texts, names, settings, ..Notebook::default() };
    }

    /// Loses the variables of types of some crates; returns them with the reason.
    pub fn lose_crates(&mut self, names: &[String]) -> Vec<(String, String)> {
        let of_crate = |type_name: &str| {
            let words: Vec<&str> = type_name.split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').collect();
            names.iter().find(|name| words.iter().any(|word| word.starts_with(&format!("{name}::")))).cloned()
        };
        let found = self.variables.iter().filter_map(|(name, variable)| {
            let krate = of_crate(&variable.type_name)?;
            Some((name.clone(), format!("its type is of the crate `{krate}`, which has changed")))
        });
        let lost: Vec<(String, String)> = found.collect();
        for (name, reason) in &lost {
            self.variables.remove(name);
            self.gone.insert(name.clone(), format!("was lost: {reason}"));
        }
        lost
    }

    /// All variables are lost, items are kept.
    pub fn lose_variables(&mut self, reason: &str) {
        for name in std::mem::take(&mut self.variables).into_keys() {
            self.gone.insert(name, reason.to_owned());
        }
    }
}

/// A type's name without the modules in it.
pub fn short(type_name: &str) -> String {
    let mut result = String::new();
    let mut word = String::new();
    let mut rest = type_name.chars().peekable();
    while let Some(c) = rest.next() {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
        } else if c == ':' && rest.peek() == Some(&':') {
            rest.next();
            word.clear();
        } else {
            result += &std::mem::take(&mut word);
            result.push(c);
        }
    }
    result + &word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_told_without_their_modules() {
        assert_eq!(short("alloc::vec::Vec<(alloc::string::String, i32)>"), "Vec<(String, i32)>");
        assert_eq!(short("&str"), "&str");
        assert_eq!(short("cell::f::{{closure}}"), "{{closure}}");
    }
}
