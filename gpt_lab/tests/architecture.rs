//! The ladder of `docs/architecture.md`, held by reading the sources: a module names only modules below it, and no two
//! files of a crate need each other. Tests inside of the sources may name anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::Visit;

/// The modules of `gpt_lab`, lowest first. Those on one rung do not name each other.
const GPT_LAB: &[&[&str]] = &[
    &["core"],
    &["ops"],
    &["nn"],
    &["lab"],
    &["hub"],
    &["text"],
    &["data"],
    &["gpt2"],
    &["lora"],
    &["train", "generate"],
    &["reward"],
    &["align"],
    &["eval"],
    &["chat"],
    &["show"],
    &["lesson"],
];

/// The modules of the Jupyter kernel: what every process needs, what cells are compiled with, the processes, commands.
const KERNEL: &[&[&str]] = &[
    &["names", "failure"],
    &["sys"],
    &["protocol", "code"],
    &["compile", "cells"],
    &["session"],
    &["engine", "relay"],
    &["install"],
    &["cli"],
];

/// A module by its path from the crate's root: `["gpt2", "block"]`.
type Module = Vec<String>;

/// The module files of one crate, and which names of others each file needs.
#[derive(Default)]
struct Sources {
    files: BTreeMap<Module, File>,
}

#[derive(Default)]
struct File {
    /// Paths from the crate's root that the code names, `use` lines included.
    named: BTreeSet<Module>,
    /// Re-exports: the name that they give, and the path that it stands for.
    exports: BTreeMap<String, Module>,
    /// Modules whose whole contents are re-exported.
    globs: Vec<Module>,
}

/// Collects the paths that one file names.
struct Reader<'a> {
    module: &'a Module,
    file: File,
}

impl Reader<'_> {
    /// The path from the crate's root, if it starts at a place in this crate.
    fn absolute(&self, path: &[String]) -> Option<Module> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => Some(rest.to_vec()),
            "self" => Some([self.module, rest].concat()),
            "super" => {
                let ups = path.iter().take_while(|part| *part == "super").count();
                let up = self.module.len().checked_sub(ups)?;
                Some([&self.module[..up], &path[ups..]].concat())
            }
            _ => None,
        }
    }

    fn use_tree(&mut self, start: &[String], tree: &syn::UseTree, exported: bool) {
        let with = |name: String| [start, &[name]].concat();
        match tree {
            syn::UseTree::Path(path) => self.use_tree(&with(path.ident.to_string()), &path.tree, exported),
            syn::UseTree::Group(group) => group.items.iter().for_each(|tree| self.use_tree(start, tree, exported)),
            syn::UseTree::Name(name) if name.ident == "self" => self.used(start, None, exported),
            syn::UseTree::Name(name) => self.used(&with(name.ident.to_string()), None, exported),
            syn::UseTree::Rename(name) => {
                self.used(&with(name.ident.to_string()), Some(name.rename.to_string()), exported);
            }
            syn::UseTree::Glob(_) if exported => self.file.globs.extend(self.within(start)),
            syn::UseTree::Glob(_) => self.file.named.extend(self.within(start)),
        }
    }

    /// As [`Reader::absolute`]; a re-export may begin with the name of a child.
    fn within(&self, path: &[String]) -> Option<Module> {
        self.absolute(path).or_else(|| Some([self.module, path].concat()))
    }

    fn used(&mut self, path: &[String], rename: Option<String>, exported: bool) {
        if !exported {
            self.file.named.extend(self.absolute(path));
        } else if let (Some(name), Some(path)) = (rename.or_else(|| path.last().cloned()), self.within(path)) {
            self.file.exports.insert(name, path);
        }
    }
}

fn only_in_tests(attributes: &[syn::Attribute]) -> bool {
    attributes
        .iter()
        .any(|a| matches!(&a.meta, syn::Meta::List(l) if l.path.is_ident("cfg") && l.tokens.to_string() == "test"))
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !only_in_tests(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        if !only_in_tests(&item.attrs) {
            syn::visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !only_in_tests(&item.attrs) {
            self.use_tree(&[], &item.tree, !matches!(item.vis, syn::Visibility::Inherited));
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.file.named.extend(self.absolute(&parts).filter(|_| parts.len() > 1));
        syn::visit::visit_path(self, path);
    }
}

impl Sources {
    /// The sources below `folder`, whose root is `lib.rs` or `main.rs`.
    fn read(folder: &Path) -> Self {
        let mut sources = Sources::default();
        for path in rust_files(folder) {
            let inner = path.strip_prefix(folder).unwrap().with_extension("");
            let mut module: Module = inner.iter().map(|part| part.to_str().unwrap().to_string()).collect();
            module.pop_if(|last| ["lib", "main", "mod"].contains(&last.as_str()));
            let syntax = syn::parse_file(&fs::read_to_string(&path).unwrap()).unwrap();
            let mut reader = Reader { module: &module, file: File::default() };
            reader.visit_file(&syntax);
            let file = reader.file;
            sources.files.insert(module, file);
        }
        sources
    }

    /// The module in whose file the item at `path` stands, re-exports followed.
    fn home(&self, path: &[String]) -> Module {
        let depth = (0..=path.len()).rev().find(|n| self.files.contains_key(&path[..*n])).unwrap_or(0);
        let (module, rest) = path.split_at(depth);
        let file = &self.files[module];
        let exported = rest.first().and_then(|name| file.exports.get(name));
        // A re-export of another crate stands for itself.
        if let Some(target) = exported.filter(|target| **target != path[..depth + 1]) {
            return self.home(&[target, &rest[1..]].concat());
        }
        module.to_vec()
    }

    /// From each file to the files that it needs.
    fn arrows(&self) -> BTreeMap<Module, BTreeSet<Module>> {
        let needs = |(module, file): (&Module, &File)| {
            let homes = file.named.iter().map(|path| self.home(path)).filter(|home| home != module);
            (module.clone(), homes.collect())
        };
        self.files.iter().map(needs).collect()
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| match path.is_dir() {
        true => rust_files(&path),
        false => vec![path],
    };
    let mut files: Vec<PathBuf> =
        entries.flat_map(below).filter(|path| path.extension().is_some_and(|e| e == "rs")).collect();
    files.sort();
    files
}

fn sources_of(package: &str) -> Sources {
    Sources::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(package).join("src"))
}

/// A circle of modules, if there is one: each needs the next, and the last one the first.
fn circle(arrows: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Vec<String>> {
    fn walk(
        at: &Module,
        arrows: &BTreeMap<Module, BTreeSet<Module>>,
        path: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
    ) -> Option<Vec<String>> {
        if let Some(start) = path.iter().position(|module| module == at) {
            return Some(path[start..].iter().map(|module| module.join("::")).collect());
        }
        if !done.insert(at.clone()) {
            return None;
        }
        path.push(at.clone());
        let found = arrows.get(at).into_iter().flatten().find_map(|next| walk(next, arrows, path, done));
        path.pop();
        found
    }
    let mut done = BTreeSet::new();
    arrows.keys().find_map(|module| walk(module, arrows, &mut Vec::new(), &mut done))
}

/// The arrows that run up this ladder.
fn upward(package: &str, ladder: &[&[&str]]) -> Vec<String> {
    let rung = |module: &str| ladder.iter().position(|names| names.contains(&module));
    let mut wrong = Vec::new();
    for (module, needs) in sources_of(package).arrows() {
        let Some(from) = module.first() else { continue };
        let own = rung(from)
            .unwrap_or_else(|| panic!("{package}/src/{from} has no place on the ladder: give it one in this file"));
        for need in needs.iter().filter(|need| need.first().is_some_and(|name| name != from)) {
            if rung(&need[0]).is_none_or(|other| other >= own) {
                wrong.push(format!("{package}: {} names {}", module.join("::"), need.join("::")));
            }
        }
    }
    wrong
}

#[test]
fn arrows_point_down_the_ladder() {
    let wrong = [upward("gpt_lab", GPT_LAB), upward("kernel", KERNEL)].concat();
    let mend = "move the item or the impl to the higher module";
    assert!(wrong.is_empty(), "arrows that run up ({mend}):\n{}", wrong.join("\n"));
}

#[test]
fn no_two_files_need_each_other() {
    for package in ["gpt_lab", "cpu", "cli", "kernel", "kernel/cell", "kernel/assist", "world"] {
        let found = circle(&sources_of(package).arrows());
        assert_eq!(found, None, "{package}: a circle of files; move what they share into a file of its own");
    }
}

#[test]
fn the_reader_sees_what_it_should() {
    let code = "use crate::a::{b::C, D as E}; pub use inner::F; fn f() -> super::G { crate::h::i() } \
                #[cfg(test)] mod t { use crate::x; }";
    let module = vec!["m".to_string(), "n".to_string()];
    let mut reader = Reader { module: &module, file: File::default() };
    reader.visit_file(&syn::parse_file(code).unwrap());
    let named: Vec<String> = reader.file.named.iter().map(|path| path.join("::")).collect();
    assert_eq!(named, ["a::D", "a::b::C", "h::i", "m::G"]);
    assert_eq!(reader.file.exports["F"].join("::"), "m::n::inner::F");
    let arrow = |from: &str, to: &str| (vec![from.to_string()], BTreeSet::from([vec![to.to_string()]]));
    assert_eq!(circle(&BTreeMap::from([arrow("a", "b"), arrow("b", "c")])), None);
    assert_eq!(circle(&BTreeMap::from([arrow("a", "b"), arrow("b", "a")])), Some(vec!["a".into(), "b".into()]));
}
