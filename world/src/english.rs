//! Real English that a learner's machine has under free licences: the books of the Rust toolchain and the documentation
//! comments of crates that the build has downloaded.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use gpt_lab::data::{corpus_crates, registry_folder};
use gpt_lab::{Error, Result, Rng};

/// The books, as folders of the toolchain's `share/doc/rust/html`. All are under MIT or Apache-2.0.
pub const BOOKS: [&str; 7] =
    ["book", "rust-by-example", "cargo", "reference", "nomicon", "edition-guide", "embedded-book"];

/// Paragraphs shorter than this carry little.
const SHORTEST: usize = 60;
/// A document ends after the paragraph that makes it longer than this.
const LONGEST: usize = 2_000;

/// Documents of real English and where they come from.
#[derive(Debug, Clone, Default)]
pub struct English {
    /// The documents.
    pub documents: Vec<String>,
    /// For the provenance: characters by source.
    pub sources: Vec<(String, usize)>,
    seen: HashSet<String>,
}

/// All of it, in a fixed order. A toolchain without the books gives none of them, and says so.
///
/// # Errors
/// [`Error::FileNotFound`] without Cargo's registry folder.
pub fn english() -> Result<English> {
    let mut english = English::default();
    match books_folder() {
        Some(folder) => {
            for book in BOOKS {
                english.add(format!("the toolchain's {book}"), book_documents(&folder.join(book)));
            }
        }
        None => eprintln!(
            "this toolchain has no share/doc/rust/html: the Rust books are left out (rustup component add rust-docs)"
        ),
    }
    let registry = registry_folder()?;
    for one in corpus_crates() {
        let name = format!("{}-{}", one.name, one.version);
        let folders = fs::read_dir(&registry).map_err(|e| Error::io(&registry, "listing the folder", e))?;
        let found = folders.flatten().map(|index| index.path().join(&name).join("src")).find(|folder| folder.is_dir());
        let documents = found.map(|folder| comment_documents(&folder)).unwrap_or_default();
        english.add(format!("documentation comments of {name}"), documents);
    }
    Ok(english)
}

impl English {
    /// Adds what is not there yet: pages that moved all say so in the same words.
    fn add(&mut self, source: String, mut documents: Vec<String>) {
        documents.retain(|text| self.seen.insert(text.clone()));
        let characters = documents.iter().map(String::len).sum();
        self.sources.push((source, characters));
        self.documents.extend(documents);
    }

    /// Whole documents drawn at random until they have this many characters.
    pub fn sample(&self, characters: usize, rng: &mut Rng) -> Vec<String> {
        let mut order: Vec<&String> = self.documents.iter().collect();
        rng.shuffle(&mut order);
        let mut left = characters;
        let enough = |text: &&&String| {
            let goes = left > 0;
            left = left.saturating_sub(text.len());
            goes
        };
        order.iter().take_while(enough).map(|text| text.to_string()).collect()
    }
}

/// `share/doc/rust/html` of the toolchain in use, if it is there.
fn books_folder() -> Option<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let folder = PathBuf::from(String::from_utf8(output.stdout).ok()?.trim()).join("share/doc/rust/html");
    folder.is_dir().then_some(folder)
}

fn book_documents(folder: &Path) -> Vec<String> {
    let pages = files(folder, "html");
    let pages =
        pages.iter().filter(|path| path.file_name().is_some_and(|name| name != "print.html" && name != "toc.html"));
    pages.filter_map(|path| fs::read_to_string(path).ok()).flat_map(|html| documents(html_paragraphs(&html))).collect()
}

fn comment_documents(folder: &Path) -> Vec<String> {
    let texts = files(folder, "rs").into_iter().filter_map(|path| fs::read_to_string(path).ok());
    texts.flat_map(|code| documents(comment_paragraphs(&code))).collect()
}

/// All files with this ending, sorted by path.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(&next).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Joins paragraphs to documents of readable length.
fn documents(paragraphs: Vec<String>) -> Vec<String> {
    let mut documents = vec![String::new()];
    for paragraph in paragraphs.iter().filter_map(|text| clean(text)) {
        let last = documents.last_mut().expect("never empty");
        if !last.is_empty() {
            last.push_str("\n\n");
        }
        last.push_str(&paragraph);
        if last.len() > LONGEST {
            documents.push(String::new());
        }
    }
    documents.retain(|document| document.len() >= 2 * SHORTEST);
    documents
}

/// A paragraph of plain English in ASCII with single spaces, or `None` if it is something else.
fn clean(paragraph: &str) -> Option<String> {
    let plain = paragraph.replace(['\u{2018}', '\u{2019}'], "'").replace(['\u{201c}', '\u{201d}'], "\"");
    let plain = plain.replace(['\u{2013}', '\u{2014}'], "-").replace(['`', '[', ']'], "");
    let text = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    let letters = text.bytes().filter(|b| b.is_ascii_lowercase() || *b == b' ').count();
    let is_prose = text.len() >= SHORTEST
        && text.is_ascii()
        && 100 * letters > 85 * text.len()
        && text.ends_with(['.', '!', '?', ':']);
    let is_linked = paragraph.contains("](") || text.contains("http") || text.contains("::") || text.contains("* ");
    (is_prose && !is_linked).then_some(text)
}

/// The texts of `<p>` elements inside `<main>`.
fn html_paragraphs(html: &str) -> Vec<String> {
    let main = html.split_once("<main").and_then(|(_, rest)| rest.split_once("</main>")).map_or("", |(main, _)| main);
    let paragraphs = main.split("<p>").skip(1).filter_map(|rest| Some(rest.split_once("</p>")?.0));
    paragraphs.map(|text| unescape(&without_tags(text))).collect()
}

fn without_tags(html: &str) -> String {
    let mut inside = false;
    let keep = |c: &char| {
        match c {
            '<' => inside = true,
            '>' if inside => {
                inside = false;
                return false;
            }
            _ => {}
        }
        !inside
    };
    html.chars().filter(keep).collect()
}

fn unescape(text: &str) -> String {
    let named = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"");
    named.replace("&#x27;", "'").replace("&#39;", "'").replace("&amp;", "&")
}

/// Paragraphs of `///` and `//!` comments, without headings and examples.
fn comment_paragraphs(code: &str) -> Vec<String> {
    let (mut paragraphs, mut paragraph, mut in_code) = (Vec::new(), String::new(), false);
    for line in code.lines().map(str::trim) {
        let comment = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")).map(str::trim);
        let is_fence = comment.is_some_and(|text| text.starts_with("```"));
        let text =
            comment.filter(|text| !text.is_empty() && !in_code && !is_fence && !text.starts_with(['#', '|', '[']));
        match text {
            Some(text) => {
                paragraph.push_str(text);
                paragraph.push(' ');
            }
            None if !paragraph.is_empty() => paragraphs.push(std::mem::take(&mut paragraph)),
            None => {}
        }
        in_code = comment.is_some() && (in_code != is_fence);
    }
    paragraphs.extend((!paragraph.is_empty()).then_some(paragraph));
    paragraphs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_of_a_page() {
        let html =
            "<nav><p>no</p></nav><main><p>A &lt;b&gt; <code>c</code></p><pre>x</pre><p>d &amp; e</p></main><p>no</p>";
        assert_eq!(html_paragraphs(html), ["A <b> c", "d & e"]);
    }

    #[test]
    fn paragraphs_of_comments_leave_examples_out() {
        let code = "/// One\n/// two.\n///\n/// # Head\n/// ```\n/// let x = 1;\n/// ```\n\
            /// Three.\nfn f() {} // no\n//! Four.\n";
        assert_eq!(comment_paragraphs(code), ["One two. ", "Three. ", "Four. "]);
    }

    #[test]
    fn only_prose_is_kept() {
        let prose = "This function returns the number of things that are in the box,\n  which may be `zero`.";
        let cleaned = "This function returns the number of things that are in the box, which may be zero.";
        assert_eq!(clean(prose).as_deref(), Some(cleaned));
        assert_eq!(clean("Too short."), None);
        assert_eq!(clean(&format!("{cleaned} See [this](that).")), None);
    }
}
