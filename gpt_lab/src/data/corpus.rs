//! A corpus: functions cut out of source files.

use std::collections::HashSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::examples::Split;
use super::registry;
use super::source_files::{Function, Language, functions_of, source_files};
use crate::core::format::thousands;
use crate::core::hash::fnv1a;
use crate::text::CharTokenizer;
use crate::{Error, Result, Rng};

/// Functions, in the order of their files' names, no text twice.
#[derive(Debug, Clone, Default)]
pub struct Corpus {
    /// The functions.
    pub functions: Vec<Function>,
    /// Everything that was left out.
    pub skipped: Skipped,
}

/// Files and functions that were left out of a corpus.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Files that could not be read or parsed.
    pub files: Vec<PathBuf>,
    /// Functions whose text an earlier one has already.
    pub duplicates: usize,
    /// Functions shorter or longer than asked for.
    pub by_length: usize,
    /// Functions with characters beyond ASCII.
    pub by_character: usize,
}

impl Corpus {
    /// The corpus that everyone with this version of the lab has, without a network: functions of 60 to 1,500
    /// characters in printable ASCII from the Rust crates that the build downloaded
    /// ([`corpus_crates`](super::corpus_crates)).
    ///
    /// # Errors
    /// [`Error::FileNotFound`] names a crate that Cargo's registry folder lacks, and how to get it.
    pub fn of_this_build() -> Result<Self> {
        let mut files = Vec::new();
        for (label, folder) in registry::source_folders()? {
            files.extend(source_files(&folder, Language::Rust)?.into_iter().map(|path| (label.clone(), path)));
        }
        Ok(Self::from_files(&files).ascii().with_length(60..=1500))
    }

    /// All functions of the source files in a folder and the folders in it, leaving out hidden ones and `target`.
    ///
    /// # Errors
    /// [`Error::FileNotFound`] without the folder; [`Error::EmptyInput`] where no file of it holds a function. Files
    /// that cannot be read or parsed are no error: they are listed in [`skipped`](Self::skipped).
    pub fn from_folder(path: impl AsRef<Path>, language: Language) -> Result<Self> {
        Self::from_folder_at(path.as_ref(), language)
    }

    fn from_folder_at(path: &Path, language: Language) -> Result<Self> {
        let files: Vec<_> = source_files(path, language)?.into_iter().map(|file| (PathBuf::new(), file)).collect();
        let corpus = Self::from_files(&files);
        if corpus.functions.is_empty() {
            let what = match corpus.skipped.files.len() {
                0 => format!("the corpus of {} ({} source files)", path.display(), files.len()),
                n => format!("the corpus of {} ({n} of {} source files unreadable)", path.display(), files.len()),
            };
            return Err(Error::empty(what));
        }
        Ok(corpus)
    }

    /// Only the functions that are printable ASCII with tabs and newlines, the alphabet of [`CharTokenizer::ascii`].
    pub fn ascii(mut self) -> Self {
        let before = self.functions.len();
        self.functions.retain(|f| f.text.bytes().all(|b| matches!(b, b'\t' | b'\n' | b' '..=b'~')));
        self.skipped.by_character += before - self.functions.len();
        self
    }

    /// Only the functions whose text has this many characters.
    pub fn with_length(mut self, characters: RangeInclusive<usize>) -> Self {
        let before = self.functions.len();
        self.functions.retain(|f| characters.contains(&f.text.chars().count()));
        self.skipped.by_length += before - self.functions.len();
        self
    }

    /// A random part of about this many characters, for quick runs: functions drawn until the next one would be too
    /// much, in the order of the whole.
    pub fn sample(&self, characters: usize, seed: u64) -> Self {
        let mut order: Vec<usize> = (0..self.functions.len()).collect();
        Rng::new(seed).shuffle(&mut order);
        let mut left = characters;
        let fits = |&i: &usize| {
            let length = self.functions[i].text.chars().count();
            let fits = length <= left;
            left = left.saturating_sub(length);
            fits
        };
        let chosen: HashSet<usize> = order.into_iter().take_while(fits).collect();
        self.part(|i| chosen.contains(&i))
    }

    /// Splits by function: this share of them, drawn at random, is kept for validation.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a share outside 0 … 1; [`Error::TooShort`] if a side would be empty.
    pub fn split(&self, validation_share: f64, seed: u64) -> Result<Split<Corpus>> {
        if !(validation_share > 0.0 && validation_share < 1.0) {
            let expected = "a share between 0 and 1, for instance 0.1";
            return Err(Error::argument("validation_share", validation_share, expected));
        }
        let n = self.functions.len();
        if n < 2 {
            return Err(Error::TooShort { what: "a corpus to be split (in functions)".into(), found: n, needed: 2 });
        }
        let kept = ((n as f64 * validation_share).round() as usize).clamp(1, n - 1);
        let mut order: Vec<usize> = (0..n).collect();
        Rng::new(seed).shuffle(&mut order);
        let validation: HashSet<usize> = order[..kept].iter().copied().collect();
        Ok(Split { train: self.part(|i| !validation.contains(&i)), validation: self.part(|i| validation.contains(&i)) })
    }

    /// The tokenizer for exactly the characters that occur.
    pub fn tokenizer(&self) -> CharTokenizer {
        CharTokenizer::from_characters(self.functions.iter().flat_map(|f| f.text.chars()))
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    /// `true` without functions.
    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// Number of characters of all texts.
    pub fn characters(&self) -> usize {
        self.functions.iter().map(|f| f.text.chars().count()).sum()
    }

    /// A number that changes with any text and with their order (64-bit FNV-1a), to tell whether two corpora are one.
    pub fn fingerprint(&self) -> u64 {
        fnv1a(self.functions.iter().flat_map(|f| f.text.bytes().chain([0])))
    }

    /// The functions of these files, each given with the path that its label leaves out.
    fn from_files(files: &[(PathBuf, PathBuf)]) -> Self {
        let read: Vec<Option<Vec<Function>>> = files.par_iter().map(|(root, path)| functions_of(root, path)).collect();
        let mut corpus = Corpus::default();
        let mut seen = HashSet::new();
        for (functions, (_, path)) in read.into_iter().zip(files) {
            let Some(functions) = functions else {
                corpus.skipped.files.push(path.clone());
                continue;
            };
            for function in functions {
                if seen.insert(function.text.clone()) {
                    corpus.functions.push(function);
                } else {
                    corpus.skipped.duplicates += 1;
                }
            }
        }
        corpus
    }

    /// The functions whose index `keep` accepts, with nothing counted as skipped.
    fn part(&self, mut keep: impl FnMut(usize) -> bool) -> Self {
        let functions = self.functions.iter().enumerate().filter(|(i, _)| keep(*i)).map(|(_, f)| f.clone()).collect();
        Corpus { functions, skipped: Skipped::default() }
    }
}

/// `1,234 functions, 567,890 characters (left out: …)`
impl fmt::Display for Corpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} functions, {} characters", thousands(self.len()), thousands(self.characters()))?;
        let Skipped { files, duplicates, by_length, by_character } = &self.skipped;
        let left_out: Vec<String> = [
            (files.len(), "unreadable files"),
            (*duplicates, "duplicates"),
            (*by_length, "too short or too long"),
            (*by_character, "not ASCII"),
        ]
        .into_iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{} {what}", thousands(n)))
        .collect();
        if left_out.is_empty() { Ok(()) } else { write!(f, " (left out: {})", left_out.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn numbered(n: usize) -> Corpus {
        let function = |i| Function { name: format!("f{i}"), source: "a.rs".into(), text: format!("fn f{i}() {{}}") };
        Corpus { functions: (0..n).map(function).collect(), skipped: Skipped::default() }
    }

    #[test]
    fn a_folder_gives_its_functions_and_says_what_it_left_out() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        fs::create_dir_all(folder.join("b/target")).unwrap();
        fs::write(folder.join("b/one.rs"), "fn a() { 1 }\nfn b() { 2 }").unwrap();
        fs::write(folder.join("b/target/no.rs"), "fn no() {}").unwrap();
        fs::write(folder.join("a.py"), "def p():\r\n    return 'é'\r\n").unwrap();
        fs::write(folder.join("c.rs"), "fn a() { 1 }\nfn long() { 123456789 }").unwrap();
        fs::write(folder.join("broken.rs"), "fn a( {").unwrap();
        fs::write(folder.join("latin1.rs"), b"fn a() { \"\xe9\" }").unwrap();
        let all = Corpus::from_folder(folder, Language::ByExtension).unwrap();
        let names: Vec<&str> = all.functions.iter().map(|f| f.name.as_str()).collect();
        assert_eq!(names, ["p", "a", "b", "long"]);
        assert_eq!(all.functions[0].text, "def p():\n    return 'é'");
        assert_eq!(all.skipped.files, [folder.join("broken.rs"), folder.join("latin1.rs")]);
        let kept = all.ascii().with_length(1..=12);
        assert_eq!(
            kept.to_string(),
            "2 functions, 24 characters (left out: 2 unreadable files, 1 duplicates, 1 too short or too long, 1 not \
             ASCII)"
        );
        assert_eq!(Corpus::from_folder(folder, Language::Python).unwrap().len(), 1);
        let error = Corpus::from_folder(folder.join("b/target/.."), Language::Python).unwrap_err().to_string();
        assert!(error.ends_with("(0 source files) is empty"), "{error}");
        let error = Corpus::from_folder(folder.join("none"), Language::Rust).unwrap_err().to_string();
        assert!(error.ends_with("none: no such file or folder"), "{error}");
    }

    #[test]
    fn a_split_is_by_function_seeded_and_complete() {
        let corpus = numbered(50);
        let split = corpus.split(0.1, 7).unwrap();
        assert_eq!((split.train.len(), split.validation.len()), (45, 5));
        let names = |c: &Corpus| c.functions.iter().map(|f| f.name.clone()).collect::<HashSet<_>>();
        assert!(names(&split.train).is_disjoint(&names(&split.validation)));
        assert_eq!(split.validation.fingerprint(), corpus.split(0.1, 7).unwrap().validation.fingerprint());
        assert_ne!(split.validation.fingerprint(), corpus.split(0.1, 8).unwrap().validation.fingerprint());
        assert_eq!(numbered(2).split(0.9, 0).unwrap().train.len(), 1);
        assert!(matches!(numbered(1).split(0.1, 0), Err(Error::TooShort { .. })));
        assert!(matches!(corpus.split(f64::NAN, 0), Err(Error::InvalidArgument { .. })));
    }

    #[test]
    fn a_sample_has_about_the_size_asked_for() {
        let sample = numbered(900).sample(1000, 3);
        assert!((980..=1000).contains(&sample.characters()), "{}", sample.characters());
        assert_eq!(numbered(3).sample(1000, 3).len(), 3);
    }
}
