//! Names on the Hub: repositories, revisions, files.

use std::fmt;

use crate::{Error, Result};

/// A repository on the Hub at a revision. A string is the name of a model at its newest version:
/// `"openai-community/gpt2"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    id: String,
    dataset: bool,
    revision: String,
}

impl Repo {
    /// A model: `openai-community/gpt2`.
    pub fn model(id: impl Into<String>) -> Self {
        Repo { id: id.into(), dataset: false, revision: "main".into() }
    }

    /// A data set: `tatsu-lab/alpaca`.
    pub fn dataset(id: impl Into<String>) -> Self {
        Repo { dataset: true, ..Repo::model(id) }
    }

    /// The same at a branch, a tag, or – so that nobody can change what is behind it – a commit.
    pub fn revision(self, revision: impl Into<String>) -> Self {
        Repo { revision: revision.into(), ..self }
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The name of its folder in the cache.
    pub(super) fn folder(&self) -> String {
        let kind = if self.dataset { "datasets" } else { "models" };
        format!("{kind}--{}", self.id.replace('/', "--"))
    }

    /// The name of the revision's file among the cache's refs; `None` for a commit, which needs none.
    pub(super) fn reference(&self) -> Option<&str> {
        self.commit().is_none().then_some(self.revision.as_str())
    }

    /// The revision, if it is a commit: 40 hexadecimal digits.
    pub(super) fn commit(&self) -> Option<String> {
        let commit = self.revision.len() == 40 && self.revision.bytes().all(|b| b.is_ascii_hexdigit());
        commit.then(|| self.revision.clone())
    }

    /// The URL of a file, at this commit or else at the revision.
    pub(super) fn url(&self, endpoint: &str, commit: Option<&str>, file: &str) -> String {
        let kind = if self.dataset { "datasets/" } else { "" };
        let revision = escape(commit.unwrap_or(&self.revision), "");
        format!("{endpoint}/{kind}{}/resolve/{revision}/{}", self.id, escape(file, "/"))
    }

    pub(super) fn check(&self) -> Result<()> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let parts: Vec<&str> = self.id.split('/').collect();
        let good = |part: &&str| !part.is_empty() && part.chars().all(allowed) && !part.contains("..");
        if parts.len() > 2 || !parts.iter().all(good) || self.id.contains("--") {
            let expected = "the name of a repository on the Hub, such as \"openai-community/gpt2\"";
            return Err(Error::argument("repo", format!("{:?}", self.id), expected));
        }
        if is_inside(&self.revision) {
            return Ok(());
        }
        Err(Error::argument("revision", format!("{:?}", self.revision), "a branch, a tag or a commit"))
    }
}

/// Its name, with the revision if that is not the usual one.
impl fmt::Display for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if self.revision == "main" { Ok(()) } else { write!(f, " at {}", self.revision) }
    }
}

impl From<&str> for Repo {
    fn from(id: &str) -> Self {
        Repo::model(id)
    }
}

impl From<String> for Repo {
    fn from(id: String) -> Self {
        Repo::model(id)
    }
}

/// Refuses names that would lead out of the cache.
pub(super) fn check_file(name: &str) -> Result<()> {
    if is_inside(name) {
        return Ok(());
    }
    let expected = "the name of a file in a repository, such as \"config.json\"";
    Err(Error::argument("file", format!("{name:?}"), expected))
}

/// `true` for a path of plain names from some folder downwards.
fn is_inside(path: &str) -> bool {
    let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains(['\\', '\0', ':']);
    path.split('/').all(plain)
}

/// Escapes everything in a URL but letters, digits, `-._~` and `also`.
fn escape(text: &str, also: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b) || also.as_bytes().contains(&b);
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_make_urls_and_folders() {
        let gpt2 = Repo::from("openai-community/gpt2");
        assert_eq!(gpt2.folder(), "models--openai-community--gpt2");
        assert_eq!(
            gpt2.url("http://h", None, "a b/c.json"),
            "http://h/openai-community/gpt2/resolve/main/a%20b/c.json"
        );
        let data = Repo::dataset("tatsu-lab/alpaca").revision("refs/pr/1");
        assert_eq!(data.folder(), "datasets--tatsu-lab--alpaca");
        assert_eq!(data.url("http://h", None, "x"), "http://h/datasets/tatsu-lab/alpaca/resolve/refs%2Fpr%2F1/x");
        assert_eq!(data.to_string(), "tatsu-lab/alpaca at refs/pr/1");
        let commit = "607a30d783dfa663caf39e06633721c8d4cfcd7e";
        assert_eq!(gpt2.clone().revision(commit).commit().as_deref(), Some(commit));
        assert_eq!((gpt2.commit(), gpt2.reference()), (None, Some("main")));
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for id in ["", "a/b/c", "../gpt2", "a/..", "a//b", "a b", "a--b", "https://huggingface.co/gpt2"] {
            assert!(Repo::from(id).check().is_err(), "{id}");
        }
        for revision in ["", "..", "a/../b", "/etc"] {
            assert!(Repo::from("gpt2").revision(revision).check().is_err(), "{revision}");
        }
        for file in ["", "/etc/passwd", "../x", "a/../../x", "a\\b"] {
            assert!(check_file(file).is_err(), "{file}");
        }
        assert!(Repo::from("gpt2").check().is_ok() && check_file("onnx/config.json").is_ok());
    }
}
